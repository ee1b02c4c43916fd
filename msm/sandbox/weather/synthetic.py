"""Made-up weather of North America, a function of (seed, time) alone.

It has seasons, moving storms, clouds that dim the sun, humidity below saturation, soils, and a
water balance of the top soil behind what the satellite sees. None of it claims to be true; all of
it has the size and the shape that the readers, the network and its users must expect.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M36, EaseGrid
from msm.sandbox.weather.air import forcing
from msm.sandbox.weather.interface import NORTH_AMERICA, Fields, Half, land_share, region
from msm.sandbox.weather.satellite import retrievals
from msm.sandbox.weather.storms import rain_rate, reaching_ground
from msm.sandbox.weather.top_soil import TopSoil

Array = NDArray[Any]


class SyntheticWeather:
    """Weather made of one seed."""

    extent = NORTH_AMERICA
    first_day = date(2015, 3, 31)
    last_day = date(2035, 12, 31)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.name = f"synthetic weather, seed {seed}"
        # Waves that the eye takes for weather: wave number in x and y, degrees a day, phase.
        chance = np.random.default_rng([seed, 0])
        self._waves = [
            (
                chance.uniform(0.06, 0.14),
                chance.normal(0, 0.08),
                chance.uniform(0.8, 1.6),
                chance.uniform(0, 2 * np.pi),
            )
            for _ in range(4)
        ]
        self._soil_phase = chance.uniform(0, 2 * np.pi, 6)

    def hour(self, stamp: datetime, lat: Array, lon: Array) -> Fields:
        """Give the forcing at a UTC hour; see `Weather.hour`."""
        lat, lon = lat.astype(np.float32), lon.astype(np.float32)
        half_before = stamp - timedelta(minutes=30)
        cloud = 1.0 - np.exp(-0.8 * rain_rate(self.seed, stamp, lat, lon))
        at_rest = 101325.0 * np.exp(-_height(lat, lon) / 8400.0)
        return forcing(
            stamp,
            lat,
            lon,
            daily=self._daily_temperature(stamp, lat, lon),
            swing=7.0 - 4.0 * cloud,
            pressure=at_rest + 600.0 * self._wave(stamp, lat, lon, 0.7),
            # The air is drier in the west.
            relative=0.72 - 0.35 * _bump(lon, -112.0, 9.0),
            cloud=cloud,
            rain=reaching_ground(rain_rate(self.seed, half_before, lat, lon)),
            wind_east=2.0 + 4.0 * self._wave(stamp, lat, lon, 1.3),
            wind_north=3.0 * self._wave(stamp, lat, lon, 2.9),
        )

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Give what SMAP retrieves on a UTC day; see `Weather.satellite`."""
        rows, cols = region(grid, self.extent)
        lat, lon = grid.lat[rows], grid.lon[cols]
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return retrievals(
            self.seed,
            day,
            grid,
            half,
            self.extent,
            water=self._top_soil.water_nested(day, grid),
            temperature=self._daily_temperature(noon, lat, lon),
            vegetation=_vegetation(noon, lat, lon),
        )

    def soil(self, grid: EaseGrid) -> Fields:
        """Give sand and clay; see `Weather.soil`."""
        rows, cols = region(grid, self.extent)
        sand, clay = self._texture(grid.lat[rows], grid.lon[cols])
        sea = land_share(grid, self.extent) == 0.0
        return {"sand": np.where(sea, np.nan, sand), "clay": np.where(sea, np.nan, clay)}

    def soil_water(self, day: date, lat: Array, lon: Array) -> Array:
        """Give the water of the top soil; see `Weather.soil_water`."""
        return self._top_soil.water_at(day, lat, lon)

    @cached_property
    def _top_soil(self) -> TopSoil:
        rows, cols = region(M36, self.extent)
        lat, lon = M36.lat[rows], M36.lon[cols]
        sand, clay = self._texture(lat, lon)
        return TopSoil(
            grid=M36,
            place=(rows, cols),
            sand=sand,
            clay=clay,
            temperature=lambda time: self._daily_temperature(time, lat, lon),
            rain=lambda time: reaching_ground(rain_rate(self.seed, time, lat, lon)),
            memory_days=75,
            rain_hours=3,
        )

    def _wave(self, time: datetime, lat: Array, lon: Array, shift: float) -> Array:
        """Travelling waves, of about one standard deviation, shape (lat, lon)."""
        days = time.timestamp() / 86400.0
        total = np.zeros((lat.size, lon.size), lat.dtype)
        for across, up, speed, phase in self._waves:
            # The sine of a sum is two products of vectors, far cheaper than a sine per cell.
            east = across * lon
            north = up * lat + (phase + shift - speed * days) % (2 * math.pi)
            total += np.multiply.outer(np.sin(north), np.cos(east))
            total += np.multiply.outer(np.cos(north), np.sin(east))
        return total / math.sqrt(2.0)

    def _daily_temperature(self, time: datetime, lat: Array, lon: Array) -> Array:
        """Air temperature without its daily cycle, K, shape (lat, lon)."""
        year = (time.timestamp() / 86400.0 % 365.2425) / 365.2425
        season = -math.cos(2 * math.pi * (year - 20 / 365))
        column = 288.5 - 0.75 * (lat - 38.0) + (11.0 + 0.25 * (lat - 38.0)) * season
        high = 0.005 * _height(lat, lon)
        return column[:, None] - high + 2.5 * self._wave(time, lat, lon, 0.0)

    def _texture(self, lat: Array, lon: Array) -> tuple[Array, Array]:
        p = self._soil_phase
        x, y = lon[None, :], lat[:, None]
        sand = 0.42 + 0.14 * np.sin(0.31 * x + 0.2 * y + p[0]) + 0.1 * np.sin(0.7 * y + p[1])
        sand = sand + 0.08 * np.sin(1.3 * x - 0.9 * y + p[2])
        clay = 0.22 + 0.09 * np.sin(0.27 * x - 0.4 * y + p[3]) + 0.05 * np.sin(1.1 * x + p[4])
        sand = sand.clip(0.08, 0.9)
        return sand, np.minimum(clay.clip(0.04, 0.5), 0.97 - sand)


def _bump(axis: Array, centre: float, width: float) -> Array:
    bump: Array = np.exp(-0.5 * ((axis - centre) / width) ** 2)
    return bump


def _height(lat: Array, lon: Array) -> Array:
    """Height of the land, m, shape (lat, lon): one range in the west, one in the east."""
    west = 2100.0 * _bump(lon, -109.0, 6.0)[None, :] * np.ones((lat.size, 1), lat.dtype)
    ridge = -79.0 + 0.9 * (38.0 - lat)
    east = 500.0 * np.exp(-0.5 * ((lon[None, :] - ridge[:, None]) / 2.0) ** 2)
    height: Array = west + east
    return height


def _vegetation(time: datetime, lat: Array, lon: Array) -> Array:
    """Vegetation water content, kg m-2, shape (lat, lon): forests in the east and north-west."""
    year = time.timetuple().tm_yday / 365.25
    green = 0.75 - 0.25 * np.cos(2 * np.pi * (year - 0.05))
    forest = 7.0 * _bump(lon, -80.0, 7.0) + 8.0 * _bump(lon, -123.0, 2.0)
    north = 0.5 + 0.5 / (1.0 + np.exp(-(lat - 36.0) / 3.0))
    vegetation: Array = green * (0.6 + forest[None, :] * north[:, None])
    return vegetation
