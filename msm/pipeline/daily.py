"""One day's map, by all the steps in order."""

from __future__ import annotations

from datetime import date, datetime

from msm.archive.store import Published
from msm.pipeline.advance import advance
from msm.pipeline.inputs import better_forcing
from msm.pipeline.publish import publish
from msm.pipeline.run import Progress, Run, check_day, silent


def daily(run: Run, day: date, now: datetime, progress: Progress = silent) -> Published:
    """Make one day's map and publish it.

    Parameters
    ----------
    run
        An open run.
    day
        UTC day of the product.
    now
        The present time, UTC: it decides which inputs may still be revised, nothing else.
    progress
        Told of each day of a spin-up or catch-up.

    Returns
    -------
    Published
        Where the map is, and whether this call changed the archive.

    Raises
    ------
    MsmError
        If an input is missing or wrong, or the map cannot be published; nothing is lost, and the
        same call goes on where this one stopped.
    """
    check_day(day, now)
    better_forcing(run, day)
    advance(run, day, progress)
    return publish(run, day, now)
