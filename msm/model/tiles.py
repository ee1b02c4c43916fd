"""One day of the network on the CPU: tiles of cells, each with the same arithmetic everywhere.

Every product has the shape of a whole tile, in one thread, so the bytes of a tile's results depend
neither on the number of threads nor on what other tiles are run with it.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from msm.model.checkpoint import Checkpoint
from msm.model.scaling import Scaling
from msm.model.state import TILE, State

Float32 = npt.NDArray[np.float32]


class Weights:
    """A checkpoint's weights, laid out for the products of a tile."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        weights = {name: torch.tensor(weight) for name, weight in checkpoint.weights.items()}
        size = checkpoint.card.hidden_size
        # tanh(x) = 1 - 2 sigmoid(-2x): with the update's weights times -2 one sigmoid, which takes
        # a quarter of the time of torch's tanh on the CPU, serves all four gates.
        factor = torch.tensor([1.0, 1.0, -2.0, 1.0]).repeat_interleave(size)
        stacked = torch.cat([weights["lstm.weight_ih_l0"], weights["lstm.weight_hh_l0"]], dim=1)
        self.gates = (stacked.T * factor).contiguous()
        self.gates_bias = (weights["lstm.bias_ih_l0"] + weights["lstm.bias_hh_l0"]) * factor
        self.inlet = weights["inlet.weight"].T
        self.inlet_bias = weights["inlet.bias"]
        self.head = weights["head.weight"].squeeze(0)
        self.head_bias = weights["head.bias"]
        self.scaling = Scaling(checkpoint.card, torch.device("cpu"))


laid_out = lru_cache(maxsize=2)(Weights)
"""`Weights`, laid out once for all days and blocks of a process."""


def step(
    checkpoint: Checkpoint, forcing: Float32, statics: Float32, state: State, workers: int | None
) -> tuple[Float32, State]:
    """Run one day on so many threads, as `msm.model.inference.step` describes it."""
    soil_moisture = np.empty(state.n_cell, np.float32)
    after = State(np.empty_like(state.h), np.empty_like(state.c))
    day = _Day(laid_out(checkpoint), forcing, statics, state, soil_moisture, after)
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
    return soil_moisture, after


class _Day:
    """A day's normalised inputs, and views of its states and results."""

    @torch.inference_mode()
    def __init__(
        self,
        weights: Weights,
        forcing: Float32,
        statics: Float32,
        state: State,
        soil_moisture: Float32,
        after: State,
    ) -> None:
        self.weights = weights
        inputs = [torch.from_numpy(forcing), torch.from_numpy(statics)]
        self.x = weights.scaling.normalise_(torch.cat(inputs, dim=1))
        self.h, self.c = torch.from_numpy(state.h), torch.from_numpy(state.c)
        self.soil_moisture = torch.from_numpy(soil_moisture)
        self.h_after, self.c_after = torch.from_numpy(after.h), torch.from_numpy(after.c)

    @torch.inference_mode()
    def run(self, tiles: Iterator[int]) -> None:
        """Run the tiles whose first cells the iterator gives, with one set of buffers."""
        weights, size = self.weights, self.h.shape[1]
        # What a short last tile leaves below its cells must be finite, nothing more.
        x = torch.zeros(TILE, self.x.shape[1])
        zh = torch.zeros(TILE, 2 * size)
        z, h = zh[:, :size], zh[:, size:]
        gates = torch.empty(TILE, 4 * size)
        in_gate, forget, update, out_gate = gates.split(size, dim=1)
        c = torch.zeros(TILE, size)
        for first in tiles:
            cells = slice(first, first + TILE)
            n = self.soil_moisture[cells].shape[0]
            x[:n] = self.x[cells]
            h[:n] = self.h[cells]
            c[:n] = self.c[cells]
            torch.addmm(weights.inlet_bias, x, weights.inlet, out=z)
            z.relu_()
            torch.addmm(weights.gates_bias, zh, weights.gates, out=gates)
            gates.sigmoid_()
            # tanh as above: in_gate * tanh(u), and forget * c added to it.
            torch.addcmul(in_gate, in_gate, update, value=-2, out=update)
            torch.addcmul(update, forget, c, out=c)
            # out_gate * tanh(c), in the place of the update.
            squashed = torch.mul(c, -2, out=update).sigmoid_()
            hidden = torch.addcmul(out_gate, out_gate, squashed, value=-2, out=update)
            y = torch.mv(hidden, weights.head).add_(weights.head_bias)
            self.soil_moisture[cells] = weights.scaling.soil_moisture_(y)[:n]
            self.h_after[cells] = hidden[:n]
            self.c_after[cells] = c[:n]
