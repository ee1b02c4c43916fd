"""Fetch: the forcing of many days is brought to disk, and made anew where Earthdata has better."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from msm import cells
from msm.pipeline import blocks
from msm.pipeline.crew import Crew
from msm.pipeline.gather import Gathered, ahead, differing, gather
from msm.pipeline.run import Progress, Run, silent

SEARCH_DAYS = 32
"""Days whose granules are compared with what is offered by one search."""


def fetch(
    run: Run, first: date, last: date, crew: Crew, progress: Progress = silent
) -> dict[date, str]:
    """Store the forcing of days, and make it anew where other granules are offered by now.

    Parameters
    ----------
    run
        An open run.
    first, last
        UTC days.
    crew
        Who makes forcing from granules; they are downloaded by this process.
    progress
        Told of each day.

    Returns
    -------
    dict
        The days that were made, and why.

    Raises
    ------
    MsmError
        If no source can make a day; the days before it are stored.
    """
    total = (last - first).days + 1
    days = [first + timedelta(days=n) for n in range(total)]
    stored = [day for day in days if run.forcing_path(day).exists()]
    made: dict[date, str] = {}
    pending: deque[Any] = deque()

    def make(day: date, gathered: Gathered) -> None:
        pending.append(crew.submit(blocks.forcing, day, gathered))
        while len(pending) > crew.blocks:
            crew.result(pending.popleft())

    try:
        for number, (day, gathered) in enumerate(ahead(run, first - timedelta(1), last, last), 1):
            if gathered is not None:
                make(day, gathered)
                made[day] = "it was not stored"
            progress(f"fetch {day}", number, total)
        for day, why in revised(run, stored).items():
            make(day, gather(run, day, day)[day])
            made[day] = why
    finally:
        for done in pending:
            crew.result(done)
    return dict(sorted(made.items()))


def revised(run: Run, days: Iterable[date]) -> dict[date, str]:
    """Find the days with stored forcing for which other granules are offered, and name these."""
    stored = sorted(day for day in days if run.forcing_path(day).exists())
    found: dict[date, str] = {}
    while stored:
        window = [day for day in stored if day < stored[0] + timedelta(days=SEARCH_DAYS)]
        labels = {day: cells.read_label(run.forcing_path(day)) for day in window}
        found |= {day: f"{others} is offered now" for day, others in differing(run, labels).items()}
        stored = stored[len(window) :]
    return found
