"""One day's map, by all the steps in order."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from msm.archive.store import Published
from msm.model.chain import Chain
from msm.pipeline.advance import advance
from msm.pipeline.chains import is_run, open_chain, stale
from msm.pipeline.executor import Alone
from msm.pipeline.model_inputs import better_forcing, is_gap, stored_forcing
from msm.pipeline.publish import behind, publish
from msm.pipeline.run import Progress, Run, check_day, silent
from msm.pipeline.stored_retrievals import better_retrievals


def daily(run: Run, day: date, now: datetime, progress: Progress = silent) -> Published:
    """Make one day's map and publish it, and replay what no longer holds of the days before it.

    Parameters
    ----------
    run
        An open run.
    day
        UTC day of the product.
    now
        The present time, UTC: it decides which inputs may still be revised, nothing else.
    progress
        Told of each day of a spin-up, catch-up or replay.

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
    if is_gap(run, day):
        # It gets no map, unless its granules have come after all.
        stored_forcing(run, day)
    better_forcing(run, day)
    better_retrievals(run, day)
    chain = open_chain(run, day)
    for other in bring_to(run, chain, day, progress):
        publish(run, chain, other, now)
    return publish(run, chain, day, now)


def bring_to(run: Run, chain: Chain, day: date, progress: Progress = silent) -> list[date]:
    """Run a chain to the end of a day, where that is not done, and replay stale days before it.

    Days that went stale longer than `replay_days` before stay as they are: `msm status` lists them.

    Returns
    -------
    list of date
        Other days whose publication is behind the chain.
    """
    recorded = set(chain.recorded_days())
    window = {day - timedelta(days=n) for n in range(run.settings.replay_days + 1)} & recorded
    wanted = set(stale(run, chain, window))
    if not is_run(chain, day):
        wanted.add(day)
    ran = {found.day for found in advance(run, chain, wanted, Alone(run), progress)}
    return behind(run, chain, sorted((window | ran) - {day}))
