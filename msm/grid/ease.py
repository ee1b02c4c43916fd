"""The global EASE-2 grids M09 (9 km) and M36 (36 km).

Constants: NSIDC, "EASE-Grid 2.0" grid definition (EPSG:6933, WGS 84, standard parallel 30 degrees);
the `master_geotransform` of SPL3SMP_E granules has the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray

EPSG = 6933
"""EPSG code of the projection, NSIDC EASE-Grid 2.0 Global."""

NEST = 4
"""Each M36 cell consists of exactly NEST x NEST cells of M09."""


@lru_cache(maxsize=1)
def crs() -> pyproj.CRS:
    """Return the coordinate reference system of the EASE-2 global grids, EPSG:6933."""
    return pyproj.CRS.from_epsg(EPSG)


@lru_cache(maxsize=1)
def _from_lonlat() -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4326, EPSG, always_xy=True)


def project(lat: ArrayLike, lon: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project geographic coordinates to EASE-2.

    Parameters
    ----------
    lat, lon
        Latitude and longitude in degrees on WGS 84, any broadcastable shapes.

    Returns
    -------
    x, y
        Easting and northing in m, of the broadcast shape.
    """
    lon_array, lat_array = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
    x, y = _from_lonlat().transform(lon_array, lat_array)
    return np.asarray(x), np.asarray(y)


def unproject(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitude and longitude in degrees of EASE-2 coordinates `x`, `y` in m."""
    x_array, y_array = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    lon, lat = _from_lonlat().transform(x_array, y_array, direction="INVERSE")
    return np.asarray(lat), np.asarray(lon)


@dataclass(frozen=True)
class EaseGrid:
    """One global cylindrical EASE-2 grid; row 0 is the northernmost, column 0 the westernmost."""

    name: str
    """NSIDC's short name, `M09` or `M36`."""
    rows: int
    cols: int
    cell_size: float
    """Width and height of a cell, m."""
    x_min: float = -17367530.4451615
    """Western edge of the grid, m."""
    y_max: float = 7314540.8306386
    """Northern edge of the grid, m."""

    @cached_property
    def x_edges(self) -> NDArray[np.float64]:
        """Column edges from west to east, shape (cols + 1,), m."""
        return self.x_min + self.cell_size * np.arange(self.cols + 1, dtype=np.float64)

    @cached_property
    def y_edges(self) -> NDArray[np.float64]:
        """Row edges from north to south, shape (rows + 1,), m."""
        return self.y_max - self.cell_size * np.arange(self.rows + 1, dtype=np.float64)

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """Cell centres from west to east, shape (cols,), m."""
        return self.x_min + self.cell_size * (np.arange(self.cols, dtype=np.float64) + 0.5)

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """Cell centres from north to south, shape (rows,), m."""
        return self.y_max - self.cell_size * (np.arange(self.rows, dtype=np.float64) + 0.5)

    @cached_property
    def lat(self) -> NDArray[np.float64]:
        """Latitude of the rows' centres, shape (rows,), degrees north."""
        return unproject(0.0, self.y)[0]

    @cached_property
    def lon(self) -> NDArray[np.float64]:
        """Longitude of the columns' centres, shape (cols,), degrees east."""
        return unproject(self.x, 0.0)[1]

    def rowcol(self, lat: ArrayLike, lon: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the cells that contain points.

        Parameters
        ----------
        lat, lon
            Degrees on WGS 84, longitude from -180 to 180, broadcastable.

        Returns
        -------
        row, col
            Cell indices, both -1 where a point lies outside the grid (poleward of about 85.04
            degrees) or is NaN.
        """
        x, y = project(lat, lon)
        # The eastern edge, the same meridian as the western one, belongs to the last column.
        col = np.where(x >= self.x_edges[-1], self.cols - 1, (x - self.x_min) // self.cell_size)
        row = (self.y_max - y) // self.cell_size
        inside = np.isfinite(x) & np.isfinite(y) & (row >= 0) & (row < self.rows) & (col >= 0)
        return (
            np.where(inside, row, -1).astype(np.int64),
            np.where(inside, col, -1).astype(np.int64),
        )


# The M36 cell is exactly four M09 cells wide: NSIDC gives 36032.220840584 m for it.
M09 = EaseGrid("M09", rows=1624, cols=3856, cell_size=9008.055210146)
M36 = EaseGrid("M36", rows=406, cols=964, cell_size=NEST * 9008.055210146)


def parent(row: ArrayLike, col: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the M36 cell (row, column) that contains each M09 cell."""
    return np.asarray(row, np.int64) // NEST, np.asarray(col, np.int64) // NEST


def children(row: int, col: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the 16 M09 cells of one M36 cell as rows and columns, each of shape (16,)."""
    rows, cols = np.mgrid[NEST * row : NEST * (row + 1), NEST * col : NEST * (col + 1)]
    return rows.ravel().astype(np.int64), cols.ravel().astype(np.int64)
