"""`freshness.json` in the archive: how new the newest maps are, for machines that wait for them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from msm.archive import store
from msm.archive.naming import domain_folder
from msm.archive.sidecars import FRESHNESS
from msm.atomic_files import replacing
from msm.operations.day_states import DayState, State, last_scan, states
from msm.pipeline.run import Run
from msm.sources.tiers import due_day, due_moment


def newest_due(run: Run, now: datetime) -> list[date]:
    """List the newest `window_days` days that are due, oldest first."""
    last = due_day(run.domain, now)
    return [last - timedelta(days=n) for n in reversed(range(run.settings.window_days))]


def put_freshness(run: Run, now: datetime) -> Path:
    """Write how new the maps of a domain are.

    It follows from the archive, the failures of days and the last scheduled run. The next day that
    is due is the one after those that were looked for, so that a schedule that stopped shows.
    """
    archive, domain = run.settings.archive, run.domain
    newest = _newest(archive, domain.name)
    scan = last_scan(run)
    looked_for = [*newest.values(), *([scan.last] if scan else [])]
    window = states(run, newest_due(run, now), now)
    following = max(looked_for, default=window[-1].day) + timedelta(days=1)
    document: dict[str, Any] = {
        "domain": domain.name,
        "newest": {status: str(day) for status, day in newest.items()},
        "lag_days": (now.date() - max(newest.values())).days if newest else None,
        "last_run": now.isoformat(timespec="seconds"),
        "next_due": {
            "day": str(following),
            "at": due_moment(domain, following).isoformat(timespec="seconds"),
        },
        "stopped_inputs": sorted(scan.stopped) if scan else [],
        "window": {
            "first": str(window[0].day),
            "last": str(window[-1].day),
            "days": dict(Counter(state.state.value for state in window)),
            "without_map": [_reported(s) for s in window if s.state != State.published],
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


def _reported(state: DayState) -> dict[str, Any]:
    """Describe a day for the public: without the sentence of an error, which may name a path."""
    return {
        "day": str(state.day),
        "state": state.state.value,
        "accepted": state.accepted,
        "reason": state.note if state.accepted else None,
        "until": state.until.isoformat(timespec="seconds") if state.until else None,
    }
