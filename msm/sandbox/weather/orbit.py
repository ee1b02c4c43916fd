"""SMAP's swaths: the places that its half-orbits of a UTC day observe."""

from __future__ import annotations

from datetime import date
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.interface import Half

ORBITS_PER_DAY = 117 / 8
"""The ground track repeats after 117 orbits in 8 days."""

INCLINATION = np.radians(98.12)
HALF_SWATH_KM = 500.0
KM_PER_DEGREE = 111.2
EQUATOR_CROSSING = {"am": 6.0, "pm": 18.0}
"""Local solar hours of the descending and the ascending node."""


def seen(
    day: date, half: Half, lat: NDArray[np.float64], lon: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which places lie in a swath of a day.

    Parameters
    ----------
    day
        UTC day of the half-orbits' equator crossings.
    half
        Descending (am) or ascending (pm).
    lat, lon
        Rows and columns, degrees, shapes (rows,) and (cols,).

    Returns
    -------
    NDArray
        Shape (rows, cols).
    """
    # Descending nodes are at whole orbits, ascending ones half an orbit later.
    shift = 0.0 if half == "am" else 0.5
    start = day.toordinal() * ORBITS_PER_DAY - shift
    orbits = np.arange(ceil(start), ceil(start + ORBITS_PER_DAY)) + shift
    utc_day = orbits / ORBITS_PER_DAY - day.toordinal()
    node = 15.0 * EQUATOR_CROSSING[half] - 360.0 * utc_day
    return _swaths(node, half, lat, lon)


def in_swath(
    node: float, half: Half, lat: NDArray[np.float64], lon: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which places one half-orbit observes.

    Parameters
    ----------
    node
        Longitude of its equator crossing, degrees.
    half
        Descending (am) or ascending (pm).
    lat, lon
        Rows and columns, degrees, columns from west to east, shapes (rows,) and (cols,).

    Returns
    -------
    NDArray
        Shape (rows, cols).
    """
    return _swaths(np.array([node]), half, lat, lon)


def _swaths(
    nodes: NDArray[Any], half: Half, lat: NDArray[np.float64], lon: NDArray[np.float64]
) -> NDArray[np.bool_]:
    # Angle along the orbit from the node to each latitude, and the longitude gained on the way.
    along = np.arcsin((np.sin(np.radians(lat)) / np.sin(INCLINATION)).clip(-1, 1))
    gained = np.degrees(np.arctan2(np.cos(INCLINATION) * np.sin(along), np.cos(along)))
    turned = 360.0 / ORBITS_PER_DAY * along / (2 * np.pi)
    # Ascending, the northern part comes after the node; descending, before it.
    drift = gained - turned if half == "pm" else turned - gained
    width = HALF_SWATH_KM / (KM_PER_DEGREE * np.cos(np.radians(lat)))
    centre = (nodes[:, None] + drift + 180.0) % 360.0 - 180.0
    # In a row a swath is one run of columns, which may continue across the date line.
    centre = np.concatenate([centre - 360.0, centre, centre + 360.0])
    steps = np.zeros((lat.size, lon.size + 1), np.int8)
    row = np.arange(lat.size)
    np.add.at(steps, (row, np.searchsorted(lon, centre - width, side="right")), 1)
    np.add.at(steps, (row, np.searchsorted(lon, centre + width, side="left")), -1)
    swaths: NDArray[np.bool_] = steps[:, :-1].cumsum(axis=1, dtype=np.int8) > 0
    return swaths
