"""One day of the network on all cells of a domain."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from msm.errors import MsmError
from msm.model.checkpoint import Card, Checkpoint, InputSpec
from msm.model.state import TILE, State

RANGE_TOLERANCE = 0.01
"""An input is outside the training range when it lies beyond it by more than this share of it."""

Float32 = npt.NDArray[np.float32]


class InferenceError(MsmError):
    """The inputs of a day do not fit the checkpoint or are not complete."""


def step(
    checkpoint: Checkpoint,
    forcing: Float32,
    statics: Float32,
    state: State,
    device: str = "auto",
    workers: int | None = None,
) -> tuple[Float32, State]:
    """Advance the state by one day and predict the soil moisture of that day.

    Parameters
    ----------
    checkpoint : Checkpoint
    forcing : ndarray of float32, shape (n_cell, n_forcing)
        The day's forcing in canonical units, columns in the order of ``card.forcing``.
    statics : ndarray of float32, shape (n_cell, n_static)
        Static attributes in canonical units, columns in the order of ``card.statics``.
    state : State
        State after the day before.
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where there is one.
    workers : int, optional
        Threads on the CPU, as many as there are processors if not given. The bytes of the result
        do not depend on it.

    Returns
    -------
    soil_moisture : ndarray of float32, shape (n_cell,)
        m3 m-3, within the physical bounds of the card.
    State
        State after the day, rounded to storage precision.

    Raises
    ------
    InferenceError
        If shapes do not fit, or an input is not finite somewhere: values are never invented.
    """
    card = checkpoint.card
    _check(card, forcing, statics, state)
    soil_moisture = np.empty(state.n_cell, np.float32)
    after = State(np.empty_like(state.h), np.empty_like(state.c))
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    target = torch.device("cuda" if on_cuda else "cpu")
    pass_ = _Pass(checkpoint, target, forcing, statics, state, soil_moisture, after)
    # One shared iterator hands out the tiles; taking the next number is atomic.
    tiles = iter(range(0, state.n_cell, TILE))
    if on_cuda:
        pass_.run(tiles)
        return soil_moisture, after
    workers = workers or len(os.sched_getaffinity(0))
    threads = torch.get_num_threads()
    try:
        # Parallel over tiles, one thread inside each: no synchronisation inside the products, and
        # the summation order of a tile does not depend on the machine's number of processors.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(pass_.run, tiles) for _ in range(workers)]:
                future.result()
    finally:
        torch.set_num_threads(threads)
    return soil_moisture, after


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
        `RANGE_TOLERANCE` of that range.
    """
    outside = np.zeros(forcing.shape[0], bool)
    for spec, column in _columns(card, forcing, statics):
        slack = RANGE_TOLERANCE * (spec.maximum - spec.minimum)
        outside |= (column < spec.minimum - slack) | (column > spec.maximum + slack)
    return outside


class _Pass:
    """One day's pass over the cells: the network's weights and views of inputs and results."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        forcing: Float32,
        statics: Float32,
        state: State,
        soil_moisture: Float32,
        after: State,
    ) -> None:
        card = checkpoint.card
        weights = {name: torch.tensor(w, device=device) for name, w in checkpoint.weights.items()}
        self.card = card
        self.device = device
        self.inlet_weight = weights["inlet.weight"].T
        self.inlet_bias = weights["inlet.bias"]
        # torch keeps the gates as input, forget, cell, output; the three that pass through a
        # sigmoid come first here, so that one call serves them.
        order = torch.tensor([0, 1, 3, 2], device=device)
        size = card.hidden_size

        def gates(weight: Tensor) -> Tensor:
            return weight.view(4, size, -1)[order].reshape(4 * size, -1)

        stacked = torch.cat([weights["lstm.weight_ih_l0"], weights["lstm.weight_hh_l0"]], dim=1)
        self.gate_weight = gates(stacked).T.contiguous()
        bias = weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"]
        self.gate_bias = gates(bias).squeeze(1)
        self.head_weight = weights["head.weight"].squeeze(0)
        self.head_bias = weights["head.bias"]
        self.mean = torch.tensor([s.mean for s in card.inputs], device=device)
        self.std = torch.tensor([s.std for s in card.inputs], device=device)
        self.log = [i for i, s in enumerate(card.inputs) if s.transform == "log1p"]
        self.forcing, self.statics = torch.from_numpy(forcing), torch.from_numpy(statics)
        self.h, self.c = torch.from_numpy(state.h), torch.from_numpy(state.c)
        self.soil_moisture = torch.from_numpy(soil_moisture)
        self.h_after, self.c_after = torch.from_numpy(after.h), torch.from_numpy(after.c)

    @torch.inference_mode()
    def run(self, tiles: Iterator[int]) -> None:
        """Run the tiles whose first cells the iterator gives, with one set of buffers."""
        size, n_inputs = self.card.hidden_size, len(self.card.inputs)
        x = torch.zeros(TILE, n_inputs, device=self.device)
        zh = torch.zeros(TILE, 2 * size, device=self.device)
        gates = torch.empty(TILE, 4 * size, device=self.device)
        c = torch.zeros(TILE, size, device=self.device)
        target = self.card.target
        for first in tiles:
            cells = slice(first, first + TILE)
            n = self.soil_moisture[cells].shape[0]
            x[:n, : self.forcing.shape[1]] = self.forcing[cells]
            x[:n, self.forcing.shape[1] :] = self.statics[cells]
            for column in self.log:
                x[:, column].log1p_()
            x.sub_(self.mean).div_(self.std)
            z, h = zh[:, :size], zh[:, size:]
            torch.addmm(self.inlet_bias, x, self.inlet_weight, out=z)
            z.relu_()
            h[:n] = self.h[cells]
            c[:n] = self.c[cells]
            torch.addmm(self.gate_bias, zh, self.gate_weight, out=gates)
            gates[:, : 3 * size].sigmoid_()
            in_gate, forget, out_gate, update = gates.split(size, dim=1)
            c.mul_(forget).addcmul_(in_gate, update.tanh_())
            torch.tanh(c, out=update)
            out_gate.mul_(update)
            y = torch.mv(out_gate, self.head_weight).add_(self.head_bias)
            y.mul_(target.std).add_(target.mean).clamp_(target.minimum, target.maximum)
            self.soil_moisture[cells] = y[:n]
            self.h_after[cells] = out_gate[:n]
            self.c_after[cells] = c[:n]
            # What a short last tile leaves below its cells must stay finite, nothing more.
            x.zero_()


def _columns(card: Card, forcing: Float32, statics: Float32) -> Iterator[tuple[InputSpec, Float32]]:
    for specs, values in ((card.forcing, forcing), (card.statics, statics)):
        yield from zip(specs, values.T, strict=True)


def _check(card: Card, forcing: Float32, statics: Float32, state: State) -> None:
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
    if state.hidden_size != card.hidden_size:
        raise InferenceError(
            f"the state has hidden size {state.hidden_size}, checkpoint {card.name} has"
            f" {card.hidden_size}: use the chain of this checkpoint"
        )
    for spec, column in _columns(card, forcing, statics):
        missing = column.size - int(np.isfinite(column).sum())
        if missing:
            raise InferenceError(
                f"input {spec.name} is not finite at {missing} of {column.size} cells: fill it"
                " from another source or leave these cells out of the domain"
            )
