"""Compare the network's step with the rate of matrix products and with a window of a year.

- share: floating-point operations of the step's products per second, as a share of the rate of a
  large square sgemm in the same threads;
- window: a CONUS day with the carried state, compared with running the 365 days that end with it
  through torch's LSTM, as hydroDL and neuralhydrology do;
- precision: difference of the map after 30 and 365 days of real forcing when the products of the
  LSTM are computed in reduced precision. The float16 option of the CUDA code is run on the CPU.
  There torch also rounds between the operations of a gate, which CUDA's single kernel does not, so
  this is an upper bound. For the products alone, weights and inputs are rounded, and sums are
  in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.results import DATA
from benchmarks.skill.carried_state import drift, published
from benchmarks.speed.one_day import multiplications
from benchmarks.speed.timing import medians
from msm.grid.domain import load_domain
from msm.model import inference
from msm.model.card import Card
from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint
from msm.model.cuda import Precision, Resident
from msm.model.network import SoilMoistureLSTM, network_of
from msm.model.state import TILE, State
from msm.training.data.pixels import read_pixels
from msm.training.data.samples import Samples
from msm.training.fitting.fit import channels
from msm.training.fitting.predict_stations import with_inputs

ROUNDS = 5
SQUARE = 2048
CELLS = 32 * TILE
WINDOW_DAYS = 365
WINDOW_CELLS, WINDOW_BATCH = 1024, 64
"""The LSTM is fastest in batches of 64: larger ones exceed the caches."""
EVERY = 4
"""Every so many cells of the real forcing are used to compare precisions."""


def inputs(card: Card, n_cell: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return random forcing and statics within the training range."""
    rng = np.random.default_rng(0)
    columns = [rng.uniform(s.minimum, s.maximum, n_cell) for s in card.inputs]
    raw = np.stack(columns, axis=1).astype(np.float32)
    return raw[:, : len(card.forcing)], raw[:, len(card.forcing) :]


def share(checkpoint: Checkpoint, threads: int) -> dict[str, float]:
    """Compare the step with a square sgemm for a number of threads."""
    card = checkpoint.card
    forcing, statics = inputs(card, CELLS)
    state = State.zeros(CELLS, card.state_size)
    left, out = torch.randn(SQUARE, SQUARE), torch.empty(SQUARE, SQUARE)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    seconds = medians(
        {
            "step": lambda: inference.step(checkpoint, forcing, statics, state, "cpu", threads),
            "sgemm": lambda: torch.mm(left, left, out=out),
        },
        ROUNDS,
    )
    torch.set_num_threads(before)
    step = 2 * CELLS * multiplications(card) / seconds["step"] / 1e9
    sgemm = 2 * SQUARE**3 / seconds["sgemm"] / 1e9
    return {"step, gflop/s": step, "sgemm, gflop/s": sgemm, "share": step / sgemm}


def window(checkpoint: Checkpoint) -> dict[str, float]:
    """Compare a day with the carried state and a window of a year, both scaled to CONUS."""
    card = checkpoint.card
    n_cell = load_domain("conus").n_cell
    forcing, statics = inputs(card, n_cell)
    state = State.zeros(n_cell, card.state_size)
    members = [network_of(checkpoint, n) for n in range(card.members)]
    x = torch.randn(WINDOW_CELLS, WINDOW_DAYS, card.n_channels)

    @torch.inference_mode()
    def whole_window() -> list[Tensor]:
        return [network(part)[0][:, -1] for network in members for part in x.split(WINDOW_BATCH)]

    seconds = medians(
        {
            "carried state": lambda: inference.step(checkpoint, forcing, statics, state, "cpu"),
            "window": whole_window,
        },
        3,
    )
    by_window = seconds["window"] * n_cell / WINDOW_CELLS
    return {
        "cells": n_cell,
        "carried state, s": seconds["carried state"],
        "window of 365 days, s": by_window,
        "times as fast": by_window / seconds["carried state"],
    }


def rounded(network: SoilMoistureLSTM, x: Tensor, number: torch.dtype) -> Tensor:
    """Predict every day with the LSTM's products taking numbers of another type.

    Shape (cells, days, n_outputs), normalised.
    """
    w_ih, w_hh, b_ih, b_hh = network.lstm.parameters()

    def product(values: Tensor, weight: Tensor) -> Tensor:
        return values.to(number).float() @ weight.to(number).float().T

    h = c = x.new_zeros(x.shape[0], network.hidden_size)
    days = []
    for today in x.unbind(dim=1):
        z = functional.relu(network.inlet(today))
        gates = product(z, w_ih) + product(h, w_hh) + b_ih + b_hh
        in_gate, forget, update, out_gate = gates.chunk(4, dim=1)
        c = forget.sigmoid() * c + in_gate.sigmoid() * update.tanh()
        h = out_gate.sigmoid() * c.tanh()
        days.append(network.head(h))
        h, c = h.half().float(), c.half().float()
    return torch.stack(days, dim=1)


def resident(checkpoint: Checkpoint, pixels: Samples, precision: Precision) -> NDArray[np.float32]:
    """Predict every day with the arithmetic of the CUDA code; soil moisture (cells, days)."""
    card = checkpoint.card
    forcing = np.stack([pixels.forcing[spec.name] for spec in card.forcing], axis=2)
    statics = np.stack([pixels.statics[spec.name] for spec in card.statics], axis=1)
    state = State.zeros(pixels.n_cell, card.state_size)
    on_cpu = Resident(checkpoint, statics, state, torch.device("cpu"), precision)
    days = [on_cpu.advance(torch.tensor(forcing[:, n]))[0] for n in range(forcing.shape[1])]
    return torch.stack(days, dim=1).numpy()


@torch.inference_mode()
def precision(checkpoint: Checkpoint) -> dict[str, object]:
    """Compare maps of reduced precision with those of float32, on real forcing."""
    pixels = read_pixels(DATA)
    pixels = pixels.at(np.flatnonzero(np.isfinite(pixels.statics["sand"]))[::EVERY])
    first = pixels.days[0]
    pixels = pixels.between(first.item(), (first + np.timedelta64(364, "D")).item())
    pixels = with_inputs(pixels, checkpoint.card)
    x = channels(checkpoint.card, pixels)

    def emulated(number: torch.dtype) -> NDArray[np.float32]:
        return published(checkpoint, lambda network: rounded(network, x, number))

    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "float16, the option's code": lambda: resident(checkpoint, pixels, "float16"),
        "float16 products": lambda: emulated(torch.float16),
        "bfloat16 products": lambda: emulated(torch.bfloat16),
    }
    exact = emulated(torch.float32)
    rows = {name: drift(predict() - exact) for name, predict in ways.items()}
    return {"cells": pixels.n_cell, **rows}


def measure() -> dict[str, object]:
    """Measure all three, the first also for a checkpoint with one wide network."""
    shipped, wide = load_checkpoint(), load_checkpoint(WEIGHTS / "first.json")
    return {
        "share": {
            f"{card.members} x {card.hidden_size} units, threads: {threads}": share(each, threads)
            for each in (shipped, wide)
            for card in (each.card,)
            for threads in (1, 2)
        },
        "window": window(shipped),
        "precision": precision(shipped),
    }
