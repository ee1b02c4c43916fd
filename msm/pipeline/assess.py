"""Assess: a map is held against what it should be like, when it is made and when more is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from msm.archive import store
from msm.archive.assessment import Assessment, Comparison, compare, read_assessment
from msm.archive.daily_map import DailyMap
from msm.archive.naming import map_path
from msm.archive.quality import Quality
from msm.fields.statics import VEGETATION
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run
from msm.pipeline.stored_retrievals import SATELLITE, offered_days
from msm.products.smap_l3 import good
from msm.sources.granule import GranuleFile

Float32 = NDArray[np.float32]

VEGETATION_CLASSES = {
    "bare or sparse": (0.0, 1.0),
    "grass and crops": (1.0, 3.0),
    "shrubs and tall crops": (3.0, 5.0),
    "dense": (5.0, np.inf),
}
"""Water in the vegetation, kg m-2, from (included) and to: the cover that the satellite looks
through. Above 5 it sees little of the soil."""


def at_first(run: Run, made: DailyMap, forcing: Mapping[str, Float32]) -> Assessment:
    """Assess a map that is about to be published by itself, and beside the day before.

    Parameters
    ----------
    run
        An open run.
    made
        The map.
    forcing
        What the network was given of the day, by name, each (n_cell,).
    """
    values = made.soil_moisture
    there = np.isfinite(values)
    flags = made.quality_flag[there]
    eve = _published(run, made.day - timedelta(days=1))
    return Assessment(
        day=made.day,
        valid_fraction=float(there.mean()),
        unflagged=float(np.mean(flags == 0)) if flags.size else 0.0,
        outside_training=float(np.mean(flags & Quality.OUTSIDE_TRAINING != 0))
        if flags.size
        else 0.0,
        mean=float(values[there].mean(dtype=np.float64)) if there.any() else None,
        forcing={
            name: (float(np.nanmin(field)), float(np.nanmax(field)))
            for name, field in sorted(forcing.items())
            if np.isfinite(field).any()
        },
        yesterday=None if eve is None else compare(values, eve),
    ).judged(run.settings.limits)


def later(run: Run, days: Iterable[date]) -> list[date]:
    """Hold published maps against that day's SMAP and other years, where that was not done.

    A day without a granule of SMAP is looked at again as long as it is among the days. All are
    judged anew where limits have moved.

    Returns
    -------
    list of date
        The days of which more is known now.
    """
    limits = run.settings.limits
    found, lacking = {}, {}
    for day in days:
        path = map_path(run.settings.archive, run.domain.name, day)
        known = read_assessment(path) if path.is_file() else None
        if known is None:
            continue
        judged = known.judged(limits)
        if known != judged:
            found[day] = judged
        if known.satellite_granule is None:
            lacking[day] = known
    files = offered_days(run, lacking) if lacking else {}
    for day, file in files.items():
        values = _published(run, day)
        if values is not None:
            more = _beside_satellite(run, file, values) | {
                "other_years": _other_years(run, day, values)
            }
            found[day] = lacking[day].model_copy(update=more).judged(limits)
    store.assess(run.settings.archive, run.domain.name, found.values())
    return sorted(files)


def _beside_satellite(run: Run, file: GranuleFile, values: Float32) -> dict[str, object]:
    """Hold a map against the retrievals of recommended quality of the 6 am half-orbits."""
    seen = _recommended(run, file)
    water = stored_statics(run).fields[VEGETATION]
    by_vegetation: dict[str, Comparison] = {}
    for name, (low, high) in VEGETATION_CLASSES.items():
        inside = (water >= low) & (water < high)
        if part := compare(values[inside], seen[inside]):
            by_vegetation[name] = part
    return {
        "satellite": compare(values, seen),
        "satellite_granule": file.granule.name,
        "by_vegetation": by_vegetation,
    }


def _recommended(run: Run, file: GranuleFile) -> Float32:
    """Read the retrievals of recommended quality on the cells, 6 am half-orbits; NaN elsewhere."""
    window = run.domain.window.slices
    reading = run.readers.submit(SATELLITE, file.path, window=window).result()
    retrieved = run.domain.from_map(reading.fields["soil_moisture_am"])
    taken = run.domain.from_map(good(reading, "_am", "recommended"))
    return np.where(taken, retrieved, np.float32(np.nan))


def _other_years(run: Run, day: date, values: Float32) -> Comparison | None:
    """Hold a day against the mean of the same date in the other years that are published."""
    published = store.published_days(run.settings.archive, run.domain.name)
    same = [other for other in published if (other.month, other.day) == (day.month, day.day)]
    others = [
        found for other in same if other != day if (found := _published(run, other)) is not None
    ]
    return compare(values, np.mean(others, axis=0)) if others else None


def _published(run: Run, day: date) -> Float32 | None:
    """Read the soil moisture of a published day on the cells, None where there is none."""
    path = map_path(run.settings.archive, run.domain.name, day)
    if not path.is_file():
        return None
    try:
        with xr.open_dataset(path) as dataset:
            return run.domain.from_map(dataset["soil_moisture"].to_numpy()[0])
    except (OSError, KeyError, ValueError):
        # A damaged file is found by who validates; here it is not there.
        return None
