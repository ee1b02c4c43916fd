"""`freshness.json` in the archive: how new the newest maps are, for machines that wait for them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from msm.archive import store
from msm.archive.naming import domain_folder
from msm.archive.sidecars import FRESHNESS
from msm.atomic_files import replacing
from msm.operations.day_states import DayState, State
from msm.pipeline.run import Run
from msm.sources.tiers import due_moment


def put_freshness(
    run: Run, states: Sequence[DayState], stopped: Iterable[str], now: datetime
) -> Path:
    """Say how new the maps of a domain are.

    Parameters
    ----------
    run
        An open run.
    states
        Of the days that a scheduled run has looked at, the newest due as the last.
    stopped
        Products that come no more.
    now
        When it did, UTC.
    """
    archive, domain = run.settings.archive, run.domain
    newest = _newest(archive, domain.name)
    following = states[-1].day + timedelta(days=1)
    document: dict[str, Any] = {
        "domain": domain.name,
        "newest": {status: str(day) for status, day in newest.items()},
        "lag_days": (now.date() - max(newest.values())).days if newest else None,
        "last_run": now.isoformat(timespec="seconds"),
        "next_due": {
            "day": str(following),
            "at": due_moment(domain, following).isoformat(timespec="seconds"),
        },
        "stopped_inputs": sorted(stopped),
        "window": {
            "first": str(states[0].day),
            "last": str(states[-1].day),
            "days": dict(Counter(state.state.value for state in states)),
            "without_map": [_told(state) for state in states if state.state != State.published],
        },
    }
    path = domain_folder(archive, domain.name) / FRESHNESS
    with replacing(path) as new:
        new.write_text(json.dumps(document, indent=1) + "\n")
    return path


def _newest(archive: Path, domain_name: str) -> dict[str, date]:
    """Return the newest final day, and the newest provisional one after it."""
    found: dict[str, date] = {}
    for day in reversed(store.published_days(archive, domain_name)):
        item = store.read_item(archive, domain_name, day)
        if item is not None:
            found.setdefault(item.status, day)
        if "final" in found:
            break
    return found


def _told(state: DayState) -> dict[str, Any]:
    """Say of a day what a stranger may read: no sentence of an error, which may name a path."""
    return {
        "day": str(state.day),
        "state": state.state.value,
        "accepted": state.accepted,
        "reason": state.note if state.accepted else None,
        "until": state.until.isoformat(timespec="seconds") if state.until else None,
    }
