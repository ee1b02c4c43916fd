"""Days of the network on all cells of a domain, or on a block of its complete tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.model import cuda, tiles
from msm.model.card import Card, InputSpec
from msm.model.checkpoint import Checkpoint
from msm.model.cuda import Precision
from msm.model.prediction import Prediction
from msm.model.state import State

RANGE_TOLERANCE = 0.01
"""Tolerance of the training range of an input, as a share of its width."""

Float32 = NDArray[np.float32]


class InferenceError(MsmError):
    """The inputs of a day are incomplete or do not fit the checkpoint, or there is no device."""


def step(
    checkpoint: Checkpoint,
    forcing: Float32,
    statics: Float32,
    state: State,
    device: str = "auto",
    workers: int | None = None,
    precision: Precision = "float32",
) -> tuple[Prediction, State]:
    """Advance the state by one day and predict the soil moisture of that day with its uncertainty.

    Parameters
    ----------
    checkpoint
    forcing
        Shape (n_cell, n_forcing). The day's forcing in canonical units, columns in the order of
        ``card.forcing``; NaN where an optional input is missing.
    statics
        Shape (n_cell, n_static). Static attributes in canonical units, columns in the order of
        ``card.statics``; NaN as in the forcing.
    state
        State after the previous day.
    device
        "auto" uses CUDA if available; else "cpu" or "cuda".
    workers
        Number of CPU threads; the number of processors if not given. The bytes of the result do
        not depend on it, nor on whether the cells are a domain or a block of it that begins and
        ends at multiples of `msm.model.state.TILE`. Torch's number of threads is a setting of the
        process, so simultaneous steps need separate processes.
    precision
        Arithmetic of the LSTM on CUDA; the CPU always uses float32.

    Returns
    -------
    Prediction
    State
        State after the day, rounded to storage precision.

    Raises
    ------
    InferenceError
        If shapes do not fit, if an input that is not optional is missing in a cell, or if CUDA is
        selected and not available.
    """
    days = run(checkpoint, [forcing], statics, state, device, workers, precision)
    return next(days)


def run(
    checkpoint: Checkpoint,
    days: Iterable[Float32],
    statics: Float32,
    state: State,
    device: str = "auto",
    workers: int | None = None,
    precision: Precision = "float32",
) -> Iterator[tuple[Prediction, State]]:
    """Advance the state day after day; on the CPU with the same bytes as `step`.

    On CUDA the state stays on the device, and the forcing of the next day is consumed before a day
    is yielded.

    Parameters
    ----------
    checkpoint
    days
        Shape (n_cell, n_forcing). The forcing of each day, in order.
    statics, state, device, workers, precision
        As for `step`.

    Yields
    ------
    Prediction
    State
        Of each day, as `step` returns them.

    Raises
    ------
    InferenceError
        As `step`.
    """
    target = find_device(device)
    checked = (_checked(checkpoint.card, forcing, statics, state) for forcing in days)
    if target.type == "cuda":
        yield from cuda.run(checkpoint, checked, statics, state, target, precision)
        return
    for forcing in checked:
        prediction, state = tiles.step(checkpoint, forcing, statics, state, workers)
        yield prediction, state


def outside_training(card: Card, forcing: Float32, statics: Float32) -> NDArray[np.bool_]:
    """Return the cells where an input lies outside the training range.

    Parameters
    ----------
    card
    forcing, statics
        Shape (n_cell, n_forcing) and (n_cell, n_static). As for `step`.

    Returns
    -------
    ndarray of bool, shape (n_cell,)
        True where at least one input exceeds its training range by more than `RANGE_TOLERANCE` of
        the range; missing inputs do not count.
    """
    outside = np.zeros(forcing.shape[0], bool)
    for spec, column in _columns(card, forcing, statics):
        slack = RANGE_TOLERANCE * (spec.maximum - spec.minimum)
        outside |= (column < spec.minimum - slack) | (column > spec.maximum + slack)
    return outside


def _columns(card: Card, forcing: Float32, statics: Float32) -> Iterator[tuple[InputSpec, Float32]]:
    for specs, values in ((card.forcing, forcing), (card.statics, statics)):
        yield from zip(specs, values.T, strict=True)


def find_device(name: str) -> torch.device:
    """Return the device that a setting selects: `cpu`, `cuda`, or `auto`, which prefers CUDA.

    Raises
    ------
    InferenceError
        If CUDA is selected and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InferenceError(
            "The device cuda is selected and torch finds none: set MSM_DEVICE to auto or cpu."
        )
    return torch.device(name)


def _checked(card: Card, forcing: Float32, statics: Float32, state: State) -> Float32:
    for name, specs, values in (
        ("forcing", card.forcing, forcing),
        ("statics", card.statics, statics),
    ):
        wanted = (state.n_cell, len(specs))
        if values.shape != wanted or values.dtype != np.float32:
            raise InferenceError(
                f"{name} has shape {values.shape} and type {values.dtype}, the checkpoint"
                f" {card.name} and the state need {wanted} and float32."
            )
    if state.hidden_size != card.state_size:
        raise InferenceError(
            f"The state has hidden size {state.hidden_size}, checkpoint {card.name} has"
            f" {card.state_size}: use the chain of this checkpoint."
        )
    for spec, column in _columns(card, forcing, statics):
        wrong = int(np.isinf(column).sum() if spec.optional else (~np.isfinite(column)).sum())
        if wrong:
            raise InferenceError(
                f"Input {spec.name} is not finite at {wrong} of {column.size} cells: fill it"
                " from another source or remove these cells from the domain."
            )
    return forcing
