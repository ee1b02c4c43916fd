"""Simulated storms, which travel eastwards in mid-latitudes and westwards in the tropics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.earth import dryness_at, rain_belt, season
from msm.sandbox.weather.patterns import Bump, bumps

Array = NDArray[Any]

LIFE_HOURS = 72.0
"""Longest life of a storm."""

DRY_BELOW = 0.35
"""Rain rate in mm h-1 that evaporates before it reaches the ground, so that there are dry days."""

REACH = 5.0
"""Distance from a storm's centre, in standard deviations, beyond which it has no rain: less than a
hundred-thousandth of the centre's."""

TROPICAL, TEMPERATE = 120.0, 32.0
"""Mean number of storms that begin on a day around the rain belt and in each hemisphere's
mid-latitudes, before those over dry land are left out."""


class Storms(NamedTuple):
    """Several storms, arrays of shape (storm,)."""

    born: Array
    """Hours since 1970."""
    life: Array
    """Hours."""
    lat: Array
    """Where they begin, degrees."""
    lon: Array
    north: Array
    """Speed, degrees of latitude per hour."""
    east: Array
    """Speed, degrees of longitude per hour."""
    radius: Array
    """Distance at which the rain is 61 percent of the centre's, degrees of latitude."""
    rain: Array
    """Highest rain rate at the centre, mm h-1."""


def storms_at(seed: int, time: datetime) -> Storms:
    """Return the storms alive at a time, a function of seed and time."""
    days = (time.date() - timedelta(days=back) for back in range(int(LIFE_HOURS // 24) + 1))
    born = _joined([_born_on(seed, day) for day in days])
    age = time.timestamp() / 3600.0 - born.born
    return _chosen(born, (age >= 0) & (age < born.life))


def rain_rate(seed: int, time: datetime, lat: Array, lon: Array) -> Array:
    """Return the rain rate before evaporation, mm h-1, on axes in degrees, shape (lat, lon)."""
    storms = storms_at(seed, time)
    age = time.timestamp() / 3600.0 - storms.born
    centre = storms.lat + storms.north * age
    # A degree of longitude is shorter than one of latitude.
    wide = storms.radius / np.cos(np.radians(centre)).clip(min=0.15)
    strength = storms.rain * np.sin(np.pi * age / storms.life)
    hills = np.stack(
        [centre, storms.lon + storms.east * age, storms.radius, wide, strength], axis=1
    )
    near = _reaching(hills, lat, lon)
    return bumps([Bump(*hill) for hill in hills[near].tolist()], lat, lon)


def _reaching(hills: Array, lat: Array, lon: Array) -> Array:
    """Return which hills (hill, 5) reach the axes: a window has few of the globe's storms."""
    y, x, tall, wide, _ = hills.T
    middle, half = (lon[0] + lon[-1]) / 2, (lon[-1] - lon[0]) / 2
    aside = np.abs((x - middle + 180.0) % 360.0 - 180.0) - half
    beyond = np.maximum(lat.min() - y, y - lat.max())
    reaching: Array = (beyond < REACH * tall) & (aside < REACH * wide)
    return reaching


@lru_cache(maxsize=200)
def _born_on(seed: int, day: date) -> Storms:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    chance = np.random.default_rng([seed, day.toordinal(), 3])
    return _joined(
        [_tropical(chance, noon), _temperate(chance, noon, 1), _temperate(chance, noon, -1)]
    )


def _tropical(chance: np.random.Generator, noon: datetime) -> Storms:
    """Return the storms of a day around the rain belt."""
    count = int(chance.poisson(TROPICAL))
    return _thinned(
        chance,
        noon,
        Storms(
            born=noon.timestamp() / 3600.0 + chance.uniform(-12, 12, count),
            life=chance.uniform(12, 48, count),
            lat=chance.normal(rain_belt(noon), 9, count),
            lon=chance.uniform(-180, 180, count),
            north=chance.normal(0.0, 0.04, count),
            east=-chance.gamma(4, 0.06, count),
            radius=chance.uniform(0.7, 1.8, count),
            rain=chance.gamma(2, 1.5, count) + 0.5,
        ),
    )


def _temperate(chance: np.random.Generator, noon: datetime, side: int) -> Storms:
    """Return the storms of a day in the mid-latitudes north (side 1) or south (-1)."""
    count = int(chance.poisson(TEMPERATE))
    # Summers have smaller and stronger storms, winters larger and weaker ones.
    summer = 0.5 + 0.5 * side * season(noon)
    return _thinned(
        chance,
        noon,
        Storms(
            born=noon.timestamp() / 3600.0 + chance.uniform(-12, 12, count),
            life=chance.uniform(24, LIFE_HOURS, count),
            lat=side * chance.normal(40 + 8 * summer, 11, count).clip(24, 72),
            lon=chance.uniform(-180, 180, count),
            north=side * chance.normal(0.03, 0.06, count),
            east=chance.gamma(4, 0.12, count),
            radius=chance.uniform(1.0, 2.6, count) + 0.8 * (1 - summer),
            rain=chance.gamma(2, 0.7, count) + 0.7 * summer,
        ),
    )


def _thinned(chance: np.random.Generator, noon: datetime, storms: Storms) -> Storms:
    """Leave out most storms over dry land."""
    dry = dryness_at(noon, storms.lat, storms.lon)
    return _chosen(storms, chance.uniform(0, 1, dry.size) >= 0.97 * dry)


def _chosen(storms: Storms, which: Array) -> Storms:
    return Storms(*(column[which] for column in storms))


def _joined(several: list[Storms]) -> Storms:
    return Storms(*(np.concatenate(columns) for columns in zip(*several, strict=True)))


def reaching_ground(rate: Array) -> Array:
    """Return the part of a rain rate that reaches the ground, mm h-1."""
    ground: Array = (rate - DRY_BELOW).clip(min=0.0)
    return ground
