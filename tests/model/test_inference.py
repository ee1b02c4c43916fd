import pickle
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msm.model import tiles
from msm.model.chain import ChainRoot, open_chain
from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, make_checkpoint
from msm.model.inference import InferenceError, outside_training, run, step
from msm.model.network import SoilMoistureLSTM, network_of
from msm.model.snapshot import deflate
from msm.model.state import TILE, State, content_hash

MakeDay = Callable[..., tuple[np.ndarray, np.ndarray, State]]


def test_a_step_is_the_network_on_normalised_inputs(
    checkpoint: Checkpoint, network: SoilMoistureLSTM, make_day: MakeDay
):
    forcing, statics, state = make_day()
    predicted, after = step(checkpoint, forcing, statics, state)
    x = np.concatenate([forcing, statics], axis=1).astype(np.float64)
    x[:, 0] = np.log1p(x[:, 0])
    x = (x - [0.6, 287.0, 0.5]) / [0.9, 10.0, 0.1]
    h, c = (torch.from_numpy(part.astype(np.float32)) for part in (state.h, state.c))
    with torch.no_grad():
        y, (h, c) = network.step(torch.from_numpy(x.astype(np.float32)), (h, c))
    np.testing.assert_allclose(predicted.soil_moisture, 0.1 * y[:, 0].numpy() + 0.2, atol=1e-6)
    assert 0.1 < predicted.soil_moisture.mean() < 0.3
    # Half precision has eleven bits.
    np.testing.assert_allclose(after.h, h.numpy(), rtol=2**-11, atol=1e-6)
    np.testing.assert_allclose(after.c, c.numpy(), rtol=2**-11, atol=1e-6)


def test_the_input_state_is_not_changed(checkpoint: Checkpoint, make_day: MakeDay):
    forcing, statics, state = make_day(100)
    h, c = state.h.copy(), state.c.copy()
    _, after = step(checkpoint, forcing, statics, state)
    np.testing.assert_array_equal(state.h, h)
    np.testing.assert_array_equal(state.c, c)
    assert after.content_hash != state.content_hash


@pytest.mark.parametrize("n_cell", [1, 100, TILE, 3 * TILE + 5])
def test_the_bytes_do_not_depend_on_workers_or_threads(
    checkpoint: Checkpoint, make_day: MakeDay, n_cell: int
):
    forcing, statics, state = make_day(n_cell)
    threads = torch.get_num_threads()
    results = []
    for workers, outer in ((1, 1), (2, 1), (2, 2), (5, 2), (None, threads)):
        torch.set_num_threads(outer)
        predicted, after = step(checkpoint, forcing, statics, state, "cpu", workers)
        assert torch.get_num_threads() == outer
        results.append((predicted.soil_moisture.tobytes(), after.content_hash))
    torch.set_num_threads(threads)
    assert len(set(results)) == 1


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    n_cell=st.integers(1, 5 * TILE),
    cuts=st.sets(st.integers(1, 4)),
    workers=st.integers(1, 3),
)
def test_blocks_of_tiles_give_the_bytes_of_the_domain(
    checkpoint: Checkpoint, make_day: MakeDay, n_cell: int, cuts: set[int], workers: int
):
    _, statics, before = make_day(n_cell)
    days = [make_day(n_cell, seed=seed)[0] for seed in (1, 2)]
    whole = list(run(checkpoint, days, statics, before, "cpu"))
    bounds = [0, *(TILE * cut for cut in sorted(cuts) if TILE * cut < n_cell), n_cell]
    blocks = []
    for cells in map(slice, bounds[:-1], bounds[1:]):
        part = State(before.h[cells], before.c[cells])
        forcing = [day[cells] for day in days]
        blocks.append(list(run(checkpoint, forcing, statics[cells], part, "cpu", workers)))
    for (predicted, after), *parts in zip(whole, *blocks, strict=True):
        moisture = b"".join(part.soil_moisture.tobytes() for part, _ in parts)
        assert moisture == predicted.soil_moisture.tobytes()
        assert b"".join(state.h.tobytes() for _, state in parts) == after.h.tobytes()
        assert b"".join(state.c.tobytes() for _, state in parts) == after.c.tobytes()
        hashes = tuple(tile for _, state in parts for tile in state.tile_hashes)
        assert content_hash(n_cell, after.hidden_size, hashes) == after.content_hash


def test_a_run_of_days_equals_single_steps(checkpoint: Checkpoint, make_day: MakeDay):
    _, statics, state = make_day()
    days = [make_day(seed=seed)[0] for seed in range(1, 5)]
    for forcing, (predicted, after) in zip(
        days, run(checkpoint, iter(days), statics, state, "cpu"), strict=True
    ):
        expected, state = step(checkpoint, forcing, statics, state, "cpu")
        assert predicted.soil_moisture.tobytes() == expected.soil_moisture.tobytes()
        assert after.content_hash == state.content_hash


def test_a_day_that_cannot_be_run_leaves_the_days_before_it(
    checkpoint: Checkpoint, make_day: MakeDay
):
    forcing, statics, state = make_day(100)
    days = run(checkpoint, [forcing, forcing[:99]], statics, state, "cpu")
    assert len(next(days)[0].soil_moisture) == 100
    with pytest.raises(InferenceError, match="forcing has shape"):
        next(days)


def test_the_weights_are_prepared_weights_once_for_equal_checkpoints(checkpoint: Checkpoint):
    again = pickle.loads(pickle.dumps(checkpoint))  # noqa: S301
    assert tiles.prepared_weights(again) is tiles.prepared_weights(checkpoint)
    other = make_checkpoint(
        checkpoint.card, {**checkpoint.weights, "0.head.bias": np.ones(1, np.float32)}
    )
    assert tiles.prepared_weights(other) is not tiles.prepared_weights(checkpoint)


def test_a_missing_cuda_device_is_reported(
    checkpoint: Checkpoint, make_day: MakeDay, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InferenceError, match="MSM_DEVICE"):
        step(checkpoint, *make_day(100), "cuda")


def test_a_cell_does_not_depend_on_its_neighbours_in_the_padded_tile(
    checkpoint: Checkpoint, make_day: MakeDay
):
    forcing, statics, state = make_day(200)
    alone, _ = step(checkpoint, forcing, statics, state)
    first = slice(0, 100)
    part, _ = step(
        checkpoint, forcing[first], statics[first], State(state.h[first], state.c[first])
    )
    assert part.soil_moisture.tobytes() == alone.soil_moisture[first].tobytes()


def test_another_tile_size_changes_no_value_by_more_than_rounding(
    checkpoint: Checkpoint, make_day: MakeDay, monkeypatch: pytest.MonkeyPatch
):
    forcing, statics, state = make_day()
    expected, _ = step(checkpoint, forcing, statics, state)
    monkeypatch.setattr(tiles, "TILE", 300)
    found, _ = step(checkpoint, forcing, statics, state)
    np.testing.assert_allclose(found.soil_moisture, expected.soil_moisture, atol=1e-6)


def test_reloaded_and_in_memory_states_give_the_same_days(
    checkpoint: Checkpoint, make_day: MakeDay, tmp_path: Path
):
    start = date(2020, 5, 1)
    root = ChainRoot(
        cold_start=start,
        checkpoint_sha256=checkpoint.sha256,
        domain="box",
        mask_sha256="",
        statics_sha256="",
        processing_version="1",
    )
    chain = open_chain(tmp_path, root)
    kept = reloaded = State.zeros(300, 16)
    for n in range(10):
        forcing, statics, _ = make_day(300, seed=n)
        in_memory, kept = step(checkpoint, forcing, statics, kept)
        from_disk, after = step(checkpoint, forcing, statics, reloaded)
        day = start + timedelta(n)
        chain.write_snapshot(day, [deflate(after)])
        chain.write_record(day, after.content_hash, reloaded.content_hash, "")
        reloaded = chain.read_block(day, slice(0, after.n_cell))
        assert in_memory.soil_moisture.tobytes() == from_disk.soil_moisture.tobytes()
        assert kept.content_hash == reloaded.content_hash


def test_rounding_the_state_costs_little_over_a_season(make_day: MakeDay):
    """A half-precision state carried over 120 days against the network in full precision."""
    checkpoint = load_checkpoint(WEIGHTS / "first.json")
    card = checkpoint.card
    rng = np.random.default_rng(0)
    n_cell, n_day = 20, 120
    network = network_of(checkpoint, 0)
    z = rng.normal(size=(n_cell, n_day, 6)).clip(-2, 2)
    z[:, :, 4:] = z[:, :1, 4:]
    raw = z * [s.std for s in card.inputs] + [s.mean for s in card.inputs]
    raw[..., 0] = np.expm1(raw[..., 0].clip(0))
    raw = raw.astype(np.float32)
    x = raw.astype(np.float64)
    x[..., 0] = np.log1p(x[..., 0])
    x = (x - [s.mean for s in card.inputs]) / [s.std for s in card.inputs]
    with torch.no_grad():
        y, _ = network(torch.from_numpy(x.astype(np.float32)))
    expected = (y[..., 0].numpy() * card.head.std + card.head.mean).clip(0, 0.6)
    state = State.zeros(n_cell, 256)
    found = np.empty((n_cell, n_day), np.float32)
    for day in range(n_day):
        predicted, state = step(checkpoint, raw[:, day, :4], raw[:, day, 4:], state)
        found[:, day] = predicted.soil_moisture
    assert expected.std() > 0.02
    assert np.sqrt(np.mean((found - expected) ** 2)) < 5e-4


def test_the_output_stays_within_the_physical_bounds(checkpoint: Checkpoint, make_day: MakeDay):
    forcing, statics, state = make_day(100)
    weights = dict(checkpoint.weights)
    for bias, bound in ((-50.0, 0.0), (50.0, 0.6)):
        weights["0.head.bias"] = np.array([bias], np.float32)
        extreme = make_checkpoint(checkpoint.card, weights)
        predicted, _ = step(extreme, forcing, statics, state)
        np.testing.assert_array_equal(predicted.soil_moisture, np.float32(bound))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_input_is_an_error_that_names_it(
    checkpoint: Checkpoint, make_day: MakeDay, value: float
):
    forcing, statics, state = make_day(100)
    forcing[[3, 7], 1] = value
    with pytest.raises(InferenceError, match="air_temperature is not finite at 2 of 100 cells"):
        step(checkpoint, forcing, statics, state)
    forcing, statics, state = make_day(100)
    statics[5, 0] = value
    with pytest.raises(InferenceError, match="sand is not finite at 1 of 100 cells"):
        step(checkpoint, forcing, statics, state)


def test_inputs_that_do_not_fit_are_refused(checkpoint: Checkpoint, make_day: MakeDay):
    forcing, statics, state = make_day(100)
    with pytest.raises(InferenceError, match="forcing has shape"):
        step(checkpoint, forcing[:99], statics, state)
    with pytest.raises(InferenceError, match="float64"):
        step(checkpoint, forcing, statics.astype(np.float64), state)
    with pytest.raises(InferenceError, match="hidden size 8"):
        step(checkpoint, forcing, statics, State.zeros(100, 8))


def test_cells_outside_the_training_range_are_reported(checkpoint: Checkpoint):
    forcing = np.array([[1, 280], [200, 315], [203, 280], [0, 239], [1, 280]], np.float32)
    statics = np.array([[0.5], [0.2], [0.5], [0.5], [0.71]], np.float32)
    # 1 % of 0..200, of 240..315 and of 0.2..0.7 is 2, 0.75 and 0.005.
    outside = outside_training(checkpoint.card, forcing, statics)
    np.testing.assert_array_equal(outside, [False, False, True, True, True])


def test_missing_inputs_are_not_outside_the_training_range(
    ensemble: Checkpoint, make_gappy_day: MakeDay
):
    forcing, statics, _ = make_gappy_day(4)
    forcing[:, :2], statics[:, 0] = (1, 280), 0.5
    forcing[:, 2:] = [[4, 330], [np.nan, 330], [np.nan, np.nan], [np.nan, 500]]
    statics[:, 1] = np.nan
    outside = outside_training(ensemble.card, forcing, statics)
    np.testing.assert_array_equal(outside, [False, False, False, True])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_optional_input_may_be_missing_and_not_infinite(
    ensemble: Checkpoint, make_gappy_day: MakeDay, value: float
):
    forcing, statics, state = make_gappy_day(100)
    forcing[:, 2] = np.nan
    step(ensemble, forcing, statics, state)
    forcing[[3, 7], 2] = value
    with pytest.raises(InferenceError, match="wind_speed is not finite at 2 of 100 cells"):
        step(ensemble, forcing, statics, state)
