"""Made-up weather of the whole globe, a function of (seed, time) alone.

It has seasons that differ between the hemispheres, rains that follow the sun, deserts, storms that
travel eastwards in mid-latitudes and westwards in the tropics, and cold poles. None of it claims to
be true. It is there so that global days can be made, and has what they must cope with: every
climate, the date line, and all rows of a global grid.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M36, EaseGrid
from msm.sandbox.weather.air import forcing
from msm.sandbox.weather.earth import dryness, height, season, vegetation
from msm.sandbox.weather.global_storms import rain_rate
from msm.sandbox.weather.interface import WORLD, Fields, Half, land_share, region
from msm.sandbox.weather.patterns import Wave, waves
from msm.sandbox.weather.satellite import retrievals
from msm.sandbox.weather.solar import declination
from msm.sandbox.weather.storms import reaching_ground
from msm.sandbox.weather.top_soil import TopSoil

Array = NDArray[Any]

M72 = EaseGrid("M72", rows=M36.rows // 2, cols=M36.cols // 2, cell_size=2 * M36.cell_size)
"""The soil's water balance is kept on cells of 2 x 2 of M36: the globe has many."""


class GlobalWeather:
    """Weather of the globe made of one seed."""

    extent = WORLD
    first_day = date(2015, 3, 31)
    last_day = date(2035, 12, 31)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.name = f"made-up weather of the globe, seed {seed}"
        chance = np.random.default_rng([seed, 2])
        # What the eye takes for highs and lows, each wave of a size of its own.
        self._waves = [
            Wave(
                cycles=int(chance.integers(3, 9)),
                up=chance.normal(0.0, 0.08),
                rate=chance.uniform(0.8, 1.6),
                phase=chance.uniform(0, 2 * np.pi),
                value=0.5,
            )
            for _ in range(8)
        ]
        # Cycles around the globe and radians per degree of latitude of the soils' patterns.
        self._sand = [
            Wave(cycles, up, 0.0, chance.uniform(0, 2 * np.pi), value)
            for cycles, up, value in ((18, 0.2, 0.14), (7, 0.7, 0.1), (74, -0.9, 0.08))
        ]
        self._clay = [
            Wave(cycles, up, 0.0, chance.uniform(0, 2 * np.pi), value)
            for cycles, up, value in ((16, -0.4, 0.09), (63, 0.3, 0.05))
        ]

    def hour(self, stamp: datetime, lat: Array, lon: Array) -> Fields:
        """Give the forcing at a UTC hour; see `Weather.hour`."""
        lat, lon = lat.astype(np.float32), lon.astype(np.float32)
        half_before = stamp - timedelta(minutes=30)
        cloud = 1.0 - np.exp(-0.8 * rain_rate(self.seed, stamp, lat, lon))
        at_rest = 101325.0 * np.exp(-height(lat, lon) / 8400.0)
        # Where the sun stays low, days and nights are alike.
        noon_sun = np.cos(np.radians(lat) - declination(stamp)).clip(min=0.0)[:, None]
        west, trades = np.exp(-0.5 * ((np.abs(lat) - 45) / 14) ** 2), np.exp(-((lat / 18) ** 2))
        return forcing(
            stamp,
            lat,
            lon,
            daily=self._daily_temperature(stamp, lat, lon),
            swing=(7.0 - 4.0 * cloud) * noon_sun,
            pressure=at_rest + 600.0 * self._wave(stamp, lat, lon, 7.0),
            relative=0.75 - 0.5 * dryness(stamp, lat, lon),
            cloud=cloud,
            rain=reaching_ground(rain_rate(self.seed, half_before, lat, lon)),
            wind_east=(5.0 * west - 4.0 * trades)[:, None]
            + 4.0 * self._wave(stamp, lat, lon, 13.0),
            wind_north=3.0 * self._wave(stamp, lat, lon, 29.0),
            # Brutsaert's formula is of temperate air; no real sky is below this at the poles.
            least_emissivity=0.6,
        )

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Give what SMAP retrieves on a UTC day; see `Weather.satellite`."""
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return retrievals(
            self.seed,
            day,
            grid,
            half,
            self.extent,
            water=self._top_soil.water_nested(day, grid),
            temperature=self._daily_temperature(noon, grid.lat, grid.lon),
            vegetation=vegetation(noon, grid.lat, grid.lon),
        )

    def soil(self, grid: EaseGrid) -> Fields:
        """Give sand and clay; see `Weather.soil`."""
        sand, clay = self._texture(grid.lat, grid.lon)
        sea = land_share(grid, self.extent) == 0.0
        return {"sand": np.where(sea, np.nan, sand), "clay": np.where(sea, np.nan, clay)}

    def soil_water(self, day: date, lat: Array, lon: Array) -> Array:
        """Give the water of the top soil; see `Weather.soil_water`."""
        return self._top_soil.water_at(day, lat, lon)

    @cached_property
    def _top_soil(self) -> TopSoil:
        lat, lon = M72.lat, M72.lon
        sand, clay = self._texture(lat, lon)
        return TopSoil(
            grid=M72,
            place=region(M72, self.extent),
            sand=sand,
            clay=clay,
            temperature=lambda time: self._daily_temperature(time, lat, lon),
            rain=lambda time: reaching_ground(rain_rate(self.seed, time, lat, lon)),
            # Fewer days and looks at the rain than over North America: the globe is large.
            # Only frozen ground, where nothing is retrieved, remembers its start: 0.01 m3 m-3.
            memory_days=45,
            rain_hours=6,
        )

    def _wave(self, time: datetime, lat: Array, lon: Array, lag: float) -> Array:
        """Travelling waves of about one standard deviation; with another lag, unlike ones."""
        return waves(self._waves, lat, lon, time.timestamp() / 86400.0 + lag)

    def _daily_temperature(self, time: datetime, lat: Array, lon: Array) -> Array:
        """Air temperature without its daily cycle, K, shape (lat, lon), float32."""
        sine = np.sin(np.radians(lat))
        # Little land in the south: its seasons are half as strong.
        strength = np.where(sine > 0, 25.0, 12.0) * np.abs(sine) ** 1.3
        column = 300.0 - 50.0 * np.abs(sine) ** 2.5 + np.sign(sine) * strength * season(time)
        temperature: Array = (
            column.astype(np.float32)[:, None]
            + 3.0 * dryness(time, lat, lon)
            - 0.006 * height(lat, lon)
            + 2.5 * self._wave(time, lat, lon, 0.0)
        )
        return temperature

    def _texture(self, lat: Array, lon: Array) -> tuple[Array, Array]:
        sand = (0.42 + waves(self._sand, lat, lon)).clip(0.08, 0.9)
        clay = (0.22 + waves(self._clay, lat, lon)).clip(0.04, 0.5)
        return sand, np.minimum(clay, 0.97 - sand)
