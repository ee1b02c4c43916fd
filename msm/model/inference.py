"""Days of the network on all cells of a domain, or on a block of whole tiles of them."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from msm.errors import MsmError
from msm.model import cuda, tiles
from msm.model.card import Card, InputSpec
from msm.model.checkpoint import Checkpoint
from msm.model.cuda import Precision
from msm.model.prediction import Prediction
from msm.model.state import State

RANGE_TOLERANCE = 0.01
"""An input is outside the training range when it lies beyond it by more than this share of it."""

Float32 = npt.NDArray[np.float32]


class InferenceError(MsmError):
    """The inputs of a day do not fit the checkpoint or are not complete, or there is no device."""


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
    checkpoint : Checkpoint
    forcing : ndarray of float32, shape (n_cell, n_forcing)
        The day's forcing in canonical units, columns in the order of ``card.forcing``; NaN where
        an optional input is missing.
    statics : ndarray of float32, shape (n_cell, n_static)
        Static attributes in canonical units, columns in the order of ``card.statics``; NaN as in
        the forcing.
    state : State
        State after the day before.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where there is one.
    workers : int, optional
        Threads on the CPU, as many as there are processors if not given. The bytes of the result
        do not depend on it, nor on whether the cells are a whole domain or a block of it that
        begins and ends at multiples of `msm.model.state.TILE`. The number of torch's threads is
        the process's: two steps at a time belong in two processes.
    precision : {"float32", "float16"}
        Arithmetic of the LSTM on CUDA; the CPU always takes float32.

    Returns
    -------
    Prediction
    State
        State after the day, rounded to storage precision.

    Raises
    ------
    InferenceError
        If shapes do not fit, or an input that is not optional is missing somewhere: values are
        never invented; or if CUDA is asked for and not there.
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
    """Advance the state day after day: on the CPU the same bytes as by `step`.

    On CUDA the state stays on the device, and a day is given while the next one is computed: the
    next day's forcing is taken before.

    Parameters
    ----------
    checkpoint : Checkpoint
    days : iterable of ndarray of float32, shape (n_cell, n_forcing)
        The forcing of each day, in order.
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
    target = _device(device)
    checked = (_checked(checkpoint.card, forcing, statics, state) for forcing in days)
    if target.type == "cuda":
        yield from cuda.run(checkpoint, checked, statics, state, target, precision)
        return
    for forcing in checked:
        prediction, state = tiles.step(checkpoint, forcing, statics, state, workers)
        yield prediction, state


def outside_training(card: Card, forcing: Float32, statics: Float32) -> npt.NDArray[np.bool_]:
    """Tell the cells where an input lies outside the range that the checkpoint saw.

    Parameters
    ----------
    card : Card
    forcing, statics : ndarray of float32, shape (n_cell, n_forcing) and (n_cell, n_static)
        As for `step`.

    Returns
    -------
    ndarray of bool, shape (n_cell,)
        True where at least one input is beyond its training range by more than
        `RANGE_TOLERANCE` of that range; one that is missing is not.
    """
    outside = np.zeros(forcing.shape[0], bool)
    for spec, column in _columns(card, forcing, statics):
        slack = RANGE_TOLERANCE * (spec.maximum - spec.minimum)
        outside |= (column < spec.minimum - slack) | (column > spec.maximum + slack)
    return outside


def _columns(card: Card, forcing: Float32, statics: Float32) -> Iterator[tuple[InputSpec, Float32]]:
    for specs, values in ((card.forcing, forcing), (card.statics, statics)):
        yield from zip(specs, values.T, strict=True)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InferenceError(
            "the device cuda is asked for and torch finds none: set MSM_DEVICE to auto or cpu"
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
                f" {card.name} and the state need {wanted} and float32"
            )
    if state.hidden_size != card.state_size:
        raise InferenceError(
            f"the state has hidden size {state.hidden_size}, checkpoint {card.name} has"
            f" {card.state_size}: use the chain of this checkpoint"
        )
    for spec, column in _columns(card, forcing, statics):
        wrong = int(np.isinf(column).sum() if spec.optional else (~np.isfinite(column)).sum())
        if wrong:
            raise InferenceError(
                f"input {spec.name} is not finite at {wrong} of {column.size} cells: fill it"
                " from another source or leave these cells out of the domain"
            )
    return forcing
