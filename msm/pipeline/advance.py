"""The network is run over days in their order, and the chain records the outcome of each.

A day that comes to another state than before changes the days after it: they are run as well,
until one of them comes to the same state again. Nothing here depends on the executor: a day is the
same in the daily run, a backfill and a replay, by any number of workers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta

from msm.errors import MsmError
from msm.model.chain import Chain, DayRecord, StateError
from msm.model.state import State, content_hash
from msm.pipeline import blocks
from msm.pipeline.blocks import Outcome, Stepped
from msm.pipeline.day_sources import DaySources, ahead
from msm.pipeline.executor import Executor, Future, split
from msm.pipeline.run import Progress, Run, silent

KEPT_DAYS = 8
"""While days are run, the state of one in so many is stored: a kill costs no more."""

ONE_DAY = timedelta(days=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DayRun:
    """A day that was run."""

    day: date
    changed: bool
    """Whether it has another state, or other forcing, than the last time, if any."""
    predicted: bool
    """Whether its prediction was stored, so that it can be published."""


def advance(
    run: Run, chain: Chain, wanted: Iterable[date], executor: Executor, progress: Progress = silent
) -> Generator[DayRun]:
    """Run days, the days between a stored state and them, and all days that change with them.

    Parameters
    ----------
    run
        An open run.
    chain
        The chain of all the days.
    wanted
        Days whose prediction is wanted.
    executor
        Does the work.
    progress
        Called with each day.

    Yields
    ------
    DayRun
        Each day as soon as its record is written, in order. A day that has changed and was wanted
        at some earlier time has its prediction stored as well.

    Raises
    ------
    MsmError
        If no source is complete for a day; what was yielded stays.
    """
    left = set(wanted)
    refused: set[date] = set()
    while left:
        yield from _Pass(run, chain, left, refused, executor, progress).follow()


@dataclass(frozen=True)
class _Begun:
    """A day that the executor works on."""

    day: date
    parts: Sequence[Future[Stepped]]
    outcome: Future[Outcome]
    snapshot: Future[None] | None


class _Pass:
    """One pass over the days, from a stored state until no day is left to run."""

    def __init__(
        self,
        run: Run,
        chain: Chain,
        left: set[date],
        refused: set[date],
        executor: Executor,
        progress: Progress,
    ) -> None:
        self.run, self.chain, self.executor, self.progress = run, chain, executor, progress
        self.left, self.refused = left, refused
        self.blocks = split(run.domain.n_cell, executor.blocks)
        self.recorded = set(chain.recorded_days())
        # Without the states that this pass stores before their records.
        self.stored = [day for day in chain.days() if day in self.recorded]
        self.last_wanted = max(left)
        self.last = max(self.recorded | left)
        self.parts: Sequence[Future[State] | Future[Stepped]]
        self.start, self.parts, self.content = self._initial_state()
        self.finished: _Begun | None = None
        self.newest_forcing: Future[None] | None = None

    def follow(self) -> Generator[DayRun]:
        """Run the days in order; where that ends early, the last state is stored."""
        try:
            yield from self._days()
        except BaseException:
            # Also after an interrupt, or a failure of the caller: the next run begins here.
            self._store_last()
            raise

    def _store_last(self) -> None:
        last = self.finished
        if last is None or last.snapshot is not None:
            return
        try:
            self.executor.result(self._snapshot(last.day, last.parts))
        except MsmError as error:
            log.warning("The state after %s is not stored: %s", last.day, error)

    def _days(self) -> Generator[DayRun]:
        """Run the days in order; some are begun while an earlier one is not finished."""
        total = (self.last_wanted - self.start).days
        begun: deque[_Begun] = deque()
        failure = None
        with closing(ahead(self.run, self.start, self.last_wanted, self.last)) as days:
            while True:
                while failure is None and len(begun) <= self.executor.ahead:
                    try:
                        following = next(days, None)
                    except MsmError as error:
                        # The days before it are finished, and may be all that are needed.
                        failure = error
                        break
                    if following is None:
                        break
                    begun.append(self._begin(*following))
                if not begun:
                    break
                done = self._finish(begun.popleft())
                self.progress(f"{done.day}", min((done.day - self.start).days, total), total)
                yield done
                if not self._goes_on(done):
                    return
        if failure is not None:
            raise failure

    def _goes_on(self, done: DayRun) -> bool:
        """Return whether the next day has to be run, from this day's state."""
        after = done.day + ONE_DAY
        if done.changed and after in self.recorded:
            return True
        if not self.left:
            return False
        following = min(self.left)
        return not any(done.day < day < following for day in self.stored if day not in self.refused)

    def _initial_state(self) -> tuple[date, list[Future[State]], str]:
        """Return the newest state before the first wanted day that its record confirms."""
        first = min(self.left)
        for day in reversed([day for day in self.chain.days() if day < first]):
            if day in self.refused:
                continue
            try:
                confirmed = self.chain.read_record(day).content_hash
                parts = [self._stored_state(day, block) for block in self.blocks]
                if self._content(parts) == confirmed:
                    return day, parts, confirmed
                problem = f"{self.chain.path(day)} is not the state that its record names"
            except StateError as error:
                problem = str(error)
            self.refused.add(day)
            log.warning(
                "%s. The days from the newest state before it are run again; "
                "`msm backfill %s %s --replace all` makes it again.",
                problem.rstrip("."),
                day,
                day,
            )
        parts = [self.executor.submit(blocks.cold, block) for block in self.blocks]
        return self.chain.root.cold_start - ONE_DAY, parts, self._content(parts)

    def _stored_state(
        self, day: date, block: slice, stored: Future[None] | None = None
    ) -> Future[State]:
        return self.executor.submit(blocks.state, self.chain, day, block, stored)

    def _content(self, parts: Iterable[Future[State]]) -> str:
        hashes = [self.executor.submit(blocks.hashes, part) for part in parts]
        tiles = tuple(tile for part in hashes for tile in self.executor.result(part))
        return content_hash(self.run.domain.n_cell, self.run.checkpoint.card.state_size, tiles)

    def _begin(self, day: date, sources: DaySources | None) -> _Begun:
        submit = self.executor.submit
        if sources:
            self.newest_forcing = submit(blocks.forcing, day, sources)
        # A gap takes the weather of a day before, whose forcing may not be stored yet.
        inputs = submit(blocks.inputs, day, self.newest_forcing)
        stepped = [
            submit(blocks.step, block, inputs, before, self.executor.threads)
            for block, before in zip(self.blocks, self.parts, strict=True)
        ]
        self.parts = stepped
        snapshot = None
        if self._is_kept(day):
            snapshot = self._snapshot(day, stepped)
            if not day.toordinal() % self.run.settings.anchor_days:
                # The days after it continue from the file: earlier results can be released, and a
                # worker that dies costs no more than the days since.
                self.parts = [self._stored_state(day, block, snapshot) for block in self.blocks]
        outcome = self._outcome(day, stepped, stores_prediction=day in self.left)
        return _Begun(day, stepped, outcome, snapshot)

    def _outcome(
        self, day: date, parts: Sequence[Future[Stepped]], *, stores_prediction: bool
    ) -> Future[Outcome]:
        summaries = [self.executor.submit(blocks.summary, part) for part in parts]
        return self.executor.submit(
            blocks.outcome, self.chain, day, summaries, stores_prediction=stores_prediction
        )

    def _snapshot(self, day: date, parts: Sequence[Future[Stepped]]) -> Future[None]:
        submit = self.executor.submit
        deflated = [submit(blocks.deflated, part, self.executor.threads) for part in parts]
        return submit(blocks.snapshot, self.chain, day, deflated)

    def _is_kept(self, day: date) -> bool:
        """Return whether the state after a day is stored: at intervals, at the end, or again."""
        ends = (self.last_wanted, self.last)
        return (
            day.toordinal() % KEPT_DAYS == 0
            or any(end - ONE_DAY <= day <= end for end in ends)
            or self.chain.path(day).exists()
        )

    def _finish(self, begun: _Begun) -> DayRun:
        """Write the files of a day; its record comes last and marks the day as run."""
        day = begun.day
        before = self._record(day)
        outcome = self.executor.result(begun.outcome)
        changed = before is None or (
            (before.content_hash, before.hash_before, before.forcing_fingerprint)
            != (outcome.content_hash, self.content, outcome.forcing_sha256)
        )
        if changed and before is not None and before.prediction_sha256 and day not in self.left:
            # It was wanted at some earlier time.
            again = self._outcome(day, begun.parts, stores_prediction=True)
            outcome = self.executor.result(again)
        prediction = outcome.prediction_sha256
        if begun.snapshot is not None:
            self.executor.result(begun.snapshot)
            prune_states(self.chain, day, self.run)
        if changed or prediction:
            self.chain.write_record(
                day, outcome.content_hash, self.content, outcome.forcing_sha256, prediction
            )
        self.content = outcome.content_hash
        self.finished = begun
        self.left.discard(day)
        return DayRun(day, changed, prediction is not None)

    def _record(self, day: date) -> DayRecord | None:
        if day not in self.recorded:
            return None
        try:
            return self.chain.read_record(day)
        except StateError as error:
            log.warning("%s", error)
            return None


def prune_states(chain: Chain, newest: date, run: Run) -> None:
    """Remove older states, except those that a replay starts from."""
    kept = run.settings.state_days, run.settings.anchor_days
    for day in chain.prunable(newest, *kept):
        chain.path(day).unlink(missing_ok=True)
