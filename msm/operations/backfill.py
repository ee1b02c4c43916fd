"""Backfill: many days are made or made again, in the order that the state wants."""

from __future__ import annotations

import fcntl
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from msm.archive import store
from msm.archive.sidecars import Record
from msm.archive.store import Published
from msm.atomic_files import locked
from msm.errors import MsmError
from msm.model.chain import Chain
from msm.operations.fetch import fetch, revised, revised_forcing
from msm.pipeline import blocks
from msm.pipeline.advance import advance
from msm.pipeline.chains import find_chain, open_chain, stale
from msm.pipeline.executor import Crew
from msm.pipeline.model_inputs import is_gap, try_gaps
from msm.pipeline.publish import behind
from msm.pipeline.run import Progress, Run, check_day, silent
from msm.pipeline.stored_retrievals import make_retrievals, revised_retrievals

Replace = Literal["missing", "changed", "all"]


@dataclass(frozen=True)
class Plan:
    """What a backfill is to do."""

    why: dict[date, str]
    """The days that are wanted, and why."""
    after: list[date]
    """Days after them that were run: they are run again until one comes to the same state."""


@dataclass
class Report:
    """What a backfill did."""

    published: list[date] = field(default_factory=list)
    unchanged: list[date] = field(default_factory=list)
    """Days that were published already as they are."""
    failed: dict[date, str] = field(default_factory=dict)
    """Days whose map could not be published, and why."""
    run: int = 0
    """Days that the network was run over."""
    seconds: float = 0.0


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


def plan(run: Run, days: Collection[date], replace: Replace, *, online: bool = False) -> Plan:
    """Find out what is to be done, without doing it.

    Parameters
    ----------
    run
        An open run.
    days
        UTC days, at least one.
    replace
        `missing`: days that are not published. `changed`: those, and days that do not follow any
        more from their forcing and from the days before, or were made by another chain. `all`:
        every day.
    online
        Whether to ask, for `changed`, what granules are offered by now.

    Raises
    ------
    MsmError
        If days that stay were made by another checkpoint: the series would jump.
    """
    days = [day for day in days if not is_gap(run, day)]
    if not days:
        return Plan({}, [])
    chain = find_chain(run, min(days))
    items = {
        day: item
        for day in days
        if (item := store.read_item(run.settings.archive, run.domain.name, day))
    }
    if replace == "all":
        why = dict.fromkeys(sorted(days), "all days are wanted")
    else:
        _refuse_others(run, items)
        why = {day: "it is not published" for day in sorted(days) if day not in items}
        if replace == "changed" and chain is not None:
            recorded = sorted(set(chain.recorded_days()) & set(days))
            foreign = [day for day in items if items[day].chain_id != chain.root.chain_id]
            why |= dict.fromkeys(foreign, "it was made by another chain of states")
            others = stale(run, chain, recorded)
            sound = [day for day in recorded if day not in others]
            why |= dict.fromkeys(behind(run, chain, sound), "its map is not the chain's")
            why |= others
            if online:
                why |= revised(run, recorded)
    wanted = dict(sorted(why.items()))
    after = [
        day
        for day in (chain.recorded_days() if chain and wanted else ())
        if day > min(wanted) and day not in wanted
    ]
    return Plan(wanted, after)


def _refuse_others(run: Run, items: dict[date, Record]) -> None:
    card = run.checkpoint.card
    mine = f"{card.name} {card.version}"
    others = {day: item.checkpoint for day, item in items.items() if item.checkpoint != mine}
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
    crew: Crew,
    now: datetime,
    progress: Progress = silent,
) -> Report:
    """Make days and publish them.

    Parameters
    ----------
    run
        An open run.
    days
        UTC days that have ended, at least one.
    replace
        As for `plan`; for `changed`, Earthdata is asked for revised granules first.
    crew
        Who does the work.
    now
        The present time, UTC: it decides which inputs may still be revised.
    progress
        Told of each day.

    Raises
    ------
    MsmError
        If another backfill works on the domain, or an input is missing or wrong; what was
        published stays, and the same call goes on where this one stopped.
    """
    began = time.monotonic()
    report = Report()
    with _only_one(run):
        if replace == "changed":
            make_retrievals(run, revised_retrievals(run, days))
            for day in revised_forcing(run, days):
                fetch(run, day, day, crew)
        try_gaps(run, days)
        wanted = plan(run, days, replace).why
        if wanted:
            chain = find_chain(run, min(days)) or open_chain(run, min(wanted))
            with (
                _Publications(crew, chain, now, report) as publications,
                closing(advance(run, chain, wanted, crew, progress)) as advancing,
            ):
                for ran in advancing:
                    report.run += 1
                    if ran.predicted:
                        publications.add(ran.day)
    report.seconds = time.monotonic() - began
    return report


class _Publications:
    """Maps that are being published, a few at a time; those that were begun are finished."""

    def __init__(self, crew: Crew, chain: Chain, now: datetime, report: Report) -> None:
        self.crew, self.chain, self.now, self.report = crew, chain, now, report
        self.begun: deque[tuple[date, Any]] = deque()

    def __enter__(self) -> _Publications:
        return self

    def add(self, day: date) -> None:
        """Publish a day."""
        with self._noting(day):
            # Where days are begun faster than they are published, the network waits for the maps.
            published = self.crew.submit(blocks.publication, self.chain, day, self.now, urgent=True)
            self.begun.append((day, published))
        while len(self.begun) > self.crew.blocks:
            self._finish()

    def __exit__(self, *error: object) -> None:
        while self.begun:
            self._finish()

    def _finish(self) -> None:
        day, published = self.begun.popleft()
        with self._noting(day):
            done: Published = self.crew.result(published)
            (self.report.published if done.changed else self.report.unchanged).append(day)

    @contextmanager
    def _noting(self, day: date) -> Iterator[None]:
        """Let a map that is refused stop no other."""
        try:
            yield
        except MsmError as error:
            self.report.failed[day] = str(error)


@contextmanager
def _only_one(run: Run) -> Iterator[None]:
    """Keep a second backfill of the domain away; the kernel lets go when the process ends."""
    with ExitStack() as held:
        try:
            held.enter_context(
                locked(run.workspace.chains / ".backfill.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
            )
        except BlockingIOError:
            raise MsmError(
                f"Another backfill of {run.domain.name} is at work in {run.settings.work}: wait "
                "for it, or end it; this one goes on from there."
            ) from None
        yield
