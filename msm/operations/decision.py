"""Which days are run, which maps are published again, and why: one decision for all runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from msm.pipeline.ledger import DayFacts, Ledger

Replace = Literal["missing", "changed", "all"]


@dataclass(frozen=True)
class Plan:
    """What a run is to do."""

    run: dict[date, str]
    """Days to run and publish, and why."""
    publish: dict[date, str]
    """Days whose prediction is stored and only published, and why."""

    @property
    def why(self) -> dict[date, str]:
        """All days, oldest first, and why."""
        return dict(sorted((self.run | self.publish).items()))


def decide(ledger: Ledger, days: Iterable[date], replace: Replace, now: datetime) -> Plan:
    """Decide what is done for days, from the stored files alone.

    Parameters
    ----------
    ledger
        The facts of the days.
    days
        UTC days.
    replace
        `missing`: days that are not published. `changed`: those, and days that no longer follow
        from their inputs and the days before, were made by another chain, are not published as
        the chain gives them now, or have become final. `all`: every day.
    now
        The present time, UTC: a map becomes final when its inputs can no longer change.
    """
    days = sorted(days)
    if replace == "all":
        return Plan(dict.fromkeys(days, "all days are wanted"), {})
    facts = {day: ledger.facts(day) for day in days}
    why = {day: "it is not published" for day in days if facts[day].published is None}
    stale = ledger.stale(days if replace == "changed" else why)
    if replace == "changed":
        why |= stale
        for day in set(days) - why.keys():
            if reason := _changed(ledger, facts[day], now):
                why[day] = reason
    to_run = {day: why[day] for day in sorted(why) if day in stale or not facts[day].is_run}
    return Plan(to_run, {day: why[day] for day in sorted(why) if day not in to_run})


def _changed(ledger: Ledger, facts: DayFacts, now: datetime) -> str | None:
    """Return why a published day that is not stale is published again; None where it is not."""
    published = facts.published
    if ledger.chain is None or published is None:
        return None
    if published.chain_id != ledger.chain.root.chain_id:
        return "it was made by another chain of states"
    if ledger.outdated([facts.day]):
        return "its map is not the one that the chain gives now"
    if published.status == "provisional" and not ledger.may_change(facts.day, now):
        return "it has become final"
    return None
