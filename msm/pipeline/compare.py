"""Compare: a day's map beside that day's satellite retrievals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

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
    window = run.domain.window.slices
    reading = run.readers.submit(SATELLITE, files[0].path, window=window).result()
    retrieved = run.domain.from_map(reading.fields["soil_moisture_am"]).astype(np.float64)
    both = run.domain.from_map(good(reading, "_am", "recommended")) & np.isfinite(soil_moisture)
    name = files[0].granule.name
    if both.sum() < 2:
        return Comparison(name, int(both.sum()), None, None, None)
    difference = soil_moisture[both] - retrieved[both]
    varies = np.ptp(soil_moisture[both]) > 0 and np.ptp(retrieved[both]) > 0
    return Comparison(
        granule=name,
        cells=int(both.sum()),
        bias=float(difference.mean()),
        ubrmse=float(difference.std()),
        correlation=float(np.corrcoef(soil_moisture[both], retrieved[both])[0, 1])
        if varies
        else None,
    )
