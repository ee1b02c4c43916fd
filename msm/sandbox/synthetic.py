"""Made-up weather of North America, a function of (seed, time) alone.

It has seasons, moving storms, clouds that dim the sun, humidity below saturation, soils, and a
water balance of the top soil behind what the satellite sees. None of it claims to be true; all of
it has the size and the shape that the readers, the network and its users must expect.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import land_fraction
from msm.grid.ease import M36, NEST, EaseGrid
from msm.sandbox.orbit import seen
from msm.sandbox.solar import cos_zenith, hour_angle
from msm.sandbox.storms import rain_rate, reaching_ground
from msm.sandbox.weather import FLAG_FILL, NORTH_AMERICA, Extent, Fields, Half, region

Array = NDArray[Any]

MEMORY_DAYS = 75
"""Days of rain behind the soil moisture of a day; the top soil forgets in less."""

DEPTH_MM = 50.0
"""Depth of the soil layer that the satellite sees."""

RETRIEVAL_NOISE = {"M36": 0.02, "M09": 0.03}
"""Standard deviation of a retrieval's error, m3 m-3."""

STEPS = {
    "air_temperature": 2**-6,
    "specific_humidity": 2**-20,
    "surface_pressure": 1.0,
    "wind_east": 2**-6,
    "wind_north": 2**-6,
    "shortwave_down": 2**-4,
    "longwave_down": 2**-4,
    "precipitation": 24 * 2**-8,
}
"""Steps of the forcing's values: the real ones, too, come from files of limited precision."""

FREEZING = 273.15
SOLAR_CONSTANT = 1361.0
STEFAN_BOLTZMANN = 5.670374e-8

# Bits of SMAP's flags, NSIDC user guide.
NOT_RECOMMENDED, NO_RETRIEVAL, NO_FREEZE_THAW = 1, 2 | 4, 8
WATER_BODY, FROZEN_GROUND, DENSE_VEGETATION = 1, 128 | 256, 1024


class SyntheticWeather:
    """Weather made of one seed."""

    extent = NORTH_AMERICA
    first_day = date(2015, 3, 31)
    last_day = date(2035, 12, 31)

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.name = f"synthetic weather, seed {seed}"
        self._rain_kept: OrderedDict[date, Array] = OrderedDict()
        self._water_kept: OrderedDict[date, Array] = OrderedDict()
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
        rain = reaching_ground(rain_rate(self.seed, half_before, lat, lon))
        cloud = 1.0 - np.exp(-0.8 * rain_rate(self.seed, stamp, lat, lon))
        height = _height(lat, lon)
        daily = self._daily_temperature(stamp, lat, lon)
        swing = (7.0 - 4.0 * cloud) * np.cos(hour_angle(stamp, lon) - 0.7)
        temperature = daily + swing
        pressure = 101325.0 * np.exp(-height / 8400.0) + 600.0 * self._wave(stamp, lat, lon, 0.7)
        # The air is drier in the west; it never holds more than saturation allows.
        relative = (0.72 - 0.35 * _bump(lon, -112.0, 9.0) + 0.25 * cloud).clip(max=0.98)
        humidity = np.minimum(
            relative * saturation_humidity(daily, pressure),
            0.98 * saturation_humidity(temperature, pressure),
        )
        vapour = humidity * pressure / 0.622 / 100.0
        # Clear-sky emissivity: Brutsaert 1975, doi:10.1029/WR011i005p00742, vapour in hPa.
        clear = 1.24 * (vapour / temperature) ** (1 / 7)
        emissivity = clear + (1 - clear) * 0.8 * cloud
        fields = {
            "air_temperature": temperature,
            "specific_humidity": humidity,
            "surface_pressure": pressure,
            "wind_east": 2.0 + 4.0 * self._wave(stamp, lat, lon, 1.3),
            "wind_north": 3.0 * self._wave(stamp, lat, lon, 2.9),
            "shortwave_down": (
                SOLAR_CONSTANT * 0.76 * (1 - 0.7 * cloud) * cos_zenith(stamp, lat, lon)
            ),
            "longwave_down": emissivity * STEFAN_BOLTZMANN * temperature**4,
            "precipitation": 24.0 * rain,
        }
        return {name: np.rint(field / STEPS[name]) * STEPS[name] for name, field in fields.items()}

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Give what SMAP retrieves on a UTC day; see `Weather.satellite`."""
        rows, cols = region(grid, self.extent)
        lat, lon = grid.lat[rows], grid.lon[cols]
        seen_here = seen(day, half, lat, lon)
        land = _land(grid, self.extent)
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        morning_cold = 4.0 if half == "am" else -2.0
        frozen = self._daily_temperature(noon, lat, lon) - morning_cold < FREEZING
        vegetation = _vegetation(noon, lat, lon)
        chance = np.random.default_rng(
            [self.seed, day.toordinal(), grid.rows, 0 if half == "am" else 1]
        )
        noise = chance.normal(0.0, RETRIEVAL_NOISE[grid.name], land.shape)
        # Dense vegetation hides the soil: the retrieval gets noisier.
        noise *= 1.0 + (vegetation / 5.0).clip(max=2.0)
        water = self._water(day) if grid.rows == M36.rows else _finer(self._water(day))
        retrieved = (water + noise).clip(0.02, 0.6)

        surface = np.zeros(land.shape, np.uint16)
        surface[land < 0.95] |= WATER_BODY
        surface[frozen] |= FROZEN_GROUND
        surface[vegetation > 5.0] |= DENSE_VEGETATION
        quality = np.where(surface > 0, NOT_RECOMMENDED, 0).astype(np.uint16)
        skipped = frozen | (land < 0.5)
        quality[skipped] |= NO_RETRIEVAL
        # Freeze and thaw are told apart north of 45 degrees only.
        quality[(lat < 45.0)[:, None] & ~skipped] |= NO_FREEZE_THAW
        nothing = ~seen_here | (land == 0.0)
        surface[nothing] = quality[nothing] = FLAG_FILL
        return {
            "soil_moisture": np.where(nothing | skipped, np.nan, retrieved),
            "vegetation_water_content": np.where(nothing | skipped, np.nan, vegetation),
            "retrieval_qual_flag": quality,
            "surface_flag": surface,
        }

    def soil(self, grid: EaseGrid) -> Fields:
        """Give sand and clay; see `Weather.soil`."""
        rows, cols = region(grid, self.extent)
        sand, clay = self._texture(grid.lat[rows], grid.lon[cols])
        sea = _land(grid, self.extent) == 0.0
        return {"sand": np.where(sea, np.nan, sand), "clay": np.where(sea, np.nan, clay)}

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

    def _water(self, day: date) -> Array:
        """Water in the top soil at the end of a day, m3 m-3, on the region of M36.

        A bucket is run over the last `MEMORY_DAYS`, always from the same start, so that the answer
        does not depend on which days were asked for before.
        """
        if day in self._water_kept:
            return self._water_kept[day]
        rows, cols = region(M36, self.extent)
        lat, lon = M36.lat[rows], M36.lon[cols]
        sand, clay = self._texture(lat, lon)
        # Porosity and drainage fall and rise with sand: Cosby et al. 1984, WR020i006p00682.
        porosity = 0.489 - 0.126 * sand
        residual = 0.02 + 0.15 * clay
        drainage = 0.05 + 0.25 * sand
        room = DEPTH_MM * (porosity - residual)
        wetness = np.full(sand.shape, 0.4)
        for back in range(MEMORY_DAYS, -1, -1):
            past = day - timedelta(days=back)
            noon = datetime(past.year, past.month, past.day, 12, tzinfo=UTC)
            warm = (self._daily_temperature(noon, lat, lon) - FREEZING).clip(min=0.0)
            wetness += self._rain(past) * (1 - wetness) / room
            wetness -= drainage * wetness.clip(0, 1) ** 4 + 0.16 * warm * wetness / room
            wetness = wetness.clip(0.02, 1.0)
        water: Array = residual + wetness * (porosity - residual)
        return _keep(self._water_kept, day, water)

    def _rain(self, day: date) -> Array:
        """Rain of a UTC day, mm, on the region of M36; every third hour stands for three."""
        if day in self._rain_kept:
            return self._rain_kept[day]
        rows, cols = region(M36, self.extent)
        start = datetime(day.year, day.month, day.day, 1, 30, tzinfo=UTC)
        total = np.zeros((rows.stop - rows.start, cols.stop - cols.start))
        for step in range(8):
            time = start + timedelta(hours=3 * step)
            rate = rain_rate(self.seed, time, M36.lat[rows], M36.lon[cols])
            total += 3.0 * reaching_ground(rate)
        return _keep(self._rain_kept, day, total)


def saturation_humidity(temperature: Array, pressure: Array) -> Array:
    """Specific humidity of saturated air over water, kg kg-1 (Magnus; WMO-No. 8, annex 4.B)."""
    celsius = temperature - FREEZING
    vapour = 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))
    humidity: Array = 0.622 * vapour / (pressure - 0.378 * vapour)
    return humidity


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


def _land(grid: EaseGrid, extent: Extent) -> Array:
    """Land fraction on the region of a grid."""
    percent = land_fraction()
    if grid.rows == M36.rows:
        shape = M36.rows, NEST, M36.cols, NEST
        return percent.reshape(shape).mean(axis=(1, 3))[region(grid, extent)] / 100.0
    return percent[region(grid, extent)] / 100.0


def _finer(field: Array) -> Array:
    """Interpolate a field on the region of M36 linearly to that of M09."""
    for axis in (0, 1):
        count = field.shape[axis]
        position = ((np.arange(NEST * count) + 0.5) / NEST - 0.5).clip(0, count - 1)
        lower = np.floor(position).astype(int).clip(max=count - 2)
        share = np.expand_dims(position - lower, 1 - axis)
        field = field.take(lower, axis) * (1 - share) + field.take(lower + 1, axis) * share
    return field


def _keep(kept: OrderedDict[date, Array], day: date, field: Array) -> Array:
    kept[day] = field
    while len(kept) > 2 * MEMORY_DAYS:
        kept.popitem(last=False)
    return field
