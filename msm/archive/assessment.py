"""The quality of a published map, next to it as ``<stem>-quality.json``.

It is not part of the NetCDF file: the data that a map is compared with may arrive later than the
map, and daily run, backfill and replay write the same file.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from msm.atomic_files import read_document, replacing
from msm.frozen import FrozenModel
from msm.settings import Limits

SUFFIX = "-quality.json"


class Verdict(StrEnum):
    """The result of the quality limits."""

    good = "good"
    flagged = "flagged"
    """A limit is exceeded: inspect the map before use."""
    withheld = "withheld"
    """The map is published, but `latest.json` does not point to it."""


class Comparison(FrozenModel):
    """A map compared with another on the same cells."""

    cells: int
    """Cells with a value in both."""
    bias: float
    """Mean of map minus other, m3 m-3."""
    ubrmse: float
    """Standard deviation of map minus other, m3 m-3."""
    correlation: float | None
    """Pearson's R over the cells; None where one of the two is constant."""


class Assessment(FrozenModel):
    """The quality of a map."""

    day: date
    sha256: str = ""
    """Of the NetCDF file that is assessed."""
    valid_fraction: float
    """Share of the domain's cells that have a value."""
    unflagged: float
    """Share of these without a quality flag."""
    outside_training: float
    """Share of these with an input outside the range of the training."""
    mean: float | None
    """m3 m-3."""
    forcing: dict[str, tuple[float, float]]
    """Lowest and highest value of each forcing variable."""
    yesterday: Comparison | None = None
    """With the previous day; None where that is not published."""
    other_years: Comparison | None = None
    """With the mean of the same date in other years; None in an archive's first year."""
    satellite: Comparison | None = None
    """With that day's SMAP retrievals of recommended quality; None until there are any."""
    satellite_granule: str | None = None
    by_vegetation: dict[str, Comparison] = Field(default_factory=dict)
    """The same by vegetation water content, as a proxy for land cover."""
    verdict: Verdict = Verdict.good
    exceeded: tuple[str, ...] = ()
    """Names of the limits that the map exceeds."""

    def judged(self, limits: Limits) -> Assessment:
        """Return the assessment with the verdict of these limits."""
        found = self._exceeding(limits)
        verdict = Verdict.flagged if found else Verdict.good
        if "valid_fraction" in found:
            verdict = Verdict.withheld
        return self.model_copy(update={"verdict": verdict, "exceeded": tuple(found)})

    def _exceeding(self, limits: Limits) -> list[str]:
        found = []
        if self.valid_fraction < limits.valid_fraction:
            found.append("valid_fraction")
        if self.outside_training > limits.outside_training:
            found.append("outside_training")
        if self.yesterday and np.hypot(self.yesterday.bias, self.yesterday.ubrmse) > limits.step:
            found.append("step")
        if (seen := self.satellite) and seen.cells >= limits.satellite_cells:
            if abs(seen.bias) > limits.satellite_bias:
                found.append("satellite_bias")
            if seen.ubrmse > limits.satellite_ubrmse:
                found.append("satellite_ubrmse")
            if (seen.correlation or 0.0) < limits.satellite_correlation:
                found.append("satellite_correlation")
        return found


def compare_maps(values: NDArray[np.floating], other: NDArray[np.floating]) -> Comparison | None:
    """Compare two maps cell by cell; None where fewer than two cells have both values."""
    both = np.isfinite(values) & np.isfinite(other)
    if both.sum() < 2:
        return None
    one, two = values[both].astype(np.float64), other[both].astype(np.float64)
    difference = one - two
    varies = np.ptp(one) > 0 and np.ptp(two) > 0
    return Comparison(
        cells=int(both.sum()),
        bias=float(difference.mean()),
        ubrmse=float(difference.std()),
        correlation=float(np.corrcoef(one, two)[0, 1]) if varies else None,
    )


def assessment_path(path: Path) -> Path:
    """Return the path of a published file's assessment."""
    return path.with_name(f"{path.stem}{SUFFIX}")


def read_assessment(path: Path) -> Assessment | None:
    """Read the assessment of a published file, None where there is none.

    Raises
    ------
    MsmError
        If it is damaged.
    """
    return read_document(assessment_path(path), Assessment.model_validate_json)


def write_assessment(path: Path, assessment: Assessment) -> None:
    """Write an assessment next to its file."""
    with replacing(assessment_path(path)) as new:
        new.write_text(assessment.model_dump_json(indent=1) + "\n")
