"""Fetch: what many days are given comes to disk, and is made anew where Earthdata has better."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from msm.pipeline import blocks
from msm.pipeline.day_sources import Gathered, ahead, differing, gather
from msm.pipeline.executor import Crew
from msm.pipeline.model_inputs import forcing_label
from msm.pipeline.run import Progress, Run, silent, windows
from msm.pipeline.stored_retrievals import known_days, lacking, make_retrievals, revised_retrievals


def fetch(
    run: Run, first: date, last: date, crew: Crew, progress: Progress = silent
) -> dict[date, str]:
    """Store what days are given, and make it anew where other granules are offered by now.

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
    stored = [day for day in days if run.workspace.forcing(day).exists()]
    unknown = [day for day in stored if lacking(run, [day])]
    made = dict.fromkeys(unknown, "its retrievals were not stored")
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
        others = revised_retrievals(run, days)
        anew = {day: others[day] for day in make_retrievals(run, others)}
        made |= _knowing(run, days, anew)
        for day, why in revised_forcing(run, stored).items():
            make(day, gather(run, day, day)[day])
            made[day] = why
    finally:
        for done in pending:
            crew.result(done)
    return dict(sorted(made.items()))


def revised(run: Run, days: Iterable[date]) -> dict[date, str]:
    """Find the days for which other granules are offered than they were given, and name these."""
    days = sorted(days)
    return _knowing(run, days, revised_retrievals(run, days)) | revised_forcing(run, days)


def revised_forcing(run: Run, days: Iterable[date]) -> dict[date, str]:
    """Find the days with stored forcing for which other granules are offered, and name these."""
    found: dict[date, str] = {}
    for window in windows(day for day in days if run.workspace.forcing(day).exists()):
        labels = {day: label for day in window if (label := forcing_label(run, day))}
        found |= {day: _offered(others) for day, others in differing(run, labels).items()}
    return found


def _knowing(run: Run, days: Iterable[date], others: Mapping[date, str]) -> dict[date, str]:
    """Find the days that may know of days of SMAP for which other granules are offered."""
    found = {}
    for day in days:
        names = [others[known] for known in known_days(run, day) if known in others]
        if names:
            found[day] = _offered(names[0])
    return found


def _offered(granules: str) -> str:
    return f"{granules} is offered now"
