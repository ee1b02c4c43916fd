"""A fit on another device is the same fit."""

from datetime import date, timedelta

import numpy as np
import pytest
import torch

from msm.training.data.samples import Samples
from msm.training.data.stations import Stations
from msm.training.fitting.ensemble import Plan, plan
from msm.training.fitting.fit import Stream, Targets, fit
from msm.training.fitting.recipe import Recipe, WrittenRecipe

DAYS = 120
FIRST = date(2020, 1, 1)
STREAM = {"first": FIRST, "last": FIRST + timedelta(days=DAYS - 1)}
RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "version": "1",
        "licence": "Apache-2.0",
        "forcing": ("precipitation", "air_temperature"),
        "statics": ("sand",),
        "optional": ("air_temperature", "sand"),
        "log1p": ("precipitation",),
        "published": "ground",
        "ground": STREAM | {"windows": 6, "share": 1.0, "level_penalty": 0.1},
        "satellite": STREAM | {"windows": 5, "share": 0.5},
        "hidden_size": 16,
        "members": 1,
        # Each device draws other masks of the weights.
        "dropout": 0.0,
        "source_dropout": 0.3,
        "steps": 20,
        "window_days": 40,
        "warm_up_days": 10,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "seed": 1,
    }
)


def _of(n_cell: int) -> dict[str, object]:
    """Weather, soil and a target that half of the days have."""
    rng = np.random.default_rng(n_cell)
    shape = n_cell, DAYS
    rain = rng.exponential(8, shape) * (rng.random(shape) < 0.25)
    target = 0.25 + 0.01 * rain
    target[rng.random(shape) < 0.5] = np.nan
    return {
        "lat": np.linspace(30, 45, n_cell),
        "lon": np.linspace(-120, -80, n_cell),
        "days": np.datetime64(FIRST) + np.arange(DAYS),
        "forcing": {
            "precipitation": rain.astype(np.float32),
            "air_temperature": rng.normal(285, 8, shape).astype(np.float32),
        },
        "statics": {"sand": rng.uniform(0.2, 0.7, n_cell).astype(np.float32)},
        "target": target.astype(np.float32),
    }


def _stations(n_cell: int) -> Stations:
    names = np.array([str(n) for n in range(n_cell)])
    return Stations(
        **_of(n_cell),
        wban=names,
        names=names,
        state=names,
        elevation=np.zeros(n_cell),
        observed=np.ones((n_cell, DAYS), bool),
    )


@pytest.fixture
def planned() -> Plan:
    return plan(WrittenRecipe(RECIPE, ""), _stations(8), Samples(**_of(12)), "")


def _losses(planned: Plan, device: str) -> list[float]:
    cells = planned.streams["satellite"].places
    # Twelve cells in three coarse ones, so that averages are taken on the device too.
    coarse = Targets(cells.target[::4], np.repeat(np.arange(3), 4), np.ones(12))
    streams = planned.streams | {"satellite": Stream(cells, coarse)}
    losses: list[float] = []
    network = fit(RECIPE, planned.card, streams, 1, losses.append, device)
    assert all(weight.device.type == "cpu" for weight in network.state_dict().values())
    return losses


@pytest.mark.gpu
def test_cuda_steps_equal_those_of_the_cpu(planned: Plan, monkeypatch: pytest.MonkeyPatch):
    # cuDNN multiplies with ten bits of the fraction if it may.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    np.testing.assert_allclose(_losses(planned, "cuda"), _losses(planned, "cpu"), rtol=1e-3)
