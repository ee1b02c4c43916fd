"""Measure the effect of the state's precision and of a cold start: `make memory`.

With real forcing at the cells of the satellite sample, over three years:

- precision: difference of the map after 30 and 365 days between a state that is rounded after every
  day, as by storing it, and a state in float32;
- overlap: difference of the first product of a chain between a cold start some days before it and a
  continuous chain.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.results import DATA, keep
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
"""Rounding of h and of c, and the bytes of both for one unit of one cell."""


def published(
    checkpoint: Checkpoint, outputs_of: Callable[[SoilMoistureLSTM], Tensor]
) -> NDArray[np.float32]:
    """Return the published soil moisture from the outputs (..., n_outputs) of each member."""
    card = checkpoint.card
    outputs = [outputs_of(network_of(checkpoint, n)) for n in range(card.members)]
    mean = torch.stack(outputs)[..., card.published_outputs.start]
    of_members = (mean * card.head.std + card.head.mean).clamp(
        card.target.minimum, card.target.maximum
    )
    soil_moisture: NDArray[np.float32] = of_members.mean(dim=0).numpy()
    return soil_moisture


def day_by_day(network: SoilMoistureLSTM, x: Tensor, h_of: Rounding, c_of: Rounding) -> Tensor:
    """Predict every day, rounding the state between days; shape (cells, days, n_outputs)."""
    state = (x.new_zeros(x.shape[0], network.hidden_size),) * 2
    days = []
    for day in range(x.shape[1]):
        y, (h, c) = network.step(x[:, day], state)
        state = (h_of(h), c_of(c))
        days.append(y)
    return torch.stack(days, dim=1)


def errors(difference: NDArray[np.float32]) -> dict[str, float]:
    """Return statistics of differences, m3 m-3."""
    size = np.abs(difference)
    return {
        "root mean square": float(np.sqrt(np.mean(size**2))),
        "99 % within": float(np.quantile(size, 0.99)),
        "largest": float(size.max()),
    }


def drift(difference: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Return statistics of differences, shape (cells, days), after 30 and 365 days and overall."""
    by_days = {f"after {days} days": errors(difference[:, days - 1]) for days in (30, 365)}
    return by_days | {"any day": errors(difference)}


@torch.inference_mode()
def precision(checkpoint: Checkpoint, x: Tensor) -> dict[str, dict[str, object]]:
    """Compare rounded with unrounded states."""

    def predicted(h_of: Rounding, c_of: Rounding) -> NDArray[np.float32]:
        return published(checkpoint, lambda network: day_by_day(network, x, h_of, c_of))

    exact = predicted(lambda h: h, lambda c: c)
    return {
        name: {
            "bytes a cell": size * checkpoint.card.state_size,
            **drift(predicted(h_of, c_of) - exact),
        }
        for name, (h_of, c_of, size) in STORED.items()
    }


@torch.inference_mode()
def overlap(checkpoint: Checkpoint, x: Tensor) -> dict[int, dict[str, float]]:
    """Compare the first product after a cold start with that of a continuous chain.

    First products are every 30 days of the last year.
    """

    def predicted(first: int, last: int) -> NDArray[np.float32]:
        return published(checkpoint, lambda network: network(x[:, first : last + 1])[0])

    whole = predicted(0, x.shape[1] - 1)
    firsts = range(max(OVERLAPS), x.shape[1], 30)
    return {
        days: errors(
            np.stack([predicted(first - days, first)[:, -1] - whole[:, first] for first in firsts])
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
    checkpoint = load_checkpoint()
    pixels = read_pixels(DATA)
    pixels = pixels.at(np.isfinite(pixels.statics["sand"]))
    x = channels(checkpoint.card, with_inputs(pixels, checkpoint.card))
    curve = overlap(checkpoint, x)
    draw(curve, PICTURE)
    result = {"cells": x.shape[0], "precision": precision(checkpoint, x), "overlap": curve}
    keep(result, "carried_state")


if __name__ == "__main__":
    main()
