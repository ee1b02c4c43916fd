"""How precisely the state must be kept, and what it remembers: `make memory`.

With real forcing at the cells of the training table, over three years. Two questions:

- precision: the state is rounded after every day, as storing it does; how far has the map moved
  after 30 and 365 days from one whose state is kept in float32?
- overlap: a chain that is cut in time starts cold some days before its first product; how far is
  that product from the one of a chain that never stopped?
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.results import keep
from msm.model.checkpoint import Checkpoint, load_checkpoint
from msm.model.network import SoilMoistureLSTM, network_of
from msm.training.data.pixels import read_pixels
from msm.training.fitting.fit import channels
from msm.training.fitting.predict_stations import with_inputs

PICTURE = Path("docs/images/overlap.png")
OVERLAPS = (0, 7, 15, 30, 60, 90, 120, 180, 270, 365, 540, 730)
"""Days from a cold start to the first product."""

Rounding = Callable[[Tensor], Tensor]


def _float16(x: Tensor) -> Tensor:
    return x.half().float()


def _bfloat16(x: Tensor) -> Tensor:
    return x.bfloat16().float()


def _int8(x: Tensor) -> Tensor:
    # h lies between -1 and 1.
    return torch.round(x * 127) / 127


STORED: dict[str, tuple[Rounding, Rounding, int]] = {
    "float16": (_float16, _float16, 4),
    "h int8, c float16": (_int8, _float16, 3),
    "bfloat16": (_bfloat16, _bfloat16, 4),
}
"""How h and c are rounded, and the bytes of both for one unit of one cell."""


def published(
    checkpoint: Checkpoint, outputs_of: Callable[[SoilMoistureLSTM], Tensor]
) -> NDArray[np.float32]:
    """Return the soil moisture of the product, of all outputs (..., n_outputs) of each member."""
    card = checkpoint.card
    outputs = [outputs_of(network_of(checkpoint, n)) for n in range(card.members)]
    mean = torch.stack(outputs)[..., card.published_outputs.start]
    of_members = (mean * card.head.std + card.head.mean).clamp(
        card.target.minimum, card.target.maximum
    )
    soil_moisture: NDArray[np.float32] = of_members.mean(dim=0).numpy()
    return soil_moisture


def day_by_day(built: SoilMoistureLSTM, x: Tensor, h_of: Rounding, c_of: Rounding) -> Tensor:
    """Predict every day, rounding the state between days; shape (cells, days, n_outputs)."""
    state = (x.new_zeros(x.shape[0], built.hidden_size),) * 2
    days = []
    for day in range(x.shape[1]):
        y, (h, c) = built.step(x[:, day], state)
        state = (h_of(h), c_of(c))
        days.append(y)
    return torch.stack(days, dim=1)


def errors(difference: NDArray[np.float32]) -> dict[str, float]:
    """Summarise differences in m3 m-3."""
    size = np.abs(difference)
    return {
        "root mean square": float(np.sqrt(np.mean(size**2))),
        "99 % within": float(np.quantile(size, 0.99)),
        "largest": float(size.max()),
    }


@torch.inference_mode()
def precision(checkpoint: Checkpoint, x: Tensor) -> dict[str, dict[str, object]]:
    """Compare rounded with unrounded states."""

    def made(h_of: Rounding, c_of: Rounding) -> NDArray[np.float32]:
        return published(checkpoint, lambda built: day_by_day(built, x, h_of, c_of))

    exact = made(lambda h: h, lambda c: c)
    rows: dict[str, dict[str, object]] = {}
    for name, (h_of, c_of, size) in STORED.items():
        moved = made(h_of, c_of) - exact
        rows[name] = {
            "bytes a cell": size * checkpoint.card.state_size,
            **{f"after {days} days": errors(moved[:, days - 1]) for days in (30, 365)},
            "any day": errors(moved),
        }
    return rows


@torch.inference_mode()
def overlap(checkpoint: Checkpoint, x: Tensor) -> dict[int, dict[str, float]]:
    """Compare the first product of a chain that starts cold with that of one that never stopped.

    First products are taken on the first of each month of the last year.
    """

    def made(first: int, last: int) -> NDArray[np.float32]:
        return published(checkpoint, lambda built: built(x[:, first : last + 1])[0])

    whole = made(0, x.shape[1] - 1)
    firsts = range(max(OVERLAPS), x.shape[1], 30)
    return {
        days: errors(
            np.stack([made(first - days, first)[:, -1] - whole[:, first] for first in firsts])
        )
        for days in OVERLAPS
    }


def draw(rows: dict[int, dict[str, float]], path: Path) -> None:
    """Draw the error against the overlap."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), constrained_layout=True)
    for name in ("largest", "99 % within", "root mean square"):
        axes.semilogy(list(rows), [row[name] for row in rows.values()], marker="o", label=name)
    axes.axhline(1e-4, color="0.5", linewidth=0.8)
    axes.text(730, 1.1e-4, "tolerance between kernels and devices", ha="right", fontsize=8)
    axes.set_xlabel("days from the cold start to the first product")
    axes.set_ylabel("difference, m$^3$ m$^{-3}$")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure both and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    checkpoint = load_checkpoint()
    pixels = read_pixels(arguments.data)
    pixels = pixels.at(np.isfinite(pixels.statics["sand"]))
    x = channels(checkpoint.card, with_inputs(pixels, checkpoint.card))
    curve = overlap(checkpoint, x)
    draw(curve, PICTURE)
    result = {"cells": x.shape[0], "precision": precision(checkpoint, x), "overlap": curve}
    keep(result, "carried_state")


if __name__ == "__main__":
    main()
