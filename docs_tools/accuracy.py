"""The pages on accuracy and on the shipped checkpoint, from docs/accuracy and the card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from benchmarks.skill.comparison import PAIRED, by_part
from docs_tools.rendering import render
from msm.model.checkpoint import Checkpoint
from msm.training.data.stations import RULES
from msm.training.protocol import protocol

Record = Mapping[str, Any]

HIGHER_IS_BETTER = ("R", "R_anomaly")
WORST = 10
"""Number of sites with the lowest R that the page of the checkpoint lists."""


def accuracy_page(folder: Path) -> str:
    """Return docs/accuracy.md from a folder of results."""
    return render("accuracy", FUNCTIONS | {"found": read_all(folder), "rules": protocol()})


def checkpoint_page(checkpoint: Checkpoint, folder: Path) -> str:
    """Return docs/checkpoint.md.

    Parameters
    ----------
    checkpoint
        The checkpoint to describe.
    folder
        Folder of results; only cross-validations of the checkpoint's own recipe are shown.
    """
    card = checkpoint.card
    recipe = hashlib.sha256(card.training.recipe.encode()).hexdigest()
    results = {
        name: result
        for name, result in read_all(folder).items()
        if result.get("recipe_sha256") == recipe
    }
    values = FUNCTIONS | {
        "card": card,
        "sha256": checkpoint.sha256,
        "results": results,
        "worst": WORST,
        "jumpers": protocol().level_jumpers.stations,
        "frozen": RULES["frozen"],
    }
    return render("checkpoint", values)


def read_all(folder: Path) -> dict[str, Any]:
    """Read the JSON files of a folder, by name without ending."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def command(result: Record) -> str:
    """Return the command of a cross-validation."""
    return f"msm crossval {result['recipe']} --split {result['split']} --data FOLDER"


def share_without_levels(sites: Sequence[Record]) -> float:
    """Return the share of sites with 80 to 97 % of days inside the best possible 90 % interval.

    The interval has the scatter of the errors at each site and the spread of the biases over all
    sites, but not the sign of the bias of a site. Its width is a multiple of the root of the sum of
    both squares, the same multiple everywhere, so that it contains 90 % of the days on average.
    Errors are normally distributed.

    Parameters
    ----------
    sites
        Records with ``bias`` and ``ubRMSE``.
    """
    bias, scatter = (np.array([site[key] for site in sites]) for key in ("bias", "ubRMSE"))
    sigma = np.hypot(np.sqrt(np.mean(bias**2)), scatter)

    def inside(multiple: float) -> NDArray[np.float64]:
        low, high = ((sign * multiple * sigma - bias) / scatter for sign in (-1, 1))
        return ndtr(high) - ndtr(low)

    found = inside(brentq(lambda multiple: inside(multiple).mean() - 0.9, 0.01, 100.0))
    return float(np.mean((found >= 0.80) & (found <= 0.97)))


def shown_figures(differences: Sequence[Record]) -> list[str]:
    """Return the figures that at least one pair has."""
    return [figure for figure in PAIRED if any(figure in pair["figures"] for pair in differences)]


def paired_rows(differences: Sequence[Record]) -> Iterator[tuple[str, Record]]:
    """Yield name and figures of each pair, and again without level jumpers if it has some."""
    for pair in differences:
        name, figures = f"{pair['first']} minus {pair['second']}", pair["figures"]
        yield name, figures
        steady = {figure: found["without_jumpers"] for figure, found in figures.items()}
        if any(steady[figure]["n_sites"] != figures[figure]["n_sites"] for figure in figures):
            yield f"{name}, without level jumpers", steady


def not_better(differences: Sequence[Record]) -> Iterator[str]:
    """Yield, for each pair, the figures whose interval is not entirely on the better side."""
    for pair in differences:
        worse: list[str] = []
        unsure: list[str] = []
        for figure, found in pair["figures"].items():
            sign = 1 if figure in HIGHER_IS_BETTER else -1
            low, high = sorted((sign * found["low"], sign * found["high"]))
            if low <= 0:
                (worse if high < 0 else unsure).append(f"{figure} {interval(found, figure)}")
        groups = (("worse", worse), ("not significant", unsure))
        if worse or unsure:
            text = "; ".join(f"{how} in {', '.join(names)}" for how, names in groups if names)
            yield f"{pair['first']} compared with {pair['second']}: {text}."


def intervals(figures: Mapping[str, Record], names: Sequence[str]) -> str:
    """Format paired differences as the cells of a table row; a dash for a missing one."""
    return " | ".join(interval(figures[name], name) if name in figures else "-" for name in names)


def interval(found: Record, figure: str) -> str:
    """Format the median of a paired difference and its interval."""
    spec = "+.3f" if figure in HIGHER_IS_BETTER else "+.4f"
    middle, low, high = (format(found[key], spec) for key in ("median", "low", "high"))
    return f"{middle} [{low}, {high}]"


USED = (by_part, command, intervals, not_better, paired_rows, share_without_levels, shown_figures)
FUNCTIONS = {function.__name__: function for function in USED}
"""Functions that the templates call."""
