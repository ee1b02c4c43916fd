"""An ensemble on the CPU against torch's own modules, and its bytes whoever runs it."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, make_checkpoint
from msm.model.inference import run, step
from msm.model.state import TILE, State

MakeDay = Callable[..., tuple[np.ndarray, np.ndarray, State]]
FIELDS = ("soil_moisture", "aleatoric", "epistemic")


def by_torch(checkpoint: Checkpoint, forcing, statics, state: State):
    """Run a day by nn.Linear and nn.LSTM, member by member: the three fields, h and c."""
    card = checkpoint.card
    raw = np.concatenate([forcing, statics], axis=1).astype(np.float64)
    channels, masks = [], []
    for spec, value in zip(card.inputs, raw.T, strict=True):
        transformed = np.log1p(value) if spec.transform == "log1p" else value
        normalised = (transformed - spec.mean) / spec.std
        if spec.optional:
            normalised[np.isnan(value)] = 0.0
            masks.append(np.isnan(value))
        channels.append(normalised)
    x = torch.tensor(np.stack([*channels, *masks], axis=1), dtype=torch.float32)
    size, (head,) = card.hidden_size, [h for h in card.heads if h.name == card.published]
    place = sum(1 if h.error else 2 for h in card.heads[: card.heads.index(head)])
    moisture, variance, states = [], [], []
    for number in range(card.members):
        inlet, lstm = nn.Linear(x.shape[1], size), nn.LSTM(size, size, batch_first=True)
        last = nn.Linear(size, sum(1 if h.error else 2 for h in card.heads))
        for name, module in (("inlet", inlet), ("lstm", lstm), ("head", last)):
            for parameter, weight in module.named_parameters():
                weight.data = torch.tensor(checkpoint.weights[f"{number}.{name}.{parameter}"])
        units = slice(number * size, (number + 1) * size)
        before = [torch.tensor(part[:, units]).float()[None] for part in (state.h, state.c)]
        with torch.no_grad():
            out, after = lstm(inlet(x).relu()[:, None], tuple(before))
            said = last(out[:, 0]).double().numpy()
        moisture.append(np.clip(said[:, place] * head.std + head.mean, 0.0, 0.6))
        spread = head.error or head.std * np.exp(said[:, place + 1] / 2)
        variance.append(np.broadcast_to(spread, len(x)) ** 2)
        states.append([part[0].numpy() for part in after])
    slopes = {term.name: term.slope for term in card.level}
    of_level = [n for n, spec in enumerate(card.inputs) if spec.name in slopes]
    known = np.isfinite(raw[:, of_level]).all(axis=1)
    level = sum(slopes[card.inputs[n].name] * channels[n] for n in of_level)
    fields = (
        np.clip(np.mean(moisture, axis=0) + known * level, 0.0, 0.6),
        np.where(known, 1.0, card.uncertainty.without_level)
        * card.uncertainty.aleatoric
        * np.sqrt(np.mean(variance, axis=0)),
        card.uncertainty.epistemic * np.std(moisture, axis=0, ddof=1)
        if card.members > 1
        else np.zeros(len(x)),
    )
    return fields, *(np.concatenate(part, axis=1) for part in zip(*states, strict=True))


def assert_by_torch(checkpoint: Checkpoint, forcing, statics, state: State):
    predicted, after = step(checkpoint, forcing, statics, state, "cpu")
    fields, h, c = by_torch(checkpoint, forcing, statics, state)
    for name, expected in zip(FIELDS, fields, strict=True):
        found = getattr(predicted, name)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0, err_msg=name)
    # Half precision has eleven bits.
    np.testing.assert_allclose(after.h, h, rtol=2**-11, atol=1e-6)
    np.testing.assert_allclose(after.c, c, rtol=2**-11, atol=1e-6)
    return predicted


def test_an_ensemble_equals_plain_torch_modules(ensemble: Checkpoint, make_gappy_day: MakeDay):
    predicted = assert_by_torch(ensemble, *make_gappy_day())
    assert predicted.soil_moisture.std() > 0.005
    assert predicted.aleatoric.std() > 0.001
    assert predicted.epistemic.mean() > 0.005


def test_one_member_equals_a_plain_torch_lstm(checkpoint: Checkpoint, make_day: MakeDay):
    predicted = assert_by_torch(checkpoint, *make_day())
    np.testing.assert_array_equal(predicted.aleatoric, np.float32(0.05))
    np.testing.assert_array_equal(predicted.epistemic, 0.0)


def test_the_shipped_checkpoint_is_a_plain_torch_lstm():
    checkpoint = load_checkpoint(WEIGHTS / "first.json")
    rng = np.random.default_rng(0)
    low, high = ([getattr(s, k) for s in checkpoint.card.inputs] for k in ("minimum", "maximum"))
    raw = rng.uniform(low, high, (TILE + 9, 6)).astype(np.float32)
    state = State(*rng.uniform(-1, 1, (2, TILE + 9, 256)).astype(np.float16))
    assert_by_torch(checkpoint, raw[:, :4], raw[:, 4:], state)


@pytest.mark.parametrize("n_cell", [100, 3 * TILE + 1])
def test_the_bytes_of_an_ensemble_do_not_depend_on_threads_or_blocks(
    ensemble: Checkpoint, make_gappy_day: MakeDay, n_cell: int
):
    _, statics, before = make_gappy_day(n_cell)
    days = [make_gappy_day(n_cell, seed=seed)[0] for seed in (1, 2)]
    whole = list(run(ensemble, days, statics, before, "cpu", workers=1))
    for workers, bounds in ((2, (0, n_cell)), (3, (0, TILE, 3 * TILE, n_cell))):
        ends = [end for end in bounds if end <= n_cell]
        blocks = []
        for cells in (slice(*pair) for pair in pairwise([*ends[:-1], n_cell])):
            part = State(before.h[cells], before.c[cells])
            forcing = [day[cells] for day in days]
            blocks.append(list(run(ensemble, forcing, statics[cells], part, "cpu", workers)))
        for (predicted, after), *parts in zip(whole, *blocks, strict=True):
            for name in FIELDS:
                joined = b"".join(getattr(part, name).tobytes() for part, _ in parts)
                assert joined == getattr(predicted, name).tobytes(), name
            assert b"".join(state.h.tobytes() for _, state in parts) == after.h.tobytes()
            assert b"".join(state.c.tobytes() for _, state in parts) == after.c.tobytes()


def test_states_of_members_are_independent(ensemble: Checkpoint, make_gappy_day: MakeDay):
    forcing, statics, state = make_gappy_day(100)
    _, expected = step(ensemble, forcing, statics, state, "cpu")
    h = state.h.copy()
    h[:, 16:32] = 0
    _, found = step(ensemble, forcing, statics, State(h, state.c), "cpu")
    same = (found.c == expected.c).all(axis=0)
    np.testing.assert_array_equal(same.nonzero()[0], [*range(16), *range(32, 48)])


def test_missing_inputs_equal_the_mean_if_the_mask_has_no_weight(
    ensemble: Checkpoint, make_gappy_day: MakeDay
):
    forcing, statics, state = make_gappy_day(100)
    deaf = dict(ensemble.weights)
    for number in range(3):
        inlet = deaf[f"{number}.inlet.weight"].copy()
        inlet[:, 6:] = 0.0
        deaf[f"{number}.inlet.weight"] = inlet
    filled = forcing.copy()
    for column, mean in ((2, 4.0), (3, 330.0)):
        filled[np.isnan(filled[:, column]), column] = mean
    without = make_checkpoint(ensemble.card, deaf)
    missing, _ = step(without, forcing, statics, state, "cpu")
    given, _ = step(without, filled, statics, state, "cpu")
    assert missing.soil_moisture.tobytes() == given.soil_moisture.tobytes()
    told, _ = step(ensemble, forcing, statics, state, "cpu")
    guessed, _ = step(ensemble, filled, statics, state, "cpu")
    differs = told.soil_moisture != guessed.soil_moisture
    np.testing.assert_array_equal(differs, np.isnan(forcing).any(axis=1))
