from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from msm.model.card import (
    Card,
    Head,
    InputSpec,
    TargetSpec,
    TrainingRecord,
)
from msm.model.checkpoint import Checkpoint, make_checkpoint
from msm.model.network import SoilMoistureLSTM, weights_of
from msm.model.state import State
from msm.model.variables import FORCING_UNITS, STATIC_UNITS
from tests.ensembles import ensemble_of

Day = tuple[np.ndarray, np.ndarray, State]

CHANNELS = {  # mean and std of the transformed values, range of the raw values
    "precipitation": ("log1p", 0.6, 0.9, 0.0, 200.0),
    "air_temperature": ("identity", 287.0, 10.0, 240.0, 315.0),
    "sand": ("identity", 0.5, 0.1, 0.2, 0.7),
}


def _spec(name: str) -> InputSpec:
    transform, mean, std, minimum, maximum = CHANNELS[name]
    return InputSpec(
        name=name,
        units=(FORCING_UNITS | STATIC_UNITS)[name],
        transform=transform,
        mean=mean,
        std=std,
        minimum=minimum,
        maximum=maximum,
    )


@pytest.fixture
def card() -> Card:
    return Card(
        format="msm-checkpoint-2",
        name="small",
        version="1",
        created=datetime(2020, 1, 1, tzinfo=UTC),
        licence="Apache-2.0",
        forcing=(_spec("precipitation"), _spec("air_temperature")),
        statics=(_spec("sand"),),
        target=TargetSpec(
            name="soil_moisture",
            units="m3 m-3",
            minimum=0.0,
            maximum=0.6,
        ),
        heads=(Head(name="satellite", mean=0.2, std=0.1, error=0.05),),
        published="satellite",
        members=1,
        hidden_size=16,
        weights_sha256="",
        training=TrainingRecord(
            data="none",
            cells=((40.0, -100.0),),
            stations=(),
            periods=(),
            command="",
            recipe="",
            code_version="0",
        ),
    )


@pytest.fixture
def network(card: Card) -> SoilMoistureLSTM:
    torch.manual_seed(3)
    return SoilMoistureLSTM(len(card.inputs), card.hidden_size).eval()


@pytest.fixture
def checkpoint(card: Card, network: SoilMoistureLSTM) -> Checkpoint:
    return make_checkpoint(card, weights_of([network]))


@pytest.fixture
def ensemble(card: Card) -> Checkpoint:
    """Three members of 16 units, two heads that know their error, three optional inputs."""
    return ensemble_of(card)


@pytest.fixture
def make_day() -> Callable[..., Day]:
    """Plausible forcing, statics and state of so many cells, with room for tiles and a rest."""

    def make(n_cell: int = 2500, hidden_size: int = 16, seed: int = 0) -> Day:
        rng = np.random.default_rng(seed)
        forcing = np.stack([rng.exponential(3, n_cell), rng.normal(287, 10, n_cell)], axis=1)
        statics = rng.uniform(0.2, 0.7, (n_cell, 1))
        state = State(
            rng.uniform(-1, 1, (n_cell, hidden_size)).astype(np.float16),
            rng.uniform(-2, 2, (n_cell, hidden_size)).astype(np.float16),
        )
        return forcing.astype(np.float32), statics.astype(np.float32), state

    return make


@pytest.fixture
def make_gappy_day(make_day: Callable[..., Day]) -> Callable[..., Day]:
    """The same for the ensemble, its optional inputs missing here and there."""

    def make(n_cell: int = 2500, seed: int = 0) -> Day:
        forcing, statics, state = make_day(n_cell, hidden_size=48, seed=seed)
        rng = np.random.default_rng([seed, 1])
        air = np.stack([rng.gamma(4, 1, n_cell), rng.normal(330, 60, n_cell)], axis=1)
        vegetation = rng.exponential(2, (n_cell, 1))
        for values in (air, vegetation):
            values[rng.random(values.shape) < 0.3] = np.nan
        return (
            np.concatenate([forcing, air], axis=1, dtype=np.float32),
            np.concatenate([statics, vegetation], axis=1, dtype=np.float32),
            state,
        )

    return make
