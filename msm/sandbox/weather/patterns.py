"""Patterns on the globe: sums of products of a row's term and a column's term.

Such a sum is one matrix product on any axes, and periodic in longitude.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Bump(NamedTuple):
    """A Gaussian hill on the map."""

    lat: float
    lon: float
    tall: float
    """Standard deviation in latitude, degrees."""
    wide: float
    """Standard deviation in longitude, degrees; at most 30, or it would overlap itself."""
    value: float
    """Value at the top."""


class Wave(NamedTuple):
    """A plane wave on the map, travelling eastwards where its rate is positive."""

    cycles: int
    """Around the globe."""
    up: float
    """Radians per degree of latitude."""
    rate: float
    """Radians a day."""
    phase: float
    value: float
    """Amplitude."""


def bumps(hills: Sequence[Bump], lat: Array, lon: Array) -> Array:
    """Return the sum of hills on axes (degrees), shape (lat, lon), float32."""
    down, across = _sides(hills, lat, lon)
    total: Array = down.T @ across
    return total


def bumps_at(hills: Sequence[Bump], lat: Array, lon: Array) -> Array:
    """Return the sum of hills at points, latitude and longitude in degrees, shape (points,)."""
    down, across = _sides(hills, lat, lon)
    total: Array = (down * across).sum(axis=0)
    return total


def waves(several: Sequence[Wave], lat: Array, lon: Array, days: float = 0.0) -> Array:
    """Return the sum of waves at a time (days) on axes (degrees), shape (lat, lon), float32.

    The waves fade towards the poles, where the meridians meet.
    """
    x, fading = np.radians(lon), np.cos(np.radians(lat)).clip(min=0.0)
    rows, cols = [], []
    for wave in several:
        # The sine of a sum is two products of vectors, far cheaper than a sine per cell.
        north = wave.up * lat + (wave.phase - wave.rate * days) % (2 * np.pi)
        east = wave.cycles * x
        rows += [wave.value * fading * np.sin(north), wave.value * fading * np.cos(north)]
        cols += [np.cos(east), np.sin(east)]
    total: Array = np.stack(rows, axis=1).astype(np.float32) @ np.stack(cols).astype(np.float32)
    return total


def _sides(hills: Sequence[Bump], lat: Array, lon: Array) -> tuple[Array, Array]:
    """Return the hills' profiles from south to north, with their values, and from west to east.

    Their shapes are (hill, lat) and (hill, lon).
    """
    y, x, tall, wide, value = np.array(hills, np.float32).reshape(-1, 5, 1).swapaxes(0, 1)
    north, east = lat.astype(np.float32) - y, (lon.astype(np.float32) - x + 180.0) % 360.0 - 180.0
    return value * np.exp(-0.5 * (north / tall) ** 2), np.exp(-0.5 * (east / wide) ** 2)
