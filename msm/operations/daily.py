"""One day's map, by all the steps in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from msm.archive.store import Published
from msm.operations.decision import decide
from msm.operations.production import produce
from msm.pipeline.chains import open_chain
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.ledger import Ledger
from msm.pipeline.model_inputs import is_gap, stored_forcing
from msm.pipeline.refresh import refresh_awaited
from msm.pipeline.run import Progress, Run, check_day, silent


def daily(run: Run, day: date, now: datetime, progress: Progress = silent) -> Published:
    """Make one day's map and publish it, and replay the days before it that are stale.

    Days that went stale more than `replay_days` before stay as they are: `msm status` lists them.

    Parameters
    ----------
    run
        An open run.
    day
        UTC day of the product.
    now
        The present time, UTC: it decides which inputs may still be revised.
    progress
        Called with each day of a spin-up, catch-up or replay.

    Returns
    -------
    Published
        Where the map is, and whether this call changed it.

    Raises
    ------
    MsmError
        If an input is missing or invalid, or the map cannot be published. Nothing is lost, and the
        same call continues where this one stopped.
    """
    check_day(day, now)
    executor = SerialExecutor(run)
    if is_gap(run, day):
        # It gets no map, unless its granules have arrived after all.
        stored_forcing(run, day)
    refresh_awaited(run, day, executor)
    chain = open_chain(run, day)
    ledger = Ledger(run, chain)
    recorded = set(ledger.recorded()) - {day}
    before = {day - timedelta(days=n) for n in range(1, run.settings.replay_days + 1)} & recorded
    # Days of a spin-up have no prediction: only stale ones are run again.
    replayed = {d for d in before if ledger.facts(d).is_run} | ledger.stale(before).keys()
    plan = decide(ledger, {day, *replayed}, "changed", now)
    if day not in plan.run:
        # Publishing completes what a killed run left of a map that is up to date.
        asked = {day: "it is asked for"}
        plan = (
            replace(plan, publish=plan.publish | asked)
            if ledger.is_run(day)
            else replace(plan, run=plan.run | asked)
        )
    report = produce(run, chain, plan, executor, now, progress)
    for error in (report.stopped, *report.errors.values()):
        if error is not None:
            raise error
    return (report.published | report.unchanged)[day]
