"""Water in the simulated top soil: a bucket that rain fills and evaporation and drainage empty."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M36, EaseGrid, project
from msm.sandbox.weather.air import FREEZING

Array = NDArray[Any]

M72 = EaseGrid("M72", rows=M36.rows // 2, cols=M36.cols // 2, cell_size=2 * M36.cell_size)
"""Grid of the water balance, with cells of 2 x 2 of M36: the globe has many."""

DEPTH_MM = 50.0
"""Depth of the soil layer that the satellite observes."""

MEMORY_DAYS = 45
"""Days of rain that the water of a day depends on.

Only frozen ground, where nothing is retrieved, remembers its start: 0.01 m3 m-3.
"""

RAIN_HOURS = 6
"""Hours that one sample of the rain rate stands for."""


@dataclass(frozen=True, eq=False)
class TopSoil:
    """Water balance on a part of M72."""

    place: tuple[slice, slice]
    """Rows and columns of M72; arrays have their shape."""
    sand: Array
    """Fraction."""
    clay: Array
    """Fraction."""
    temperature: Callable[[datetime], Array]
    """Daily air temperature, K, around a UTC time."""
    rain: Callable[[datetime], Array]
    """Rain rate at a UTC time, mm h-1."""
    _rain_kept: OrderedDict[date, Array] = field(init=False, default_factory=OrderedDict)
    _water_kept: OrderedDict[date, Array] = field(init=False, default_factory=OrderedDict)

    def water(self, day: date) -> Array:
        """Return the water at the end of a UTC day, m3 m-3.

        The bucket always runs over the last `MEMORY_DAYS` from the same start, so that the answer
        does not depend on the days asked for before.
        """
        if day in self._water_kept:
            return self._water_kept[day]
        # Porosity falls and drainage rises with sand: Cosby et al. 1984, WR020i006p00682.
        porosity = 0.489 - 0.126 * self.sand
        residual = 0.02 + 0.15 * self.clay
        drainage = 0.05 + 0.25 * self.sand
        capacity = DEPTH_MM * (porosity - residual)
        wetness = np.full(self.sand.shape, 0.4, self.sand.dtype)
        for back in range(MEMORY_DAYS, -1, -1):
            past = day - timedelta(days=back)
            noon = datetime(past.year, past.month, past.day, 12, tzinfo=UTC)
            warm = (self.temperature(noon) - FREEZING).clip(min=0.0)
            wetness += self.rain_of(past) * (1 - wetness) / capacity
            wetness -= drainage * wetness.clip(0, 1) ** 4 + 0.16 * warm * wetness / capacity
            wetness = wetness.clip(0.02, 1.0)
        water: Array = residual + wetness * (porosity - residual)
        return _keep(self._water_kept, day, water)

    def rain_of(self, day: date) -> Array:
        """Return the rain of a UTC day, mm."""
        if day in self._rain_kept:
            return self._rain_kept[day]
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        total = np.zeros_like(self.sand)
        for sample in range(24 // RAIN_HOURS):
            time = midnight + timedelta(hours=RAIN_HOURS * (sample + 0.5))
            total += float(RAIN_HOURS) * self.rain(time)
        return _keep(self._rain_kept, day, total)

    def water_at(self, day: date, lat: Array, lon: Array) -> Array:
        """Return the water on axes in degrees, interpolated; beyond the place its edge goes on."""
        rows = (M72.y_max - project(lat, 0.0)[1]) / M72.cell_size
        cols = (project(0.0, lon)[0] - M72.x_min) / M72.cell_size
        return self._between(
            self.water(day), rows - self.place[0].start - 0.5, cols - self.place[1].start - 0.5
        )

    def _between(self, water: Array, rows: Array, cols: Array) -> Array:
        """Interpolate linearly to positions, counted in cells from the first centre."""
        if self.place[1] == slice(0, M72.cols):
            # Around the globe the last column is the first one's neighbour.
            water, cols = np.pad(water, ((0, 0), (1, 1)), mode="wrap"), cols + 1
        for axis, position in enumerate((rows, cols)):
            count = water.shape[axis]
            position = position.clip(0, count - 1)
            lower = np.floor(position).astype(int).clip(max=count - 2)
            share = np.expand_dims((position - lower).astype(water.dtype), 1 - axis)
            water = water.take(lower, axis) * (1 - share) + water.take(lower + 1, axis) * share
        return water


def _keep(kept: OrderedDict[date, Array], day: date, field: Array) -> Array:
    kept[day] = field
    while len(kept) > 2 * MEMORY_DAYS:
        kept.popitem(last=False)
    return field
