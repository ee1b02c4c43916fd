"""One day of the network on the CPU: tiles of cells, each with the same arithmetic everywhere.

Every product has the shape of a whole tile, in one thread, so the bytes of a tile's results depend
neither on the number of threads nor on what other tiles are run with it.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from msm.model.checkpoint import Checkpoint
from msm.model.level import apply_, level
from msm.model.prediction import Prediction
from msm.model.scaling import Scaling
from msm.model.state import TILE, State

Float32 = npt.NDArray[np.float32]


class Member:
    """A network's weights, laid out for the products of a tile."""

    def __init__(self, weights: Mapping[str, Float32], published: slice) -> None:
        of = {name: torch.tensor(weight) for name, weight in weights.items()}
        size = len(of["inlet.bias"])
        # tanh(x) = 1 - 2 sigmoid(-2x): with the update's weights times -2 one sigmoid, which takes
        # a quarter of the time of torch's tanh on the CPU, serves all four gates.
        factor = torch.tensor([1.0, 1.0, -2.0, 1.0]).repeat_interleave(size)
        stacked = torch.cat([of["lstm.weight_ih_l0"], of["lstm.weight_hh_l0"]], dim=1)
        self.gates = (stacked.T * factor).contiguous()
        self.gates_bias = (of["lstm.bias_ih_l0"] + of["lstm.bias_hh_l0"]) * factor
        self.inlet = of["inlet.weight"].T
        self.inlet_bias = of["inlet.bias"]
        self.head = of["head.weight"][published]
        self.head_bias = of["head.bias"][published]


class Weights:
    """A checkpoint's weights, laid out for the products of a tile."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.card = card = checkpoint.card
        numbers = range(card.members)
        self.members = [Member(checkpoint.member(n), card.published_outputs) for n in numbers]
        self.scaling = Scaling(card, torch.device("cpu"))


laid_out = lru_cache(maxsize=2)(Weights)
"""`Weights`, laid out once for all days and blocks of a process."""


def step(
    checkpoint: Checkpoint, forcing: Float32, statics: Float32, state: State, workers: int | None
) -> tuple[Prediction, State]:
    """Run one day on so many threads, as `msm.model.inference.step` describes it."""
    prediction = np.empty((3, state.n_cell), np.float32)
    after = State(np.empty_like(state.h), np.empty_like(state.c))
    day = _Day(laid_out(checkpoint), forcing, statics, state, prediction, after)
    # One shared iterator hands out the tiles; taking the next number is atomic.
    tiles = iter(range(0, state.n_cell, TILE))
    workers = workers or len(os.sched_getaffinity(0))
    threads = torch.get_num_threads()
    try:
        # Parallel over tiles, one thread inside each: no synchronisation inside the products, and
        # the summation order of a tile does not depend on the machine's number of processors.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for future in [pool.submit(day.run, tiles) for _ in range(workers)]:
                future.result()
    finally:
        torch.set_num_threads(threads)
    return Prediction(*prediction), after


class _Day:
    """A day's channels, and views of its states and results, those of each member apart."""

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
        whole = (torch.from_numpy(part) for part in (state.h, state.c, after.h, after.c))
        self.states = list(zip(*(part.split(self.size, dim=1) for part in whole), strict=True))

    @torch.inference_mode()
    def run(self, tiles: Iterator[int]) -> None:
        """Run the tiles whose first cells the iterator gives, with one set of buffers."""
        members, scaling, size = self.weights.members, self.weights.scaling, self.size
        # What a short last tile leaves below its cells must be finite, nothing more.
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
                # tanh as above: in_gate * tanh(u), and forget * c added to it.
                torch.addcmul(in_gate, in_gate, update, value=-2, out=update)
                torch.addcmul(update, forget, c, out=c)
                # out_gate * tanh(c), in the place of the update.
                squashed = torch.mul(c, -2, out=update).sigmoid_()
                hidden = torch.addcmul(out_gate, out_gate, squashed, value=-2, out=update)
                for output, weight, bias in head:
                    torch.mv(hidden, weight, out=output).add_(bias)
                h_after[cells] = hidden[:n]
                c_after[cells] = c[:n]
            predicted = scaling.prediction_(outputs)[:, :n]
            apply_(self.level.at(cells), predicted, self.weights.card)
            self.prediction[:, cells] = predicted
