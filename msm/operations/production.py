"""One order of steps for all runs: advance, publish, assess, and report what became of the days.

The daily run, the scheduled run and the backfill differ in the days that they choose and in what
they do about a failure; the steps are the same, and so is the archive that comes of them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime

from msm.archive.store import Published
from msm.errors import MsmError
from msm.model.chain import Chain
from msm.operations.day_states import Failure, LastScan, note_failures, note_scan
from msm.operations.decision import Plan
from msm.operations.freshness import put_freshness
from msm.pipeline.assess import assess_published
from msm.pipeline.day_sources import IncompleteDayError
from msm.pipeline.executor import Executor, Future
from msm.pipeline.run import Progress, Run, silent

log = logging.getLogger(__name__)


@dataclass
class RunReport:
    """What a run did."""

    published: dict[date, Published] = field(default_factory=dict)
    """Maps that changed the archive, by day, oldest first."""
    unchanged: dict[date, Published] = field(default_factory=dict)
    """Maps that were already up to date."""
    assessed: list[date] = field(default_factory=list)
    """Days whose assessment changed."""
    errors: dict[date, MsmError] = field(default_factory=dict)
    """Days that could not be made or published, and why."""
    stopped: MsmError | None = None
    """The one of them that stopped the network: the days after it were not run."""
    days_run: int = 0
    """Number of days that the network was run over."""
    seconds: float = 0.0

    def note(self, day: date, error: MsmError) -> None:
        """Log and keep the error of a day."""
        log.warning("%s", error)
        self.errors[day] = error


def produce(
    run: Run,
    chain: Chain | None,
    plan: Plan,
    executor: Executor,
    now: datetime,
    progress: Progress = silent,
    assessed: Collection[date] = (),
    errors: Mapping[date, MsmError] | None = None,
    scan: LastScan | None = None,
) -> RunReport:
    """Run and publish the days of a plan, assess the maps, and write down what became of the days.

    Parameters
    ----------
    run
        An open run.
    chain
        The chain of the days; None where the plan is empty.
    plan
        What is to be done.
    executor
        Does the work.
    now
        The present time, UTC.
    progress
        Called with each day.
    assessed
        Further days that the run looks after: their maps are compared with SMAP where that was not
        done.
    errors
        Days whose inputs could not be stored, and why.
    scan
        What is noted of a scheduled run.

    Returns
    -------
    RunReport
        The error of a day does not raise; it stops the days that depend on it, and no other.
    """
    began = time.monotonic()
    report = RunReport(errors=dict(errors or {}))
    if chain is not None:
        with _Publications(chain, executor, now, report) as publications:
            for day in plan.publish:
                publications.add(day)
            _advance(run, chain, plan, executor, progress, report, publications)
    report.published = dict(sorted(report.published.items()))
    report.assessed = assess_published(
        run,
        {*assessed, *plan.why},
        report.published,
        executor,
    )
    failures = {
        day: Failure(sentence=str(error), since=now, missing=isinstance(error, IncompleteDayError))
        for day, error in report.errors.items()
    }
    note_failures(run, {*assessed, *plan.why}, failures)
    if scan is not None:
        note_scan(run, scan)
    put_freshness(run, now)
    report.seconds += time.monotonic() - began
    return report


def _advance(
    run: Run,
    chain: Chain,
    plan: Plan,
    executor: Executor,
    progress: Progress,
    report: RunReport,
    publications: _Publications,
) -> None:
    if not plan.run:
        return
    # A run that finds nothing to do does not import torch.
    from msm.pipeline.advance import advance

    left = set(plan.run)
    try:
        with closing(advance(run, chain, plan.run, executor, progress)) as days:
            for done in days:
                left.discard(done.day)
                report.days_run += 1
                if done.predicted:
                    publications.add(done.day)
    except MsmError as error:
        report.note(min(left, default=max(plan.run)), error)
        report.stopped = error


class _Publications:
    """Maps that are published a few at a time; those that were begun are finished."""

    def __init__(self, chain: Chain, executor: Executor, now: datetime, report: RunReport) -> None:
        self.chain, self.executor, self.now, self.report = chain, executor, now, report
        self.begun: deque[tuple[date, Future[Published]]] = deque()

    def __enter__(self) -> _Publications:
        return self

    def __exit__(self, *error: object) -> None:
        while self.begun:
            self._finish()

    def add(self, day: date) -> None:
        """Publish a day."""
        from msm.pipeline import blocks

        with self._noting(day):
            # Urgent: the network waits where days are begun faster than they are published.
            published = self.executor.submit(
                blocks.publication, self.chain, day, self.now, urgent=True
            )
            self.begun.append((day, published))
        while len(self.begun) > self.executor.blocks:
            self._finish()

    def _finish(self) -> None:
        day, published = self.begun.popleft()
        with self._noting(day):
            done = self.executor.result(published)
            (self.report.published if done.changed else self.report.unchanged)[day] = done

    @contextmanager
    def _noting(self, day: date) -> Iterator[None]:
        """Keep the error of one map, and go on with the others."""
        try:
            yield
        except MsmError as error:
            self.report.note(day, error)
