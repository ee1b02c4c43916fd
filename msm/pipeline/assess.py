"""How good a map looks: by itself when it is published, and compared with others afterwards.

What needs other maps is compared after all maps of a run are published, so that it does not depend
on their order.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msm.archive import store
from msm.archive.assessment import Assessment, Comparison, compare_maps, read_assessment
from msm.archive.daily_map import DailyMap
from msm.archive.naming import map_path
from msm.archive.quality import Quality
from msm.errors import MsmError
from msm.fields.statics import VEGETATION
from msm.pipeline.executor import Executor
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run
from msm.pipeline.stored_retrievals import SATELLITE, offered_days
from msm.products.smap_l3 import good
from msm.sources.granule import GranuleFile

Float32 = NDArray[np.float32]

ONE_DAY = timedelta(days=1)

log = logging.getLogger(__name__)

VEGETATION_CLASSES = {
    "bare or sparse": (0.0, 1.0),
    "grass and crops": (1.0, 3.0),
    "shrubs and tall crops": (3.0, 5.0),
    "dense": (5.0, np.inf),
}
"""Vegetation water content, kg m-2, from (included) and to: the cover that the satellite looks
through. Above 5 the soil contributes little to the signal."""


def assess_on_publish(run: Run, made: DailyMap, forcing: Mapping[str, Float32]) -> Assessment:
    """Assess a map that is about to be published by itself.

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
    valid = np.isfinite(values)
    flags = made.quality_flag[valid]
    return Assessment(
        day=made.day,
        valid_fraction=float(valid.mean()),
        unflagged=float(np.mean(flags == 0)) if flags.size else 0.0,
        outside_training=float(np.mean(flags & Quality.OUTSIDE_TRAINING != 0))
        if flags.size
        else 0.0,
        mean=float(values[valid].mean(dtype=np.float64)) if valid.any() else None,
        forcing={
            name: (float(np.nanmin(field)), float(np.nanmax(field)))
            for name, field in sorted(forcing.items())
            if np.isfinite(field).any()
        },
    ).judged(run.settings.limits)


def assess_published(
    run: Run, days: Iterable[date], changed: Collection[date], executor: Executor
) -> list[date]:
    """Compare published maps with the day before, with that day's SMAP and with other years.

    Maps are judged again where limits have changed.

    Parameters
    ----------
    run
        An open run.
    days
        Days whose maps are compared with SMAP where that was not done; one without a granule is
        tried again as long as it is among the days.
    changed
        Days whose maps were published just now: these and the days after them are compared with
        the day before.
    executor
        Compares the maps.

    Returns
    -------
    list of date
        The days whose assessment changed.
    """
    known = {
        day: assessment
        for day in sorted({*days, *changed, *(day + ONE_DAY for day in changed)})
        if (path := _map(run, day)) and (assessment := read_assessment(path))
    }
    unseen = [day for day, assessment in known.items() if assessment.satellite_granule is None]
    try:
        granules = offered_days(run, unseen) if unseen else {}
    except MsmError as error:
        # The maps are published; the next run compares them.
        log.warning("The maps are not compared with SMAP this time. %s", error)
        granules = {}
    compared = {
        day: executor.submit(compare, known[day], granules.get(day))
        for day in known
        if day in granules or day in changed or day - ONE_DAY in changed
    }
    limits = run.settings.limits
    judged = {
        day: (executor.result(compared[day]) if day in compared else assessment).judged(limits)
        for day, assessment in known.items()
    }
    revised = [day for day in known if judged[day] != known[day]]
    store.assess(run.settings.archive, run.domain.name, [judged[day] for day in revised])
    return revised


def compare(run: Run, known: Assessment, granule: GranuleFile | None) -> Assessment:
    """Compare a published map with the day before, other years, and a SMAP granule if given."""
    day = known.day
    values = _published(run, day)
    if values is None:
        return known
    before = _published(run, day - ONE_DAY)
    found: dict[str, object] = {
        "yesterday": None if before is None else compare_maps(values, before),
        "other_years": _other_years(run, day, values),
    }
    if granule is not None:
        found |= _with_satellite(run, granule, values)
    return known.model_copy(update=found)


def _with_satellite(run: Run, file: GranuleFile, values: Float32) -> dict[str, object]:
    """Compare a map with the retrievals of recommended quality of the 6 am half-orbits."""
    retrieved = _recommended(run, file)
    water = stored_statics(run).fields[VEGETATION]
    by_vegetation: dict[str, Comparison] = {}
    for name, (low, high) in VEGETATION_CLASSES.items():
        inside = (water >= low) & (water < high)
        if part := compare_maps(values[inside], retrieved[inside]):
            by_vegetation[name] = part
    return {
        "satellite": compare_maps(values, retrieved),
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
    """Compare a day with the mean of the same date in the other years that are published."""
    published = store.published_days(run.settings.archive, run.domain.name)
    same = [other for other in published if (other.month, other.day) == (day.month, day.day)]
    others = [
        found for other in same if other != day if (found := _published(run, other)) is not None
    ]
    return compare_maps(values, np.mean(others, axis=0)) if others else None


def _map(run: Run, day: date) -> Path | None:
    path = map_path(run.settings.archive, run.domain.name, day)
    return path if path.is_file() else None


def _published(run: Run, day: date) -> Float32 | None:
    """Read the soil moisture of a published day on the cells, None where there is none."""
    path = _map(run, day)
    if path is None:
        return None
    # A run that compares nothing does not import xarray.
    import xarray as xr

    try:
        with xr.open_dataset(path) as dataset:
            return run.domain.from_map(dataset["soil_moisture"].to_numpy()[0])
    except (OSError, KeyError, ValueError):
        # Validation reports a damaged file; for a comparison it is missing.
        return None
