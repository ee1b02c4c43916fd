"""Water in the top soil of made-up weather: a bucket that rain fills and the sun empties."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import land_fraction
from msm.grid.ease import M09, EaseGrid, project
from msm.sandbox.weather.air import FREEZING

Array = NDArray[Any]

DEPTH_MM = 50.0
"""Depth of the soil layer that the satellite sees."""


@dataclass(frozen=True, eq=False)
class TopSoil:
    """Water balance on part of an EASE-2 grid."""

    grid: EaseGrid
    place: tuple[slice, slice]
    """Rows and columns of the grid; arrays have their shape."""
    sand: Array
    """Fraction."""
    clay: Array
    """Fraction."""
    temperature: Callable[[datetime], Array]
    """Daily air temperature, K, around a UTC time."""
    rain: Callable[[datetime], Array]
    """Rain rate at a UTC time, mm h-1."""
    memory_days: int
    """Days of rain behind the water of a day; the top soil forgets in less."""
    rain_hours: int
    """Hours that one look at the rain stands for."""
    _rain_kept: OrderedDict[date, Array] = field(init=False, default_factory=OrderedDict)
    _water_kept: OrderedDict[date, Array] = field(init=False, default_factory=OrderedDict)

    def water(self, day: date) -> Array:
        """Give the water at the end of a UTC day, m3 m-3, on the place.

        The bucket is run over the last `memory_days`, always from the same start, so that the
        answer does not depend on which days were asked for before.
        """
        if day in self._water_kept:
            return self._water_kept[day]
        # Porosity and drainage fall and rise with sand: Cosby et al. 1984, WR020i006p00682.
        porosity = 0.489 - 0.126 * self.sand
        residual = 0.02 + 0.15 * self.clay
        drainage = 0.05 + 0.25 * self.sand
        room = DEPTH_MM * (porosity - residual)
        wetness = np.full(self.sand.shape, 0.4, self.sand.dtype)
        for back in range(self.memory_days, -1, -1):
            past = day - timedelta(days=back)
            noon = datetime(past.year, past.month, past.day, 12, tzinfo=UTC)
            warm = (self.temperature(noon) - FREEZING).clip(min=0.0)
            wetness += self.rain_of(past) * (1 - wetness) / room
            wetness -= drainage * wetness.clip(0, 1) ** 4 + 0.16 * warm * wetness / room
            wetness = wetness.clip(0.02, 1.0)
        water: Array = residual + wetness * (porosity - residual)
        return self._keep(self._water_kept, day, water)

    def rain_of(self, day: date) -> Array:
        """Give the rain of a UTC day, mm, on the place."""
        if day in self._rain_kept:
            return self._rain_kept[day]
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        total = np.zeros_like(self.sand)
        for look in range(24 // self.rain_hours):
            time = midnight + timedelta(hours=self.rain_hours * (look + 0.5))
            total += float(self.rain_hours) * self.rain(time)
        return self._keep(self._rain_kept, day, total)

    def water_nested(self, day: date, grid: EaseGrid) -> Array:
        """Give the water on the same place of a grid whose cells nest in this one's."""
        nest = grid.rows // self.grid.rows
        rows, cols = ((np.arange(nest * count) + 0.5) / nest - 0.5 for count in self.sand.shape)
        return self._between(self.water(day), rows, cols)

    def water_at(self, day: date, lat: Array, lon: Array) -> Array:
        """Give the water on any axes; see `Weather.soil_water`."""
        rows = (self.grid.y_max - project(lat, 0.0)[1]) / self.grid.cell_size
        cols = (project(0.0, lon)[0] - self.grid.x_min) / self.grid.cell_size
        water = self._between(
            self.water(day), rows - self.place[0].start - 0.5, cols - self.place[1].start - 0.5
        )
        water[~_inside(rows, self.place[0])] = np.nan
        water[:, ~_inside(cols, self.place[1])] = np.nan
        water[_sea(lat, lon)] = np.nan
        return water

    def _between(self, water: Array, rows: Array, cols: Array) -> Array:
        """Interpolate linearly to positions, counted in cells from the first centre."""
        if self.place[1] == slice(0, self.grid.cols):
            # Around the globe the last column is the first one's neighbour.
            water, cols = np.pad(water, ((0, 0), (1, 1)), mode="wrap"), cols + 1
        for axis, position in enumerate((rows, cols)):
            count = water.shape[axis]
            position = position.clip(0, count - 1)
            lower = np.floor(position).astype(int).clip(max=count - 2)
            share = np.expand_dims((position - lower).astype(water.dtype), 1 - axis)
            water = water.take(lower, axis) * (1 - share) + water.take(lower + 1, axis) * share
        return water

    def _keep(self, kept: OrderedDict[date, Array], day: date, field: Array) -> Array:
        kept[day] = field
        while len(kept) > 2 * self.memory_days:
            kept.popitem(last=False)
        return field


def _inside(position: Array, place: slice) -> Array:
    inside: Array = (position >= place.start) & (position < place.stop)
    return inside


def _sea(lat: Array, lon: Array) -> Array:
    """Tell which points of axes lie in M09 cells without land, or beyond the grid."""
    rows, cols = M09.rowcol(lat, 0.0)[0], M09.rowcol(0.0, lon)[1]
    sea: Array = land_fraction()[np.ix_(rows, cols)] == 0
    sea[rows < 0] = True
    return sea
