"""Fetch and forcing: granules come to disk and become fields on cells, stored for reuse."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from msm import cells, forcing, statics
from msm.cells import CellFields
from msm.errors import MsmError
from msm.inputs.granule import Granule, GranuleFile, newest
from msm.inputs.nldas import FORA0125_H_2_0
from msm.inputs.product import Product
from msm.inputs.smap_l3 import SPL3SMP_E_006
from msm.inputs.smap_l4_constants import SPL4SMLM_008
from msm.pipeline.run import Run, midnight

log = logging.getLogger(__name__)

FORCING, SATELLITE, CONSTANTS = FORA0125_H_2_0, SPL3SMP_E_006, SPL4SMLM_008

REPEAT_CYCLE_DAYS = 8
"""Days in which SMAP's orbit comes back to the same ground track: every cell is seen."""


def due_day(moment: datetime) -> date:
    """Return the newest day whose forcing is due at a moment (UTC)."""
    return (moment - timedelta(days=1 + FORCING.layout.latency.due_days)).date()


@dataclass(frozen=True)
class DayGranules:
    """The good files of one day's forcing, and the productions that they replaced."""

    files: tuple[GranuleFile, ...]
    superseded: tuple[Granule, ...]


def fetch_forcing(run: Run, first: date, last: date) -> dict[date, DayGranules]:
    """Fetch the forcing granules of the days from `first` to `last` with one search.

    Raises
    ------
    IncompleteDayError
        If Earthdata does not offer every granule of a day.
    MsmError
        If a granule that it offers cannot be fetched whole.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    offered = run.source.search(FORCING, midnight(first), midnight(last + timedelta(days=1)))
    chosen, superseded = newest(offered)
    for day in days:
        lacking = forcing.missing_hours(FORCING, day, chosen)
        if lacking:
            raise forcing.IncompleteDayError(forcing.incomplete(FORCING, day, lacking))
    fetched = run.source.fetch(FORCING, chosen)
    if fetched.refused:
        listed = " ".join(fetched.refused.values())
        raise MsmError(f"{len(fetched.refused)} of {len(chosen)} granules are not good: {listed}")
    by_day = {}
    for day in days:
        stamps = set(FORCING.layout.stamps(day))
        by_day[day] = DayGranules(
            tuple(file for file in fetched.files if file.granule.time in stamps),
            tuple(granule for granule in superseded if granule.time in stamps),
        )
    return by_day


def make_forcing(run: Run, day: date, granules: DayGranules) -> CellFields:
    """Make a day's forcing from its granules and store it."""
    made = forcing.make(run.domain, FORCING, day, granules.files, granules.superseded, run.readers)
    cells.write(run.forcing_path(day), made)
    return made


def stored_forcing(run: Run, day: date) -> CellFields:
    """Read a day's forcing, or fetch and make it where it is not stored."""
    path = run.forcing_path(day)
    if path.exists():
        return cells.read(path, run.domain)
    return make_forcing(run, day, fetch_forcing(run, day, day)[day])


def stored_statics(run: Run) -> CellFields:
    """Read the domain's statics, or fetch and make them where they are not stored.

    Raises
    ------
    MsmError
        If no granule of the land model's constants is to be had.
    """
    if run.statics_path.exists():
        return cells.read(run.statics_path, run.domain)
    start = midnight(run.settings.statics_day)
    constants = fetch_newest(run, CONSTANTS, start, start)
    satellite = fetch_newest(run, SATELLITE, start, start + timedelta(days=REPEAT_CYCLE_DAYS - 1))
    if not constants:
        raise MsmError(
            f"There is no good granule of {CONSTANTS.id}, which gives the soil: see msm probe."
        )
    made = statics.make(run.domain, CONSTANTS, constants[0], SATELLITE, satellite, run.readers)
    cells.write(run.statics_path, made)
    return made


def fetch_newest(
    run: Run, product: Product, start: datetime, end: datetime
) -> tuple[GranuleFile, ...]:
    """Fetch the newest production of each granule; what is not good is left out and logged."""
    chosen, _ = newest(run.source.search(product, start, end))
    fetched = run.source.fetch(product, chosen) if chosen else None
    if fetched is None:
        return ()
    for sentence in fetched.refused.values():
        log.warning("%s", sentence)
    return fetched.files
