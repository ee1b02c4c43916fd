"""What has become of each day: published, pending, a gap, or failed.

Published days are told by the archive and accepted gaps by the settings. What stood in the way of
the others, and since when, is noted by the run that found it, in one file of the work folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from pydantic import AwareDatetime, TypeAdapter

from msm.archive import store
from msm.atomic_files import read_document, replacing
from msm.frozen import FrozenModel
from msm.pipeline.run import Run, midnight
from msm.sources.tiers import best_sources

APART_DAYS = 60
"""Days without a map that part two series of maps."""


class State(StrEnum):
    """What a day can be."""

    published = "published"
    pending = "pending"
    """Its inputs may still come."""
    gap = "gap"
    """No source has it; accepted in the settings, or not, which alarms."""
    failed = "failed"
    """Its inputs are there, and something went wrong."""


class Trouble(FrozenModel):
    """What stood in the way of a day, the last time that it was tried."""

    sentence: str
    since: AwareDatetime
    missing: bool
    """Whether inputs are missing, rather than that something went wrong."""


@dataclass(frozen=True)
class DayState:
    """What has become of a day."""

    day: date
    state: State
    note: str
    """Status and revision of the map, or why there is none."""
    accepted: bool = False
    """Of a gap: whether the settings list it."""
    since: datetime | None = None
    """When what stands in the way was first found."""
    until: datetime | None = None
    """Of a pending day: when waiting ends and it becomes a gap."""

    @property
    def alarms(self) -> bool:
        """Tell whether somebody has to look at it."""
        return self.state is State.failed or (self.state is State.gap and not self.accepted)


_TROUBLES = TypeAdapter(dict[date, Trouble])


def troubles(run: Run) -> dict[date, Trouble]:
    """Read what stood in the way of days.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    return read_document(run.workspace.failures, _TROUBLES.validate_json) or {}


def note(run: Run, tried: Iterable[date], found: Mapping[date, Trouble]) -> None:
    """Keep what stands in the way of the days that were tried, and forget what no longer does."""
    before = troubles(run)
    kept = {day: trouble for day, trouble in before.items() if day not in set(tried)}
    for day, trouble in found.items():
        known = before.get(day)
        same = known is not None and known.missing == trouble.missing
        kept[day] = trouble.model_copy(update={"since": known.since}) if known and same else trouble
    if kept == before:
        return
    document = _TROUBLES.dump_python(dict(sorted(kept.items())), mode="json")
    with replacing(run.workspace.failures) as new:
        new.write_text(json.dumps({str(day): entry for day, entry in document.items()}, indent=1))


class Look(FrozenModel):
    """The last time that a scheduled run looked over the days."""

    at: AwareDatetime
    first: date
    last: date
    deep_on: date
    """UTC day on which a run last looked far back."""


def last_look(run: Run) -> Look | None:
    """Read when a scheduled run last looked over the days; None where none has.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    return read_document(run.workspace.last_scan, Look.model_validate_json)


def note_look(run: Run, look: Look) -> None:
    """Keep that a scheduled run has looked over the days."""
    with replacing(run.workspace.last_scan) as new:
        new.write_text(look.model_dump_json(indent=1))


def known_days(run: Run) -> list[date]:
    """List the days that are published or were looked at, and those between them.

    A hole of more than `APART_DAYS` parts two series, as of two backfills: it is no gap of either.
    """
    known = set(store.published_days(run.settings.archive, run.domain.name))
    if look := last_look(run):
        known |= {look.first, look.last}
    days = sorted(known)
    for day, following in pairwise(sorted(known)):
        apart = (following - day).days
        if apart <= APART_DAYS:
            days += [day + timedelta(days=n) for n in range(1, apart)]
    return sorted(days)


def states(run: Run, days: Iterable[date], now: datetime) -> list[DayState]:
    """Tell what has become of days."""
    known = troubles(run)
    return [_state(run, day, known.get(day), now) for day in days]


def retry_until(run: Run, day: date) -> datetime:
    """Return the moment until which the best sources of a day are waited for."""
    wait = max(source.layout.latency.retry_days for source in best_sources(run.domain))
    return midnight(day) + timedelta(days=1 + wait)


def _state(run: Run, day: date, trouble: Trouble | None, now: datetime) -> DayState:
    item = store.read_item(run.settings.archive, run.domain.name, day)
    if item is not None:
        return DayState(day, State.published, f"{item.status}, revision {item.revision}")
    if day in run.settings.gaps:
        return DayState(day, State.gap, run.settings.gaps[day], accepted=True)
    if trouble is not None and not trouble.missing:
        return DayState(day, State.failed, trouble.sentence, since=trouble.since)
    sentence = trouble.sentence if trouble else f"It was not tried yet: msm backfill {day} {day}."
    since = trouble.since if trouble else None
    until = retry_until(run, day)
    if now < until:
        return DayState(day, State.pending, sentence, since=since, until=until)
    return DayState(day, State.gap, sentence, since=since)
