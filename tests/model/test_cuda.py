from collections.abc import Callable

import numpy as np
import pytest
import torch

from msm.model import cuda
from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint
from msm.model.cuda import Precision, Resident
from msm.model.inference import run, step
from msm.model.prediction import Prediction
from msm.model.state import State

MakeDay = Callable[..., tuple[np.ndarray, np.ndarray, State]]

TOLERANCE: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-3}


@pytest.fixture
def season() -> tuple[list[np.ndarray], np.ndarray]:
    """Forcing of five days and statics anywhere within the range of the shipped checkpoint."""
    rng = np.random.default_rng(0)
    card = load_checkpoint(WEIGHTS / "first.json").card
    low, high = (np.array([getattr(s, k) for s in card.inputs]) for k in ("minimum", "maximum"))
    raw = rng.uniform(low, high, (5, 1500, 6)).astype(np.float32)
    return list(raw[:, :, :4]), raw[0, :, 4:]


def assert_agree(found: Prediction, expected: Prediction, precision: Precision) -> None:
    for name in ("soil_moisture", "aleatoric", "epistemic"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), atol=TOLERANCE[precision], err_msg=name
        )


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_its_arithmetic_agrees_with_the_tiles(
    season: tuple[list[np.ndarray], np.ndarray],
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
):
    """The arithmetic alone, on the CPU, in batches that do not divide the cells."""
    monkeypatch.setattr(cuda, "BATCH", 100)
    checkpoint = load_checkpoint(WEIGHTS / "first.json")
    days, statics = season
    days, statics = [day[:250] for day in days], statics[:250]
    state = State.zeros(250, 256)
    resident = Resident(checkpoint, statics, state, torch.device("cpu"), precision)
    for forcing, (expected, after) in zip(
        days, run(checkpoint, days, statics, state, "cpu"), strict=True
    ):
        found = resident.advance(torch.tensor(forcing))
        assert_agree(Prediction(*found.numpy()), expected, precision)
        np.testing.assert_allclose(resident.h, after.h, atol=1e-2)
        np.testing.assert_allclose(resident.c, after.c, atol=3e-2)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_its_arithmetic_agrees_for_an_ensemble(
    ensemble: Checkpoint,
    make_gappy_day: MakeDay,
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cuda, "BATCH", 100)
    _, statics, state = make_gappy_day(250)
    days = [make_gappy_day(250, seed=seed)[0] for seed in range(5)]
    resident = Resident(ensemble, statics, state, torch.device("cpu"), precision)
    for forcing, (expected, after) in zip(
        days, run(ensemble, days, statics, state, "cpu"), strict=True
    ):
        found = resident.advance(torch.tensor(forcing))
        assert_agree(Prediction(*found.numpy()), expected, precision)
        np.testing.assert_allclose(resident.h, after.h, atol=1e-2)
        np.testing.assert_allclose(resident.c, after.c, atol=1e-2)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu_for_an_ensemble(ensemble: Checkpoint, make_gappy_day: MakeDay):
    _, statics, state = make_gappy_day(1500)
    days = [make_gappy_day(1500, seed=seed)[0] for seed in range(5)]
    expected = run(ensemble, days, statics, state, "cpu")
    found = run(ensemble, iter(days), statics, state, "cuda")
    for (cpu, _), (device, _) in zip(expected, found, strict=True):
        assert_agree(device, cpu, "float32")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_cuda_agrees_with_the_cpu(
    season: tuple[list[np.ndarray], np.ndarray], precision: Precision
):
    checkpoint = load_checkpoint(WEIGHTS / "first.json")
    days, statics = season
    state = State.zeros(1500, 256)
    expected = run(checkpoint, days, statics, state, "cpu")
    found = run(checkpoint, iter(days), statics, state, "cuda", precision=precision)
    for (cpu, _), (device, _) in zip(expected, found, strict=True):
        assert_agree(device, cpu, precision)


@pytest.mark.gpu
def test_cuda_days_in_sequence_equal_single_days(
    season: tuple[list[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    """A day's results are its own although the next days are already under way."""
    monkeypatch.setattr(cuda, "BATCH", 400)
    checkpoint = load_checkpoint(WEIGHTS / "first.json")
    days, statics = season
    state = State.zeros(1500, 256)
    stayed = list(run(checkpoint, days, statics, state, "cuda"))
    for forcing, (predicted, after) in zip(days, stayed, strict=True):
        expected, state = step(checkpoint, forcing, statics, state, "cuda")
        assert predicted.soil_moisture.tobytes() == expected.soil_moisture.tobytes()
        assert after.content_hash == state.content_hash
