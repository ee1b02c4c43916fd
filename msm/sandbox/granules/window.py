"""The part of a product's grid that a weather has fields for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M09, M36, EaseGrid
from msm.products.layout import Grid
from msm.sandbox.weather.interface import Extent, region

EASE_GRIDS: dict[str, EaseGrid] = {"M09": M09, "M36": M36}


def window(grid: Grid, extent: Extent) -> tuple[slice, slice]:
    """Return the rows and columns of a grid whose centres lie inside an extent.

    On an EASE-2 grid these are whole M36 cells.
    """
    if grid.kind in EASE_GRIDS:
        return region(EASE_GRIDS[grid.kind], extent)
    lat, lon = grid.axes()
    return _between(lat, extent.south, extent.north), _between(lon, extent.west, extent.east)


def centres(grid: Grid, extent: Extent) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes of a window's rows and longitudes of its columns, degrees."""
    rows, cols = window(grid, extent)
    if grid.kind in EASE_GRIDS:
        ease = EASE_GRIDS[grid.kind]
        return ease.lat[rows], ease.lon[cols]
    lat, lon = grid.axes()
    return lat[rows], lon[cols]


def _between(axis: NDArray[Any], low: float, high: float) -> slice:
    inside = np.flatnonzero((axis >= low) & (axis <= high))
    return slice(int(inside[0]), int(inside[-1]) + 1)
