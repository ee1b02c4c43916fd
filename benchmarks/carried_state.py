"""How precisely the state must be kept, and what it remembers: `make memory`.

With real forcing at the cells of the training table, over three years. Two questions:

- precision: the state is rounded after every day, as storing it does; how far has the map moved
  after 30 and 365 days from one whose state is kept in float32?
- overlap: a chain that is cut in time starts cold some days before its first product; how far is
  that product from the one of a chain that never stopped?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from msm.model.checkpoint import Checkpoint, load_checkpoint
from msm.model.network import SoilMoistureLSTM, network_of
from msm.training.fit import channels
from msm.training.pixels import read_pixels

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


def day_by_day(built: SoilMoistureLSTM, x: Tensor, h_of: Rounding, c_of: Rounding) -> Tensor:
    """Predict every day, rounding the state between days; shape (cells, days)."""
    state = (x.new_zeros(x.shape[0], built.hidden_size),) * 2
    days = []
    for day in range(x.shape[1]):
        y, (h, c) = built.step(x[:, day], state)
        state = (h_of(h), c_of(c))
        days.append(y[:, 0])
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
    built, scale = network_of(checkpoint, 0), checkpoint.card.head.std
    exact = day_by_day(built, x, lambda h: h, lambda c: c)
    rows: dict[str, dict[str, object]] = {}
    for name, (h_of, c_of, size) in STORED.items():
        moved = (scale * (day_by_day(built, x, h_of, c_of) - exact)).numpy()
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
    built, scale = network_of(checkpoint, 0), checkpoint.card.head.std
    whole = built(x)[0][..., 0]
    firsts = range(max(OVERLAPS), x.shape[1], 30)
    rows = {}
    for days in OVERLAPS:
        cut = [
            built(x[:, first - days : first + 1])[0][:, -1, 0] - whole[:, first] for first in firsts
        ]
        rows[days] = errors((scale * torch.stack(cut)).numpy())
    return rows


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
    x = channels(checkpoint.card, read_pixels(arguments.data))
    curve = overlap(checkpoint, x)
    draw(curve, PICTURE)
    result = {"cells": x.shape[0], "precision": precision(checkpoint, x), "overlap": curve}
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "carried_state.json").write_text(json.dumps(result, indent=1) + "\n")
    Console().print_json(json.dumps(result))


if __name__ == "__main__":
    main()
