"""The scheduled run: a window of days is compared with what their sources offer now.

Each product is searched for once. Days whose inputs have arrived are made, days whose inputs have
changed are made again, maps that can no longer change become final, and the others stay. A failure
stops the days that need the failed one, and no other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from msm.archive import store
from msm.archive.store import Published
from msm.errors import MsmError
from msm.operations.day_states import DayState, LastScan, State, last_scan, states
from msm.operations.decision import Plan, decide
from msm.operations.production import RunReport, produce
from msm.operations.supply import STOPPED_REMEDY, discontinued
from msm.pipeline.chains import find_chain, open_chain
from msm.pipeline.day_sources import IncompleteDayError, Window, select_and_fetch
from msm.pipeline.executor import Executor, SerialExecutor
from msm.pipeline.ledger import Ledger
from msm.pipeline.model_inputs import forcing_labels, is_gap, stored_statics
from msm.pipeline.refresh import making_forcing, refresh_inputs
from msm.pipeline.run import Progress, Run, silent
from msm.pipeline.stored_retrievals import store_retrievals
from msm.sources.tiers import best_sources, due_day

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledReport:
    """What a scheduled run did, and the days of its window afterwards."""

    first: date
    last: date
    """The window; the last is the newest day that is due."""
    run: RunReport = field(default_factory=RunReport)
    states: Sequence[DayState] = ()
    """Of every day of the window."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Best sources that have been discontinued, by id: since when."""

    @property
    def published(self) -> list[Published]:
        """Maps that changed the archive, in the order of their days."""
        return list(self.run.published.values())

    @property
    def alarms(self) -> list[str]:
        """What needs attention: discontinued inputs, and days."""
        inputs = [f"{name}: {since}; {STOPPED_REMEDY}." for name, since in self.stopped.items()]
        return inputs + [_alarm(state) for state in self.states if state.alarms]

    def raise_alarms(self) -> None:
        """Fail where something needs attention.

        Raises
        ------
        MsmError
            With the first alarm, and its remedy.
        """
        if not self.alarms:
            return
        first, *others = self.alarms
        more = f" {len(others)} more need attention: see msm status." if others else ""
        raise MsmError(f"{first}{more}")


def _alarm(state: DayState) -> str:
    remedy = (
        f" If it is lost for good, list {state.day} with the reason under gaps in msm.toml."
        if state.state is State.gap
        else ""
    )
    return f"{state.day}: {state.note}{remedy}"


def scheduled_run(run: Run, now: datetime, progress: Progress = silent) -> ScheduledReport:
    """Make the newest days that are due, and make again what has changed before them.

    Parameters
    ----------
    run
        An open run.
    now
        The present time, UTC: it decides which days are due, and the length of the window.
    progress
        Called with each day.

    Raises
    ------
    MsmError
        If Earthdata does not answer, or refuses the login or the licence. The failure of a single
        day does not raise: it is in the state of the day.
    """
    last = due_day(run.domain, now)
    before = last_scan(run)
    # Another day, not a later one: the clock may have been ahead when it was noted.
    deep = before is None or before.deep_on != now.date()
    days = _window(run, last, deep=deep)
    executor = SerialExecutor(run)
    stored_statics(run)
    offers = Window(run, days[0], last)
    errors = _store_inputs(run, days, offers, executor)
    stopped = _discontinued(run, offers, now)
    # The days after a missing one need its state.
    missing = min((day for day in errors if day not in run.settings.gaps), default=None)
    ready = [day for day in days if (missing is None or day < missing) and not is_gap(run, day)]
    ledger = _ledger(run, ready)
    plan = decide(ledger, _own_days(ledger, ready), "changed", now) if ready else Plan({}, {})
    report = produce(
        run,
        ledger.chain,
        plan,
        executor,
        now,
        progress,
        assessed=days,
        errors=errors,
        scan=LastScan(
            at=now,
            first=days[0],
            last=last,
            deep_on=now.date() if before is None or deep else before.deep_on,
            stopped=stopped,
        ),
    )
    return ScheduledReport(days[0], last, report, states(run, days, now), stopped)


def _window(run: Run, last: date, *, deep: bool) -> list[date]:
    """List the days of the window; those before the first published day are left to a backfill."""
    settings = run.settings
    first = last - timedelta(days=settings.window_days - 1)
    published = store.published_days(settings.archive, run.domain.name)
    if deep and published:
        first = min(first, max(published[0], last - timedelta(days=settings.deep_days - 1)))
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _discontinued(run: Run, offers: Window, now: datetime) -> dict[str, str]:
    """Find the best sources that have been discontinued, and since when."""
    found = {
        product.id: discontinued(product, offers.granules(product), offers.first, now)
        for product in best_sources(run.domain)
    }
    return {name: since for name, since in found.items() if since}


def _store_inputs(
    run: Run, days: Sequence[date], offers: Window, executor: Executor
) -> dict[date, MsmError]:
    """Store what days are given, and make it again where other granules are offered by now.

    Returns
    -------
    dict
        The days that no source can serve, and why. After the first that is no accepted gap, no
        further day is tried.
    """
    stored = forcing_labels(run, days)
    refresh_inputs(run, stored, executor, offers)
    store_retrievals(run, days)
    errors: dict[date, MsmError] = {}
    left = [day for day in days if day not in stored]
    with making_forcing(executor) as make:
        while left:
            try:
                sources = select_and_fetch(run, left[0], left[-1], window=offers)
            except IncompleteDayError as error:
                day = left.pop(0)
                log.warning("%s", error)
                errors[day] = error
                if day not in run.settings.gaps:
                    break
                continue
            for day in [day for day in left if day in sources]:
                make(day, sources[day])
                left.remove(day)
    return errors


def _ledger(run: Run, days: Sequence[date]) -> Ledger:
    """Open the chain of the newest of these days; a new one starts before the oldest."""
    if not days:
        return Ledger(run, None)
    return Ledger(run, find_chain(run, days[-1]) or open_chain(run, days[0]))


def _own_days(ledger: Ledger, days: Sequence[date]) -> list[date]:
    """List the days of this chain; those that another one published are left to a backfill."""
    chain, card = ledger.chain, ledger.run.checkpoint.card
    if chain is None:
        return []
    recorded = set(chain.recorded_days())
    own = f"{card.name} {card.version}"
    return [
        day
        for day in days
        if day >= chain.root.cold_start
        and (
            (published := ledger.facts(day).published) is None
            or (published.checkpoint == own and day in recorded)
        )
    ]
