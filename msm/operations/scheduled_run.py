"""The scheduled run: what is offered for a window of days is held against what they were made from.

Each product is searched for once. Days whose inputs have come are made, days whose inputs are
other by now are made anew, maps that cannot change any more become final, and the rest is left
alone. What stands in the way of one day stops no day that does not need it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from msm.archive import store
from msm.archive.store import Published
from msm.errors import MsmError
from msm.operations.day_states import (
    DayState,
    Look,
    State,
    Trouble,
    last_look,
    note,
    note_look,
    states,
)
from msm.operations.freshness import put_freshness
from msm.operations.supply import STOPPED_REMEDY, stopped
from msm.pipeline.assess import later
from msm.pipeline.chains import find_chain, is_run, open_chain, stale
from msm.pipeline.day_sources import IncompleteDayError, Window, differing, gather
from msm.pipeline.executor import Alone
from msm.pipeline.model_inputs import forcing_label, is_gap, make_forcing, stored_statics
from msm.pipeline.publish import behind, may_change, publish
from msm.pipeline.run import Progress, Run, silent
from msm.pipeline.stored_retrievals import lacking, make_retrievals, revised_retrievals
from msm.sources.tiers import best_sources, due_day

log = logging.getLogger(__name__)


@dataclass
class Watched:
    """What a scheduled run found and did."""

    first: date
    last: date
    """The window; the last is the newest day that is due."""
    published: list[Published] = field(default_factory=list)
    """Maps that changed the archive, in the order of their days."""
    states: list[DayState] = field(default_factory=list)
    """Of every day of the window, afterwards."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Best sources that come no more, by id: since when."""

    @property
    def alarms(self) -> list[str]:
        """Say what somebody has to look at: inputs that come no more, and days."""
        inputs = [f"{name}: {since}; {STOPPED_REMEDY}." for name, since in self.stopped.items()]
        return inputs + [_alarm(state) for state in self.states if state.alarms]

    def raise_alarms(self) -> None:
        """Fail where somebody has to look at something.

        Raises
        ------
        MsmError
            With the first alarm, and what is to be done.
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


def watch(run: Run, now: datetime, progress: Progress = silent) -> Watched:
    """Look over the newest days, and make what can be made or made better.

    Parameters
    ----------
    run
        An open run.
    now
        The present time, UTC: it decides which days are due, and how far back is looked.
    progress
        Told of each day.

    Raises
    ------
    MsmError
        If Earthdata does not answer, or refuses the login or the licence. What goes wrong with
        single days does not raise, but stands in their states.
    """
    last = due_day(run.domain, now)
    before = last_look(run)
    # Another day, not a later one: the clock may have been ahead when it was noted.
    deep = before is None or before.deep_on != now.date()
    days = _window(run, last, deep=deep)
    found: dict[date, Trouble] = {}

    def trouble(day: date, error: MsmError) -> None:
        log.warning("%s", error)
        missing = isinstance(error, IncompleteDayError)
        found[day] = Trouble(sentence=str(error), since=now, missing=missing)

    stored_statics(run)
    offers = Window(run, days[0], last)
    blocked = _store_inputs(run, days, offers, trouble)
    makeable = [day for day in days if (blocked is None or day < blocked) and not is_gap(run, day)]
    watched = Watched(days[0], last, stopped=_stopped(run, offers, now))
    for day in _made(run, makeable, now, trouble, progress):
        try:
            done = publish(run, open_chain(run, day), day, now)
        except MsmError as error:
            trouble(day, error)
        else:
            if done.changed:
                watched.published.append(done)
    later(run, days)
    note(run, days, found)
    deep_on = now.date() if before is None or deep else before.deep_on
    note_look(run, Look(at=now, first=days[0], last=last, deep_on=deep_on))
    watched.states = states(run, days, now)
    put_freshness(run, watched.states, watched.stopped, now)
    return watched


def _window(run: Run, last: date, *, deep: bool) -> list[date]:
    """List the days to look at: those before the first that is published are left to a backfill."""
    settings = run.settings
    first = last - timedelta(days=settings.window_days - 1)
    published = store.published_days(settings.archive, run.domain.name)
    if deep and published:
        first = min(first, max(published[0], last - timedelta(days=settings.deep_days - 1)))
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _stopped(run: Run, offers: Window, now: datetime) -> dict[str, str]:
    """Find the best sources that come no more, and since when."""
    found = {
        product.id: stopped(product, offers.granules(product), offers.first, now)
        for product in best_sources(run.domain)
    }
    return {name: since for name, since in found.items() if since}


def _store_inputs(
    run: Run, days: Sequence[date], offers: Window, trouble: Callable[..., None]
) -> date | None:
    """Store what days are given, anew where other granules are offered by now.

    Returns
    -------
    date or None
        The first day that cannot be made, nor any day after it.
    """
    labels = {day: label for day in days if (label := forcing_label(run, day))}
    for day in differing(run, labels, offers):
        try:
            gathered = gather(run, day, day, window=offers)[day]
        except IncompleteDayError as error:
            log.warning("%s What is stored stays.", error)
            continue
        if set(gathered.choice.awaited) <= set(labels[day].awaited):
            make_forcing(run, day, gathered)
    make_retrievals(run, sorted({*revised_retrievals(run, days), *lacking(run, days)}))
    left = [day for day in days if day not in labels]
    while left:
        try:
            gathered_days = gather(run, left[0], left[-1], window=offers)
        except IncompleteDayError as error:
            day = left.pop(0)
            trouble(day, error)
            if day not in run.settings.gaps:
                # The memory that the days after it need ends here.
                return day
            continue
        for day in left[:]:
            if day in gathered_days:
                make_forcing(run, day, gathered_days[day])
                left.remove(day)
    return None


def _made(
    run: Run,
    days: Sequence[date],
    now: datetime,
    trouble: Callable[..., None],
    progress: Progress,
) -> list[date]:
    """Run the days that are not run or do not follow any more from what is stored.

    Returns
    -------
    list of date
        The days whose map is to be published: it is not there, is not the chain's, or may become
        final. Those that another checkpoint made are left as they are.
    """
    card = run.checkpoint.card
    items = {day: store.read_item(run.settings.archive, run.domain.name, day) for day in days}
    mine = [
        day
        for day, item in items.items()
        if item is None or item.checkpoint == f"{card.name} {card.version}"
    ]
    if not mine:
        return []
    chain = find_chain(run, mine[-1]) or open_chain(run, mine[0])
    mine = [day for day in mine if day >= chain.root.cold_start]
    recorded = set(chain.recorded_days())
    to_run = {day for day in mine if items[day] is None and not is_run(chain, day)}
    to_run |= stale(run, chain, recorded & set(mine)).keys()
    if to_run:
        # A run that finds nothing to do does without torch.
        from msm.pipeline.advance import advance

        left = set(to_run)
        try:
            for ran in advance(run, chain, to_run, Alone(run), progress):
                left.discard(ran.day)
        except MsmError as error:
            trouble(min(left, default=mine[-1]), error)
    recorded = set(chain.recorded_days()) & set(mine)
    final = [
        day
        for day in recorded
        if (item := items[day]) and item.status == "provisional" and not may_change(run, day, now)
    ]
    return sorted({*behind(run, chain, sorted(recorded)), *final})
