"""The arithmetic of the training benchmark, and a run of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import other_training, training
from benchmarks.speed.training import Step, compare, scored
from msm.model.network import SoilMoistureLSTM
from msm.training.data.datasets import Data
from msm.training.data.samples import Samples
from msm.training.data.stations import Stations
from msm.training.fitting.recipe import WrittenRecipe, read_recipe

DAYS = 240
RECIPE = """
name = "tiny"
version = "1"
licence = "Apache-2.0"
forcing = ["precipitation"]
statics = ["sand"]
published = "ground"
hidden_size = 8
members = 1
dropout = 0.3
steps = 400
window_days = 60
warm_up_days = 10
learning_rate = 0.005
weight_decay = 0.01
seed = 1

[ground]
first = 2020-01-01
last = 2020-08-27
windows = 4
share = 1.0
"""


def _counted(network: nn.Module, x: torch.Tensor) -> int:
    counter = FlopCounterMode(display=False)
    # Without oneDNN, whose LSTM is one operation that the counter does not support.
    with counter, torch.backends.mkldnn.flags(enabled=False):
        y, _ = network(x)
        y.square().sum().backward()
    return counter.get_total_flops()


def test_operations_of_a_step_are_those_counted_by_torch():
    step = Step(5, 7, n_channels=3, hidden_size=16, n_outputs=2)
    network = SoilMoistureLSTM(3, 16, 2, dropout=0.3).train()
    of_channels, of_empty_state = 2 * 35 * 3 * 16, 2 * 5 * 16 * 64
    assert step.flop - of_channels - of_empty_state == _counted(network, torch.randn(5, 7, 3))


def test_operations_of_a_step_without_inlet():
    step = Step(5, 7, n_channels=3, hidden_size=16, n_outputs=0, inlet=False)
    of_channels, of_empty_state = 2 * 35 * 3 * 64, 2 * 5 * 16 * 64
    lstm = nn.LSTM(3, 16, batch_first=True)
    assert step.flop - of_channels - of_empty_state == _counted(lstm, torch.randn(5, 7, 3))


def test_windows_are_scored_after_their_warm_up():
    rng = np.random.default_rng(0)
    target = np.where(rng.random((3, 30)) < 0.4, np.nan, 1.0).astype(np.float32)
    windows = [target[:, start + 2 : start + 9] for start in range(30 - 9 + 1)]
    assert scored(target, 9, 2) == pytest.approx(np.isfinite(windows).sum() / (3 * 22))


def _samples(n_cell: int) -> dict[str, object]:
    rng = np.random.default_rng(n_cell)
    shape = n_cell, DAYS
    return {
        "lat": np.linspace(30, 45, n_cell),
        "lon": np.linspace(-120, -80, n_cell),
        "days": np.datetime64("2020-01-01") + np.arange(DAYS),
        "forcing": {"precipitation": rng.exponential(3, shape).astype(np.float32)},
        "statics": {"sand": rng.random(n_cell).astype(np.float32)},
        "target": np.where(rng.random(shape) < 0.5, np.nan, 0.2 + 0.1 * rng.random(shape)).astype(
            np.float32
        ),
    }


@pytest.fixture
def data() -> Data:
    names = np.array(["a", "b", "c"])
    more = {"wban": names, "names": names, "state": names, "elevation": np.zeros(3)}
    stations = Stations(**_samples(3), **more, observed=np.ones((3, DAYS), bool))
    return Data(stations, Samples(**_samples(5)), "")


@pytest.fixture
def recipe(tmp_path: Path) -> WrittenRecipe:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return read_recipe(path)


def test_the_benchmark_runs_without_its_peer(
    recipe: WrittenRecipe, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(other_training, "PEERS", tmp_path)
    monkeypatch.setattr(training, "UNITS", 16)
    monkeypatch.setattr(training, "SQUARE", 64)
    # Rows of a GPU are not tested here.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    result = compare(recipe, data, rounds=1, steps=2)
    assert torch.get_num_threads() == threads
    assert result["peer"] == training.NO_PEER
    rows = result["cpu"]
    assert list(rows) == ["msm", "msm, 2 processes", "reference", "reference, as narrow as msm"]
    assert all(row["seconds a step"] > 0 for row in rows.values())
    ours, theirs = rows["msm"], rows["reference"]
    assert ours["cell-days/s"] == pytest.approx(4 * 60 / ours["seconds a step"])
    assert theirs["cell-days/s"] == pytest.approx(850 * 30 / theirs["seconds a step"])
    # Half of the days have a target.
    assert ours["cell-days a target"] == pytest.approx(60 / (50 * 0.5), rel=0.1)
    assert theirs["cell-days a target"] == pytest.approx(850 / (100 * 0.5), rel=0.1)
