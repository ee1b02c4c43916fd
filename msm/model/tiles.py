"""One day of the network on the CPU, in tiles with identical arithmetic.

Every matrix product has the shape of a complete tile and runs in one thread. The bytes of a tile's
results therefore depend neither on the number of threads nor on the other tiles of the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from msm.model.checkpoint import Checkpoint
from msm.model.level import add_level_, level
from msm.model.prediction import Prediction
from msm.model.scaling import Scaling
from msm.model.state import TILE, State

Float32 = NDArray[np.float32]


class Member:
    """A network's weights in the layout of the matrix products of a tile."""

    def __init__(self, weights: Mapping[str, Float32], published: slice) -> None:
        tensors = {name: torch.tensor(weight) for name, weight in weights.items()}
        size = len(tensors["inlet.bias"])
        # tanh(x) = 1 - 2 sigmoid(-2x): with the update's weights times -2 one sigmoid, which takes
        # a quarter of the time of torch's tanh on the CPU, serves all four gates.
        factor = torch.tensor([1.0, 1.0, -2.0, 1.0]).repeat_interleave(size)
        stacked = torch.cat([tensors["lstm.weight_ih_l0"], tensors["lstm.weight_hh_l0"]], dim=1)
        self.gates = (stacked.T * factor).contiguous()
        self.gates_bias = (tensors["lstm.bias_ih_l0"] + tensors["lstm.bias_hh_l0"]) * factor
        self.inlet = tensors["inlet.weight"].T
        self.inlet_bias = tensors["inlet.bias"]
        self.head = tensors["head.weight"][published]
        self.head_bias = tensors["head.bias"][published]


class Weights:
    """A checkpoint's weights in the layout of the matrix products of a tile."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.card = card = checkpoint.card
        numbers = range(card.members)
        self.members = [Member(checkpoint.member(n), card.published_outputs) for n in numbers]
        self.scaling = Scaling(card, torch.device("cpu"))


prepared_weights = lru_cache(maxsize=2)(Weights)
"""`Weights` of the last checkpoints, computed once for all days and blocks of a process."""


def step(
    checkpoint: Checkpoint, forcing: Float32, statics: Float32, state: State, workers: int | None
) -> tuple[Prediction, State]:
    """Run one day in `workers` threads; see `msm.model.inference.step`."""
    prediction = np.empty((3, state.n_cell), np.float32)
    after = State(np.empty_like(state.h), np.empty_like(state.c))
    day = _Day(prepared_weights(checkpoint), forcing, statics, state, prediction, after)
    # The threads share one iterator over the tiles; `next` is atomic.
    tiles = iter(range(0, state.n_cell, TILE))
    workers = workers or len(os.sched_getaffinity(0))
    threads = torch.get_num_threads()
    try:
        # Parallel over tiles with one thread in each: no synchronisation within products, and a
        # summation order that does not depend on the number of processors.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(day.run, tiles) for _ in range(workers)]:
                future.result()
    finally:
        torch.set_num_threads(threads)
    return Prediction(*prediction), after


class _Day:
    """A day's channels, and views of the states and results of each member."""

    @torch.inference_mode()
    def __init__(
        self,
        weights: Weights,
        forcing: Float32,
        statics: Float32,
        state: State,
        prediction: Float32,
        after: State,
    ) -> None:
        self.weights = weights
        inputs = [torch.from_numpy(forcing), torch.from_numpy(statics)]
        self.x = weights.scaling.channels_(torch.cat(inputs, dim=1))
        self.level = level(weights.card, inputs[1])
        self.prediction = torch.from_numpy(prediction)
        self.size = state.hidden_size // len(weights.members)
        arrays = (torch.from_numpy(part) for part in (state.h, state.c, after.h, after.c))
        self.states = list(zip(*(part.split(self.size, dim=1) for part in arrays), strict=True))

    @torch.inference_mode()
    def run(self, tiles: Iterator[int]) -> None:
        """Run the tiles with these first cells, with one set of buffers."""
        members, scaling, size = self.weights.members, self.weights.scaling, self.size
        # Rows below the cells of a short last tile only have to be finite.
        x = torch.zeros(TILE, self.x.shape[1])
        zh = torch.zeros(TILE, 2 * size)
        z, h = zh[:, :size], zh[:, size:]
        gates = torch.empty(TILE, 4 * size)
        in_gate, forget, update, out_gate = gates.split(size, dim=1)
        c = torch.zeros(TILE, size)
        outputs = torch.empty(len(members[0].head), len(members), TILE)
        heads = [
            list(zip(outputs[:, number], member.head, member.head_bias, strict=True))
            for number, member in enumerate(members)
        ]
        for first in tiles:
            cells = slice(first, first + TILE)
            n = self.x[cells].shape[0]
            x[:n] = self.x[cells]
            for member, head, (h_before, c_before, h_after, c_after) in zip(
                members, heads, self.states, strict=True
            ):
                h[:n] = h_before[cells]
                c[:n] = c_before[cells]
                torch.addmm(member.inlet_bias, x, member.inlet, out=z)
                z.relu_()
                torch.addmm(member.gates_bias, zh, member.gates, out=gates)
                gates.sigmoid_()
                # tanh as above: in_gate * tanh(u) + forget * c.
                torch.addcmul(in_gate, in_gate, update, value=-2, out=update)
                torch.addcmul(update, forget, c, out=c)
                # out_gate * tanh(c), in the memory of the update.
                squashed = torch.mul(c, -2, out=update).sigmoid_()
                hidden = torch.addcmul(out_gate, out_gate, squashed, value=-2, out=update)
                for output, weight, bias in head:
                    torch.mv(hidden, weight, out=output).add_(bias)
                h_after[cells] = hidden[:n]
                c_after[cells] = c[:n]
            predicted = scaling.prediction_(outputs)[:, :n]
            add_level_(self.level.at(cells), predicted, self.weights.card)
            self.prediction[:, cells] = predicted
