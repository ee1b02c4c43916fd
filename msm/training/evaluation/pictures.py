"""Pictures of an evaluation: map of skill, time series and calibration curve.

The colours are from Okabe and Ito's set, which is safe for colour-blind readers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from msm.atomic_files import replacing
from msm.grid.domain import load_domain
from msm.grid.ease import project
from msm.training.evaluation.crossval import Predicted
from msm.training.evaluation.scores import coverage
from msm.training.protocol import protocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, PALE_INK, BLUE, ORANGE = "#26323a", "#6f7b83", "#0072b2", "#d55e00"
DPI = 120

SERIES_DAYS = 730
"""Length of the shown part of a series, which is the one with the most days of truth."""

SHOWN_LEVEL = 0.9
"""Level of the interval around a series."""

LEVELS = np.arange(1, 20) / 20
"""Nominal levels of the calibration curve."""

SPREAD = (10, 90)
"""Percentiles of the sites that bound the band of the calibration curve."""


def draw(predicted: Predicted, result: dict[str, Any], title: str, folder: Path) -> list[Path]:
    """Draw all pictures of an evaluation.

    Parameters
    ----------
    predicted
    result
        Its result from `scores.evaluation`; the listed sites are shown.
    title
        Name of the prediction, such as ``multiscale, folds``; it names the files as well.
    folder

    Returns
    -------
    list of Path
        ``<title>-skill.png``, ``-series.png`` and ``-calibration.png``; the same input gives
        the same files. Empty if the result lists no site.
    """
    if not result["n_sites"]:
        return []
    kept = np.isin(predicted.names, [site["name"] for site in result["sites"]])
    predicted = predicted.at(kept)
    figures = {
        "skill": skill_map(predicted, result),
        "series": best_median_worst(predicted, result),
        "calibration": calibration_curve(predicted),
    }
    folder.mkdir(parents=True, exist_ok=True)
    stem, paths = "-".join(title.replace(",", "").split()), []
    for name, figure in figures.items():
        figure.text(0.01, 0.01, _source(predicted, title), fontsize=7, color=PALE_INK)
        path = folder / f"{stem}-{name}.png"
        with replacing(path) as new:
            figure.savefig(new, format="png", dpi=DPI, metadata={"Software": None})
        paths.append(path)
    return paths


def skill_map(predicted: Predicted, result: dict[str, Any]) -> Figure:
    """Draw a map of R at each site; a ring marks stations with jumps in the level."""
    figure, axes = _figure(8, 4.3)
    _coast(axes)
    r = _metric(predicted, result, "R")
    x, y = project(predicted.lat, predicted.lon)
    jumps = np.isin(predicted.names, protocol().level_jumpers.stations)
    there = np.isfinite(r)
    size = 55 if there.sum() < 200 else 18
    for chosen, ring in ((there & ~jumps, "white"), (there & jumps, ORANGE)):
        points = axes.scatter(
            x[chosen],
            y[chosen],
            c=r[chosen],
            s=size,
            cmap="cividis",
            vmin=0,
            vmax=1,
            edgecolors=ring,
            linewidths=0.4 if ring == "white" else 1.8,
            zorder=3,
            label="level jumps" if ring == ORANGE else None,
        )
    if jumps.any():
        axes.legend(loc="lower left", frameon=False, fontsize=8)
    bar = figure.colorbar(points, ax=axes, shrink=0.7, pad=0.02, extend="min")
    bar.set_label("R over time", color=INK)
    middle = _written(result["median"]["R"])
    axes.set_title(f"R at {there.sum()} sites, median {middle}", color=INK, fontsize=11)
    return figure


def best_median_worst(predicted: Predicted, result: dict[str, Any]) -> Figure:
    """Draw the series of the sites with the highest, the median and the lowest R."""
    r = _metric(predicted, result, "R")
    order = np.argsort(r, kind="stable")[: np.isfinite(r).sum()]
    figure = _figure(9, 7.5)[0]
    figure.clear()
    rows = figure.subplots(3, 1, sharey=True)
    chosen = zip(("highest", "median", "lowest"), (-1, len(order) // 2, 0), strict=True)
    for axes, (rank, place) in zip(rows, chosen, strict=True):
        if order.size:
            _series(axes, predicted, int(order[place]), rank, r)
    rows[0].set_ylim(bottom=0)
    rows[0].legend(loc="upper right", ncols=3, fontsize=8)
    rows[1].set_ylabel("soil moisture, m³ m⁻³", color=INK)
    return figure


def calibration_curve(predicted: Predicted) -> Figure:
    """Draw the coverage of intervals of each level, over all days and at the sites."""
    levels = LEVELS.tolist()
    mean, truth, sigma = predicted.soil_moisture, predicted.truth, predicted.uncertainty
    at_sites = coverage(mean, truth, sigma, levels)
    one = (1, -1)
    pooled = coverage(mean.reshape(one), truth.reshape(one), sigma.reshape(one), levels)[:, 0]
    there = np.isfinite(at_sites).all(axis=0)
    figure, axes = _figure(5, 5)
    axes.plot([0, 1], [0, 1], color=PALE_INK, linewidth=1, linestyle=(0, (4, 4)), label="ideal")
    if there.any():
        low, high = np.percentile(at_sites[:, there], SPREAD, axis=1)
        band = f"sites, {SPREAD[0]} to {SPREAD[1]} %"
        axes.fill_between(LEVELS, low, high, color=BLUE, alpha=0.2, linewidth=0, label=band)
        axes.plot(LEVELS, pooled, color=BLUE, marker="o", markersize=3, label="all days of all")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="level of the interval",
        ylabel="share of days with the truth inside",
    )
    axes.set_title(f"Calibration at {there.sum()} sites", color=INK, fontsize=11)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    return figure


def _series(axes: Axes, predicted: Predicted, site: int, rank: str, r: NDArray[np.float64]) -> None:
    """Draw the interval, the prediction and the measurements of one site."""
    span = _densest_span(np.isfinite(predicted.truth[site]), SERIES_DAYS)
    days = predicted.days[span].astype("datetime64[D]").tolist()
    truth, mean, sigma = (
        values[site, span]
        for values in (predicted.truth, predicted.soil_moisture, predicted.uncertainty)
    )
    half = ndtri((1 + SHOWN_LEVEL) / 2) * sigma
    label = f"{100 * SHOWN_LEVEL:.0f} % interval"
    axes.fill_between(
        days, mean - half, mean + half, color=BLUE, alpha=0.2, linewidth=0, label=label
    )
    axes.plot(days, mean, color=BLUE, linewidth=1, label="predicted")
    axes.plot(days, truth, color=ORANGE, linewidth=0, marker=".", markersize=2.5, label="measured")
    part = f" ({predicted.part[site]})" if len(set(predicted.part)) > 1 else ""
    axes.set_title(
        f"{rank} R: {predicted.names[site]}{part}, {r[site]:.2f}",
        color=INK,
        fontsize=10,
        loc="left",
    )
    axes.set_xlim(days[0], days[-1])
    axes.tick_params(labelsize=8)


def _densest_span(known: NDArray[np.bool_], days: int) -> slice:
    """Return the first span of so many days that contains the most known days."""
    days = min(days, known.size)
    total = np.concatenate([[0], np.cumsum(known)])
    first = int(np.argmax(total[days:] - total[:-days]))
    return slice(first, first + days)


def _metric(predicted: Predicted, result: dict[str, Any], name: str) -> NDArray[np.float64]:
    """Return a metric of each predicted site; NaN where it has none."""
    known = {site["name"]: site[name] for site in result["sites"]}
    return np.array([known[site] for site in predicted.names], float)


def _coast(axes: Axes) -> None:
    """Draw the coast of the contiguous United States in the EASE-2 projection."""
    conus = load_domain("conus")
    land = conus.to_map(np.ones(conus.n_cell, np.uint8), 0)
    axes.contour(conus.x, conus.y, land, levels=[0.5], colors=[PALE_INK], linewidths=0.6)
    axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # The strip below the axes states the source.
    layout = ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _source(predicted: Predicted, title: str) -> str:
    truth = "USCRN, 5 cm" if " " not in predicted.names[0] else "SMAP L3, 36 km"
    return f"{title}  |  truth: {truth}, {predicted.days[0]} to {predicted.days[-1]}"


def _written(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
