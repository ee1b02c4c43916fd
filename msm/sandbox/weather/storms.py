"""Storms that are born, travel and die: the rain of the synthetic weather."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIFE_HOURS = 72.0
"""Longest life of a storm."""

DRY_BELOW = 0.35
"""Rain rate in mm h-1 that evaporates before it reaches the ground, so that there are dry days."""


@dataclass(frozen=True)
class Storm:
    """One storm."""

    born: datetime
    life: float
    """Hours."""
    lat: float
    """Where it is born, degrees."""
    lon: float
    north: float
    """Speed, degrees of latitude per hour."""
    east: float
    radius: float
    """Degrees of latitude at which rain has fallen to 61 percent of the centre's."""
    rain: float
    """Rain rate at the centre at its strongest, mm h-1."""


def storms_at(seed: int, time: datetime) -> list[Storm]:
    """List the storms alive at a time, the same for the same seed and time."""
    days = int(LIFE_HOURS // 24) + 1
    storms = (
        storm
        for back in range(days)
        for storm in _born_on(seed, time.date() - timedelta(days=back))
    )
    return [s for s in storms if 0 <= (time - s.born) / timedelta(hours=1) < s.life]


@lru_cache(maxsize=400)
def _born_on(seed: int, day: date) -> tuple[Storm, ...]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    chance = np.random.default_rng([seed, day.toordinal(), 1])
    # Summers have more and smaller storms, winters larger and weaker ones.
    summer = 0.5 - 0.5 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365.25)
    storms = []
    for _ in range(chance.poisson(4 + 4 * summer)):
        # The east of the continent is wetter than the west.
        lon = -125.0 + 60.0 * chance.beta(1.8, 1.2)
        storms.append(
            Storm(
                born=midnight + timedelta(hours=float(chance.uniform(0, 24))),
                life=float(chance.uniform(12, LIFE_HOURS)),
                lat=float(chance.uniform(24, 53)),
                lon=float(lon),
                north=float(chance.normal(0.03, 0.08)),
                east=float(chance.gamma(4, 0.1)),
                radius=float(chance.uniform(0.8, 2.5) + 0.8 * (1 - summer)),
                rain=float(chance.gamma(2, 0.8) + 0.8 * summer),
            )
        )
    return tuple(storms)


def rain_rate(seed: int, time: datetime, lat: NDArray[Any], lon: NDArray[Any]) -> NDArray[Any]:
    """Rain before evaporation, mm h-1, shape (lat, lon) for axes in degrees and of their type."""
    rate = np.zeros((lat.size, lon.size), lat.dtype)
    for storm in storms_at(seed, time):
        age = (time - storm.born) / timedelta(hours=1)
        strength = storm.rain * math.sin(math.pi * age / storm.life)
        down = (lat - storm.lat - storm.north * age) / storm.radius
        # A degree of longitude is shorter than one of latitude: 0.77 at 40 degrees north.
        across = 0.77 * (lon - storm.lon - storm.east * age) / storm.radius
        rate += strength * np.exp(-0.5 * down**2)[:, None] * np.exp(-0.5 * across**2)
    return rate


def reaching_ground(rate: NDArray[Any]) -> NDArray[Any]:
    """Part of a rain rate that reaches the ground, mm h-1."""
    ground: NDArray[Any] = (rate - DRY_BELOW).clip(min=0.0)
    return ground
