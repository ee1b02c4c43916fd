"""The state of each day: published, pending, a gap, or failed.

The archive says which days are published, the settings which gaps are accepted. The failures of the
other days, and since when, are noted by the run that met them, in one file of the work folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from pydantic import AwareDatetime, Field, TypeAdapter

from msm.archive import store
from msm.atomic_files import read_document, replacing
from msm.frozen import FrozenModel
from msm.pipeline.run import Run, midnight
from msm.sources.tiers import best_sources

APART_DAYS = 60
"""Days without a map that separate two series of maps."""


class State(StrEnum):
    """The states of a day."""

    published = "published"
    pending = "pending"
    """Its inputs may still arrive."""
    gap = "gap"
    """No source has it. It raises an alarm unless the settings accept it."""
    failed = "failed"
    """Its inputs are available, and an error occurred."""


class Failure(FrozenModel):
    """Why a day was not made, the last time that it was tried."""

    sentence: str
    since: AwareDatetime
    missing: bool
    """Whether inputs are missing; otherwise an error occurred."""


@dataclass(frozen=True)
class DayState:
    """The state of a day."""

    day: date
    state: State
    note: str
    """Status and revision of the map, or why there is none."""
    accepted: bool = False
    """Of a gap: whether the settings list it."""
    since: datetime | None = None
    """When its failure was first met."""
    until: datetime | None = None
    """Of a pending day: when it becomes a gap."""

    @property
    def alarms(self) -> bool:
        """Whether it needs attention."""
        return self.state is State.failed or (self.state is State.gap and not self.accepted)


_FAILURES = TypeAdapter(dict[date, Failure])


def read_failures(run: Run) -> dict[date, Failure]:
    """Read the failures of days.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    return read_document(run.workspace.failures, _FAILURES.validate_json) or {}


def note_failures(run: Run, tried: Iterable[date], found: Mapping[date, Failure]) -> None:
    """Keep the failures of the days that were tried, and drop those that are over."""
    before = read_failures(run)
    kept = {day: failure for day, failure in before.items() if day not in set(tried)}
    for day, failure in found.items():
        known = before.get(day)
        same = known is not None and known.missing == failure.missing
        kept[day] = failure.model_copy(update={"since": known.since}) if known and same else failure
    if kept == before:
        return
    document = _FAILURES.dump_python(dict(sorted(kept.items())), mode="json")
    with replacing(run.workspace.failures) as new:
        new.write_text(json.dumps({str(day): entry for day, entry in document.items()}, indent=1))


class LastScan(FrozenModel):
    """The last scheduled run."""

    at: AwareDatetime
    first: date
    last: date
    deep_on: date
    """UTC day on which a run last looked `deep_days` back."""
    stopped: dict[str, str] = Field(default_factory=dict)
    """Best sources that have been discontinued, by id: since when."""


def last_scan(run: Run) -> LastScan | None:
    """Read the last scheduled run; None where there was none.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    return read_document(run.workspace.last_scan, LastScan.model_validate_json)


def note_scan(run: Run, scan: LastScan) -> None:
    """Keep the last scheduled run."""
    with replacing(run.workspace.last_scan) as new:
        new.write_text(scan.model_dump_json(indent=1))


def known_days(run: Run) -> list[date]:
    """List the days that are published or were in the last scheduled run, and those between them.

    More than `APART_DAYS` days without a map separate two series, as of two backfills, and are not
    gaps.
    """
    known = set(store.published_days(run.settings.archive, run.domain.name))
    if scan := last_scan(run):
        known |= {scan.first, scan.last}
    days = sorted(known)
    for day, following in pairwise(sorted(known)):
        apart = (following - day).days
        if apart <= APART_DAYS:
            days += [day + timedelta(days=n) for n in range(1, apart)]
    return sorted(days)


def states(run: Run, days: Iterable[date], now: datetime) -> list[DayState]:
    """Return the states of days."""
    known = read_failures(run)
    return [_state(run, day, known.get(day), now) for day in days]


def retry_until(run: Run, day: date) -> datetime:
    """Return the moment until which the best sources of a day are waited for."""
    wait = max(source.layout.latency.retry_days for source in best_sources(run.domain))
    return midnight(day) + timedelta(days=1 + wait)


def _state(run: Run, day: date, failure: Failure | None, now: datetime) -> DayState:
    item = store.read_item(run.settings.archive, run.domain.name, day)
    if item is not None:
        return DayState(day, State.published, f"{item.status}, revision {item.revision}")
    if day in run.settings.gaps:
        return DayState(day, State.gap, run.settings.gaps[day], accepted=True)
    if failure is not None and not failure.missing:
        return DayState(day, State.failed, failure.sentence, since=failure.since)
    sentence = failure.sentence if failure else f"It was not tried yet: msm backfill {day} {day}."
    since = failure.since if failure else None
    until = retry_until(run, day)
    if now < until:
        return DayState(day, State.pending, sentence, since=since, until=until)
    return DayState(day, State.gap, sentence, since=since)
