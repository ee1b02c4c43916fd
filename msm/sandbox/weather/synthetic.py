"""Simulated weather of the globe, or of a window of it: a function of seed and time alone.

It has seasons that differ between the hemispheres, rains that follow the sun, deserts, storms that
travel eastwards in mid-latitudes and westwards in the tropics, cold poles, soils, and a water
balance of the top soil that the satellite observes. It is not a forecast of anything: its fields
have the ranges and patterns that readers, the network and users must handle.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import EaseGrid
from msm.sandbox.weather.air import (
    SOLAR_CONSTANT,
    STEFAN_BOLTZMANN,
    emissivity,
    rounded,
    saturation_humidity,
)
from msm.sandbox.weather.earth import dryness, height, season, vegetation
from msm.sandbox.weather.interface import (
    NORTH_AMERICA,
    Extent,
    Fields,
    Half,
    land_share,
    on_land,
    region,
)
from msm.sandbox.weather.patterns import Wave, waves
from msm.sandbox.weather.satellite import retrievals
from msm.sandbox.weather.solar import cos_zenith, declination, hour_angle
from msm.sandbox.weather.storms import rain_rate, reaching_ground
from msm.sandbox.weather.top_soil import M72, TopSoil

Array = NDArray[Any]


class SyntheticWeather:
    """Weather of one seed; every extent is a window of the same globe."""

    first_day = date(2015, 3, 31)
    last_day = date(2035, 12, 31)

    def __init__(self, seed: int, extent: Extent = NORTH_AMERICA) -> None:
        self.seed, self.extent = seed, extent
        chance = np.random.default_rng([seed, 2])
        # Highs and lows: waves of different lengths and speeds.
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
        """Return the forcing at a UTC hour; see `Weather.hour`."""
        lat, lon = lat.astype(np.float32), lon.astype(np.float32)
        half_before = stamp - timedelta(minutes=30)
        cloud = 1.0 - np.exp(-0.8 * rain_rate(self.seed, stamp, lat, lon))
        daily = self._daily_temperature(stamp, lat, lon)
        # Where the sun stays low, days and nights are alike.
        noon_sun = np.cos(np.radians(lat) - declination(stamp)).clip(min=0.0)[:, None]
        swing = (7.0 - 4.0 * cloud) * noon_sun
        temperature = daily + swing * np.cos(hour_angle(stamp, lon) - 0.7)
        at_rest = 101325.0 * np.exp(-height(lat, lon) / 8400.0)
        pressure = at_rest + 600.0 * self._wave(stamp, lat, lon, 7.0)
        relative = 0.75 - 0.5 * dryness(stamp, lat, lon) + 0.25 * cloud
        humidity = np.minimum(
            relative.clip(max=0.98) * saturation_humidity(daily, pressure),
            0.98 * saturation_humidity(temperature, pressure),
        )
        sky = emissivity(temperature, humidity, pressure, cloud)
        sun = SOLAR_CONSTANT * 0.76 * (1 - 0.7 * cloud) * cos_zenith(stamp, lat, lon)
        west, trades = np.exp(-0.5 * ((np.abs(lat) - 45) / 14) ** 2), np.exp(-((lat / 18) ** 2))
        return rounded(
            {
                "air_temperature": temperature,
                "specific_humidity": humidity,
                "surface_pressure": pressure,
                "wind_east": (5.0 * west - 4.0 * trades)[:, None]
                + 4.0 * self._wave(stamp, lat, lon, 13.0),
                "wind_north": 3.0 * self._wave(stamp, lat, lon, 29.0),
                "shortwave_down": sun,
                "longwave_down": sky * STEFAN_BOLTZMANN * temperature**4,
                "precipitation": 24.0
                * reaching_ground(rain_rate(self.seed, half_before, lat, lon)),
            }
        )

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Return SMAP's retrievals of a UTC day; see `Weather.satellite`."""
        rows, cols = region(grid, self.extent)
        lat, lon = grid.lat[rows], grid.lon[cols]
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        return retrievals(
            self.seed,
            day,
            grid,
            half,
            self.extent,
            water=self._top_soil.water_at(day, lat, lon),
            temperature=self._daily_temperature(noon, lat, lon),
            vegetation=vegetation(noon, lat, lon),
        )

    def soil(self, grid: EaseGrid) -> Fields:
        """Return sand and clay; see `Weather.soil`."""
        rows, cols = region(grid, self.extent)
        sand, clay = self._texture(grid.lat[rows], grid.lon[cols])
        sea = land_share(grid, self.extent) == 0.0
        return {"sand": np.where(sea, np.nan, sand), "clay": np.where(sea, np.nan, clay)}

    def soil_water(self, day: date, lat: Array, lon: Array) -> Array:
        """Return the water of the top soil; see `Weather.soil_water`."""
        water = self._top_soil.water_at(day, lat, lon)
        water[~on_land(lat, lon, self.extent)] = np.nan
        return water

    @cached_property
    def _top_soil(self) -> TopSoil:
        rows, cols = region(M72, self.extent)
        lat, lon = M72.lat[rows], M72.lon[cols]
        sand, clay = self._texture(lat, lon)
        return TopSoil(
            place=(rows, cols),
            sand=sand,
            clay=clay,
            temperature=lambda time: self._daily_temperature(time, lat, lon),
            rain=lambda time: reaching_ground(rain_rate(self.seed, time, lat, lon)),
        )

    def _wave(self, time: datetime, lat: Array, lon: Array, lag: float) -> Array:
        """Travelling waves of about one standard deviation; each lag (days) gives others."""
        return waves(self._waves, lat, lon, time.timestamp() / 86400.0 + lag)

    def _daily_temperature(self, time: datetime, lat: Array, lon: Array) -> Array:
        """Air temperature without its daily cycle, K, shape (lat, lon), float32."""
        sine = np.sin(np.radians(lat))
        # There is little land in the south: its seasons are half as strong.
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
