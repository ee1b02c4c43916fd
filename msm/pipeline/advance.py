"""Advance: the network is run over days in their order, and the chain remembers what came of each.

A day that comes to another state than before changes the days after it: they are run as well, until
one of them comes to the same state again. Nothing here depends on who does the work, so that a day
made daily, by a backfill or by a replay, by any number of workers, is the same.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from msm.errors import MsmError
from msm.model.chain import Chain, DayRecord, StateError
from msm.model.state import content_hash
from msm.pipeline import blocks
from msm.pipeline.day_sources import Gathered, ahead
from msm.pipeline.executor import Crew, split
from msm.pipeline.run import Progress, Run, silent

KEPT_DAYS = 8
"""While days are run, the state of one in so many is stored: a kill costs no more."""

ONE_DAY = timedelta(days=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ran:
    """A day that was run."""

    day: date
    changed: bool
    """Whether it came to another state, or from other forcing, than the last time, if any."""
    predicted: bool
    """Whether what the network says of it was stored, for who publishes it."""


def advance(
    run: Run, chain: Chain, wanted: Iterable[date], crew: Crew, progress: Progress = silent
) -> Generator[Ran]:
    """Run days, and all days between them and a state, and all that change with them.

    Parameters
    ----------
    run
        An open run.
    chain
        The chain of all the days.
    wanted
        Days whose prediction is wanted.
    crew
        Who does the work.
    progress
        Told of each day.

    Yields
    ------
    Ran
        Each day as soon as its record is written, in order. Of a day that has changed and was
        wanted at some time before, the prediction is stored as well.

    Raises
    ------
    MsmError
        If there is no complete forcing for a day; what was yielded stays.
    """
    left = set(wanted)
    refused: set[date] = set()
    while left:
        yield from _Pass(run, chain, left, refused, crew, progress).follow()


@dataclass(frozen=True)
class _Begun:
    """A day that the crew is at work on."""

    day: date
    parts: list[Any]
    outcome: Any
    snapshot: Any


class _Pass:
    """One way through the days, from a state that is stored to where no day is left to run."""

    def __init__(
        self,
        run: Run,
        chain: Chain,
        left: set[date],
        refused: set[date],
        crew: Crew,
        progress: Progress,
    ) -> None:
        self.run, self.chain, self.crew, self.progress = run, chain, crew, progress
        self.left, self.refused = left, refused
        self.blocks = split(run.domain.n_cell, crew.blocks)
        self.recorded = set(chain.recorded_days())
        # Not those that this pass itself stores ahead of their records.
        self.stored = [day for day in chain.days() if day in self.recorded]
        self.last_wanted = max(left)
        self.last = max(self.recorded | left)
        self.start, self.parts, self.content = self._begin_with()
        self.finished: _Begun | None = None
        self.newest_stored: Any = None

    def follow(self) -> Generator[Ran]:
        """Run the days in order; whatever ends it early, the last state is stored."""
        try:
            yield from self._days()
        except BaseException:
            # An interrupt too, and whoever takes the days and fails: the next run begins here.
            self._store_last()
            raise

    def _store_last(self) -> None:
        last = self.finished
        if last is None or last.snapshot is not None:
            return
        try:
            self.crew.result(self._snapshot(last.day, last.parts))
        except MsmError as error:
            log.warning("The state after %s is not stored, and made again: %s", last.day, error)

    def _days(self) -> Generator[Ran]:
        """Run the days in order, some of them begun while an earlier one is not finished."""
        total = (self.last_wanted - self.start).days
        begun: deque[_Begun] = deque()
        failure = None
        with closing(ahead(self.run, self.start, self.last_wanted, self.last)) as days:
            while True:
                while failure is None and len(begun) <= self.crew.ahead:
                    try:
                        following = next(days, None)
                    except MsmError as error:
                        # The days before it can be finished, and may be all that are needed.
                        failure = error
                        break
                    if following is None:
                        break
                    begun.append(self._begin(*following))
                if not begun:
                    break
                ran = self._finish(begun.popleft())
                self.progress(f"{ran.day}", min((ran.day - self.start).days, total), total)
                yield ran
                if not self._goes_on(ran):
                    return
        if failure is not None:
            raise failure

    def _goes_on(self, ran: Ran) -> bool:
        """Tell whether the day after has to be run, and from this one's state."""
        after = ran.day + ONE_DAY
        if ran.changed and after in self.recorded:
            return True
        if not self.left:
            return False
        following = min(self.left)
        return not any(ran.day < day < following for day in self.stored if day not in self.refused)

    def _begin_with(self) -> tuple[date, list[Any], str]:
        """Return the newest state before the first wanted day that the chain vouches for."""
        first = min(self.left)
        for day in reversed([day for day in self.chain.days() if day < first]):
            if day in self.refused:
                continue
            try:
                vouched = self.chain.read_record(day).content_hash
                parts = [
                    self.crew.submit(blocks.state, self.chain, day, block) for block in self.blocks
                ]
                if self._content(parts) == vouched:
                    return day, parts, vouched
                problem = f"{self.chain.path(day)} does not hold the state that its record names"
            except StateError as error:
                problem = str(error)
            self.refused.add(day)
            log.warning(
                "%s. The days from the newest state before it are run again; "
                "`msm backfill %s %s --replace all` makes it anew.",
                problem.rstrip("."),
                day,
                day,
            )
        parts = [self.crew.submit(blocks.cold, block) for block in self.blocks]
        return self.chain.root.cold_start - ONE_DAY, parts, self._content(parts)

    def _content(self, parts: list[Any]) -> str:
        hashes = [self.crew.submit(blocks.hashes, part) for part in parts]
        tiles = tuple(tile for part in hashes for tile in self.crew.result(part))
        return content_hash(self.run.domain.n_cell, self.run.checkpoint.card.state_size, tiles)

    def _begin(self, day: date, gathered: Gathered | None) -> _Begun:
        submit = self.crew.submit
        if gathered:
            self.newest_stored = submit(blocks.forcing, day, gathered)
        # A gap is given the weather of a day before, which may be in the making.
        given = submit(blocks.weather, day, self.newest_stored)
        stepped = [
            submit(blocks.step, block, given, before, self.crew.threads)
            for block, before in zip(self.blocks, self.parts, strict=True)
        ]
        self.parts = stepped
        snapshot = None
        if self._is_kept(day):
            snapshot = self._snapshot(day, stepped)
            if not day.toordinal() % self.run.settings.anchor_days:
                # The file is what the days after it stand on: what was computed so far can be
                # forgotten, and a worker that dies costs no more than the days since.
                self.parts = [
                    submit(blocks.state, self.chain, day, block, snapshot) for block in self.blocks
                ]
        outcome = self._outcome(day, stepped, stores_prediction=day in self.left)
        return _Begun(day, stepped, outcome, snapshot)

    def _outcome(self, day: date, parts: list[Any], *, stores_prediction: bool) -> Any:
        summaries = [self.crew.submit(blocks.summary, part) for part in parts]
        return self.crew.submit(
            blocks.outcome, self.chain, day, summaries, stores_prediction=stores_prediction
        )

    def _snapshot(self, day: date, parts: list[Any]) -> Any:
        submit = self.crew.submit
        deflated = [submit(blocks.deflated, part, self.crew.threads) for part in parts]
        return submit(blocks.snapshot, self.chain, day, deflated)

    def _is_kept(self, day: date) -> bool:
        """Tell whether the state after a day is stored: often enough, at the end, or again."""
        ends = (self.last_wanted, self.last)
        return (
            day.toordinal() % KEPT_DAYS == 0
            or any(end - ONE_DAY <= day <= end for end in ends)
            or self.chain.path(day).exists()
        )

    def _finish(self, begun: _Begun) -> Ran:
        """Write what belongs to a day; its record comes last, and says that the day is done."""
        day = begun.day
        before = self._recorded(day)
        outcome = self.crew.result(begun.outcome)
        changed = before is None or (
            (before.content_hash, before.hash_before, before.forcing_fingerprint)
            != (outcome.content_hash, self.content, outcome.forcing_sha256)
        )
        if changed and before is not None and before.prediction_sha256 and day not in self.left:
            # It was wanted at some time before.
            again = self._outcome(day, begun.parts, stores_prediction=True)
            outcome = self.crew.result(again)
        prediction = outcome.prediction_sha256
        if begun.snapshot is not None:
            self.crew.result(begun.snapshot)
            prune(self.chain, day, self.run)
        if changed or prediction:
            self.chain.write_record(
                day, outcome.content_hash, self.content, outcome.forcing_sha256, prediction
            )
        self.content = outcome.content_hash
        self.finished = begun
        self.left.discard(day)
        return Ran(day, changed, prediction is not None)

    def _recorded(self, day: date) -> DayRecord | None:
        if day not in self.recorded:
            return None
        try:
            return self.chain.read_record(day)
        except StateError as error:
            log.warning("%s", error)
            return None


def prune(chain: Chain, newest: date, run: Run) -> None:
    """Let go of older states, but for those that a replay starts from."""
    kept = run.settings.state_days, run.settings.anchor_days
    for day in chain.prunable(newest, *kept):
        chain.path(day).unlink(missing_ok=True)
