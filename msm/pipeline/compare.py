"""Compare: a day's map beside that day's satellite retrievals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from msm.archive.assessment import beside
from msm.inputs.granule import GranuleFile
from msm.inputs.smap_l3 import good
from msm.pipeline.inputs import fetch_newest
from msm.pipeline.retrievals import SATELLITE
from msm.pipeline.run import Run, midnight


@dataclass(frozen=True)
class Comparison:
    """A day's map beside that day's SMAP retrievals of recommended quality, 6 am half-orbits."""

    granule: str | None
    """The retrievals' granule; None where there is none for the day."""
    cells: int
    """Cells that have both."""
    bias: float | None
    """Mean of map minus retrieval, m3 m-3."""
    ubrmse: float | None
    """Standard deviation of map minus retrieval, m3 m-3."""
    correlation: float | None
    """Pearson's R over the cells."""


def compare(run: Run, day: date, soil_moisture: NDArray[np.float32]) -> Comparison:
    """Compare a map (n_cell,) with the day's SMAP; a day without SMAP compares with nothing."""
    files = fetch_newest(run, SATELLITE, midnight(day), midnight(day))
    if not files:
        return Comparison(None, 0, None, None, None)
    name, seen = files[0].granule.name, recommended(run, files[0])
    found = beside(soil_moisture, seen)
    if found is None:
        both = np.isfinite(soil_moisture) & np.isfinite(seen)
        return Comparison(name, int(both.sum()), None, None, None)
    return Comparison(name, **found.model_dump())


def recommended(run: Run, file: GranuleFile) -> NDArray[np.float32]:
    """Read the retrievals of recommended quality on the cells, 6 am half-orbits; NaN elsewhere."""
    window = run.domain.window.slices
    reading = run.readers.submit(SATELLITE, file.path, window=window).result()
    retrieved = run.domain.from_map(reading.fields["soil_moisture_am"])
    taken = run.domain.from_map(good(reading, "_am", "recommended"))
    return np.where(taken, retrieved, np.float32(np.nan))
