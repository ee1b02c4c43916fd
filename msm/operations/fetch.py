"""Fetch: the model inputs of many days are stored, and made again where better ones are offered."""

from __future__ import annotations

from datetime import date, timedelta

from msm.pipeline.day_sources import ahead
from msm.pipeline.executor import Executor
from msm.pipeline.refresh import making_forcing, refresh_inputs
from msm.pipeline.run import Progress, Run, silent
from msm.pipeline.stored_retrievals import missing_days


def fetch(
    run: Run, first: date, last: date, executor: Executor, progress: Progress = silent
) -> dict[date, str]:
    """Store the model inputs of days, and make them again where other granules are offered by now.

    Parameters
    ----------
    run
        An open run.
    first, last
        UTC days.
    executor
        Makes forcing from granules; they are downloaded by this process.
    progress
        Called with each day.

    Returns
    -------
    dict
        The days that were made, and why.

    Raises
    ------
    MsmError
        If no source can serve a day; the days before it are stored.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    stored = [day for day in days if run.workspace.forcing(day).exists()]
    made = {day: "its retrievals were not stored" for day in stored if missing_days(run, [day])}
    with making_forcing(executor) as make:
        for number, (day, sources) in enumerate(ahead(run, first - timedelta(1), last, last), 1):
            if sources is not None:
                make(day, sources)
                made[day] = "it was not stored"
            progress(f"fetch {day}", number, len(days))
    return dict(sorted((made | refresh_inputs(run, days, executor)).items()))
