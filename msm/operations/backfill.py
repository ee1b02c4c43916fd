"""Backfill: many days are made or made again, in the order that the state needs."""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace as replaced
from datetime import date, datetime, timedelta
from pathlib import Path

from msm.atomic_files import locked
from msm.errors import MsmError
from msm.operations.decision import Plan, Replace, decide
from msm.operations.production import RunReport, produce
from msm.pipeline.chains import find_chain, open_chain
from msm.pipeline.executor import Executor
from msm.pipeline.ledger import Ledger
from msm.pipeline.model_inputs import is_gap, try_gaps
from msm.pipeline.refresh import find_revised_inputs, refresh_inputs
from msm.pipeline.run import Progress, Run, check_day, silent


def days_between(start: date, end: date, now: datetime) -> list[date]:
    """List the days of a backfill.

    Raises
    ------
    MsmError
        If the end lies before the start or has not ended yet.
    """
    if end < start:
        raise MsmError(f"END {end} lies before START {start}: give the earlier day first.")
    check_day(end, now)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def days_of_file(path: Path, days: Collection[date]) -> list[date]:
    """Read the days that a file lists, one a line, among the given days; `#` begins a comment.

    Raises
    ------
    MsmError
        If the file cannot be read, a line is no day, or names none of the given days.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MsmError(f"{path} cannot be read as a list of days: {error}.") from error
    listed = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise MsmError(
                f"Line {number} of {path} is {text!r}, not a day: write YYYY-MM-DD, one a line."
            ) from None
        if day not in days:
            raise MsmError(
                f"Line {number} of {path}: {day} is not between START and END; widen them or "
                "remove the line."
            )
        listed.append(day)
    return sorted(set(listed))


def plan(
    run: Run, days: Collection[date], replace: Replace, now: datetime, *, online: bool = False
) -> Plan:
    """Find out what is to be done, without doing it.

    Parameters
    ----------
    run
        An open run.
    days
        UTC days, at least one.
    replace
        As for `msm.operations.decision.decide`.
    now
        The present time, UTC.
    online
        Whether to search, for `changed`, which granules are offered by now.

    Raises
    ------
    MsmError
        If days that stay were made by another checkpoint: the series would be inconsistent.
    """
    days = [day for day in days if not is_gap(run, day)]
    if not days:
        return Plan({}, {})
    ledger = Ledger(run, find_chain(run, min(days)))
    if replace != "all":
        _refuse_other_checkpoints(ledger, days)
    found = decide(ledger, days, replace, now)
    if replace == "changed" and online:
        revised = find_revised_inputs(run, set(ledger.recorded()) & set(days))
        publish = {day: why for day, why in found.publish.items() if day not in revised}
        found = replaced(found, run=found.run | revised, publish=publish)
    return found


def days_after(run: Run, wanted: Plan) -> list[date]:
    """List the days that were run after the first of a plan.

    They are run again until one of them comes to the same state.
    """
    if not wanted.why:
        return []
    recorded = Ledger(run, find_chain(run, min(wanted.why))).recorded()
    return [day for day in recorded if day > min(wanted.why) and day not in wanted.why]


def _refuse_other_checkpoints(ledger: Ledger, days: Collection[date]) -> None:
    card = ledger.run.checkpoint.card
    mine = f"{card.name} {card.version}"
    published = {day: item for day in days if (item := ledger.facts(day).published)}
    others = {day: item.checkpoint for day, item in published.items() if item.checkpoint != mine}
    if others:
        raise MsmError(
            f"{len(others)} of the days, {min(others)} the first, are published from a chain of "
            f"checkpoint {others[min(others)]}, not of {mine}: --replace all makes every day with "
            f"{mine}, MSM_CHECKPOINT chooses the other."
        )


def backfill(
    run: Run,
    days: Collection[date],
    replace: Replace,
    executor: Executor,
    now: datetime,
    progress: Progress = silent,
) -> RunReport:
    """Make days and publish them.

    Parameters
    ----------
    run
        An open run.
    days
        UTC days that have ended, at least one.
    replace
        As for `msm.operations.decision.decide`; for `changed`, inputs whose granules were revised
        are made again first.
    executor
        Does the work.
    now
        The present time, UTC: it decides which inputs may still be revised.
    progress
        Called with each day.

    Raises
    ------
    MsmError
        If another backfill works on the domain, or an input is missing or invalid. What was
        published stays, and the same call continues where this one stopped.
    """
    with _only_one(run):
        if replace == "changed":
            refresh_inputs(run, days, executor)
        try_gaps(run, days)
        wanted = plan(run, days, replace, now)
        chain = None
        if wanted.why:
            chain = find_chain(run, min(days)) or open_chain(run, min(wanted.why))
        report = produce(run, chain, wanted, executor, now, progress, assessed=days)
    if report.stopped:
        raise report.stopped
    return report


@contextmanager
def _only_one(run: Run) -> Iterator[None]:
    """Refuse a second backfill of the domain; the lock ends with the process."""
    with ExitStack() as held:
        try:
            held.enter_context(
                locked(run.workspace.chains / ".backfill.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
            )
        except BlockingIOError:
            raise MsmError(
                f"Another backfill of {run.domain.name} is running in {run.settings.work}: wait "
                "for it, or stop it; this one continues from there."
            ) from None
        yield
