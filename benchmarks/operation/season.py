"""Random events of a season: granules that are late, lost or revised, and faults."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from msm.sandbox.faults import Behaviour, Fault

Kind = Literal["late", "lost", "revised", "touched", "late satellite", "server", "killed"]

SERVER_FAULTS: tuple[Behaviour, ...] = (
    *("html_200", "unauthorized", "too_many", "unavailable", "truncated"),
    *("truncated_silently", "corrupt", "stall", "slow", "empty"),
)


@dataclass(frozen=True)
class Event:
    """An event at a moment."""

    moment: datetime
    kind: Kind
    names: tuple[str, ...] = ()
    """Granules."""
    until: datetime | None = None
    """When late granules arrive."""
    fault: Fault | None = None
    after: float = 0.0
    """Seconds from the start of a run until it is killed."""


def season(seed: int, first: date, n_days: int) -> list[Event]:
    """Return random events of the days of a season, in order of time, equal for equal seeds.

    Late granules arrive within the waiting time of their product. A lost day is lost in all
    sources.
    """
    chance = random.Random(seed)
    events = []
    lost = first + timedelta(days=n_days // 2)
    for number in range(n_days):
        day = first + timedelta(days=number)
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        due = begin + timedelta(days=5)
        hour = chance.randrange(24)
        nldas = f"NLDAS_FORA0125_H.A{day:%Y%m%d}.{hour:02}00.020.nc"
        if day == lost:
            events.append(Event(begin, "lost", all_sources(day)))
            continue
        if chance.random() < 0.2:
            names = (nldas,) if chance.random() < 0.5 else all_sources(day)
            until = due + timedelta(days=chance.uniform(0.2, 4))
            events.append(Event(begin, "late", names, until))
        elif chance.random() < 0.15:
            moment = due + timedelta(days=chance.uniform(0.5, 6))
            events.append(Event(moment, "revised", (nldas,)))
        elif chance.random() < 0.15:
            moment = due + timedelta(days=chance.uniform(0.5, 6))
            events.append(Event(moment, "touched", (nldas,)))
        if chance.random() < 0.15:
            name = f"SMAP_L3_SM_P_E_{day:%Y%m%d}_R19240_001.h5"
            until = due + timedelta(days=chance.uniform(0.2, 6))
            events.append(Event(begin, "late satellite", (name,), until))
        if chance.random() < 0.5:
            behaviour = chance.choice(SERVER_FAULTS)
            where = r"granules\.umm_json" if behaviour == "empty" else "/data/NLDAS"
            fault = Fault(match=where, behaviour=behaviour, times=chance.randint(1, 3))
            events.append(Event(due, "server", fault=fault))
        if chance.random() < 0.15:
            events.append(Event(due, "killed", after=chance.uniform(0.2, 2.0)))
    return sorted(events, key=lambda event: event.moment)


def all_sources(day: date) -> tuple[str, ...]:
    """Return the name of a granule of each product that can be the source of a day."""
    return (
        f"NLDAS_FORA0125_H.A{day:%Y%m%d}.1200.020.nc",
        f"SMAP_L4_SM_gph_{day:%Y%m%d}T133000_Vv8011_001.h5",
        f"GLDAS_NOAH025_3H.A{day:%Y%m%d}.1200.021.nc4",
        f"GLDAS_NOAH025_3H_EP.A{day:%Y%m%d}.1200.021.nc4",
        f"MERRA2_400.tavg1_2d_slv_Nx.{day:%Y%m%d}.nc4",
    )
