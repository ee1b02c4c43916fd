"""SMAP retrievals that the network is given: each day of SMAP is put on the cells and stored once.

A day without a granule is stored as such: the files alone show what a day was given, and the
granule is searched for again, as better forcing is. Nothing is done for a checkpoint that uses no
retrievals.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from msm.fields import cell_fields, retrievals
from msm.fields.cell_fields import CellFields
from msm.pipeline.run import Run, midnight, windows
from msm.products.definitions import SPL3SMP_E_006
from msm.products.product import GranuleError
from msm.sources.granule import Fetched, Granule, GranuleFile, newest
from msm.sources.known_bad import drop_known_bad

log = logging.getLogger(__name__)

SATELLITE = SPL3SMP_E_006


def known_days(run: Run, day: date) -> list[date]:
    """List the days of SMAP that a day is given, newest first; none for most checkpoints."""
    asked = run.checkpoint.card.retrievals
    return [day - timedelta(days=age) for age in asked.ages] if asked else []


def stored_fields(run: Run, day: date) -> list[CellFields]:
    """Read the retrievals that a day is given, newest first, and make those not stored."""
    store_retrievals(run, [day])
    return [
        cell_fields.read(run.workspace.retrieval(known), run.domain)
        for known in known_days(run, day)
    ]


def missing_days(run: Run, days: Iterable[date]) -> list[date]:
    """List the days of SMAP, oldest first, that days are given and that are not stored."""
    return [day for day in _known(run, days) if not run.workspace.retrieval(day).exists()]


def store_retrievals(run: Run, days: Iterable[date]) -> None:
    """Fetch and store the retrievals that days are given, where they are not stored."""
    make_retrievals(run, missing_days(run, days))


def revised_retrievals(run: Run, days: Iterable[date]) -> dict[date, str]:
    """Find the days of SMAP, given to days, for which another granule is offered, and name it."""
    return _others(run, [day for day in _known(run, days) if run.workspace.retrieval(day).exists()])


def make_retrievals(run: Run, days: Iterable[date]) -> set[date]:
    """Make days of SMAP from the offered granules and store them; return which.

    A day whose granule is missing or invalid is stored as such where nothing is stored yet.
    """
    made = set()
    for window in windows(days):
        offered, superseded = _offered(run, window)
        wanted = [offered[day] for day in window if day in offered]
        fetched = run.source.fetch(SATELLITE, wanted) if wanted else Fetched((), {})
        files = {file.granule.time: file for file in fetched.files}
        for sentence in fetched.refused.values():
            log.warning("%s", sentence)
        for day in window:
            path, file = run.workspace.retrieval(day), files.get(midnight(day))
            replaced = [granule for granule in superseded if granule.time == midnight(day)]
            fields = _fields(run, day, file, replaced)
            if not (fields.awaited and path.exists()):
                cell_fields.write(path, fields)
                made.add(day)
    return made


def offered_days(run: Run, days: Iterable[date]) -> dict[date, GranuleFile]:
    """Fetch the newest production of SMAP of each day that has one."""
    found = {}
    for window in windows(days):
        offered, _ = _offered(run, window)
        wanted = [offered[day] for day in window if day in offered]
        for file in run.source.fetch(SATELLITE, wanted).files if wanted else ():
            if file.granule.time:
                found[file.granule.time.date()] = file
    return found


def _fields(
    run: Run, day: date, file: GranuleFile | None, superseded: Sequence[Granule]
) -> CellFields:
    try:
        return retrievals.retrievals_on_cells(
            run.domain, day, SATELLITE, file, superseded, run.readers
        )
    except GranuleError as error:
        log.warning("%s", error)
        return retrievals.retrievals_on_cells(run.domain, day, SATELLITE, None, (), run.readers)


def _known(run: Run, days: Iterable[date]) -> list[date]:
    return sorted({known for day in days for known in known_days(run, day)})


def _others(run: Run, stored: Sequence[date]) -> dict[date, str]:
    """Name the offered granules that stored days of SMAP were not made from."""
    found = {}
    for window in windows(stored):
        offered, _ = _offered(run, window)
        for day in window:
            label = cell_fields.read_label(run.workspace.retrieval(day))
            used = [entry for entry in label.inputs if entry.role == "retrieval"]
            if day in offered and not any(offered[day].is_same(entry) for entry in used):
                found[day] = offered[day].name
    return found


def _offered(run: Run, window: Sequence[date]) -> tuple[dict[date, Granule], list[Granule]]:
    found = run.source.search(SATELLITE, midnight(window[0]), midnight(window[-1]))
    chosen, superseded = newest(drop_known_bad(SATELLITE, found))
    return {granule.time.date(): granule for granule in chosen if granule.time}, superseded
