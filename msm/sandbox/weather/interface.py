"""The interface of a weather, which fills the sandbox's granules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import land_fraction
from msm.grid.ease import M09, M36, NEST, EaseGrid

Half = Literal["am", "pm"]
"""Half-orbits of SMAP: `am` descending at 6 h, `pm` ascending at 18 h local solar time."""

FLAG_FILL = 65534
"""Fill of SMAP's flags at places that were not observed."""

Fields = Mapping[str, NDArray[Any]]


class Extent(NamedTuple):
    """Part of the world that a weather covers, degrees."""

    south: float
    north: float
    west: float
    east: float


NORTH_AMERICA = Extent(24.6, 53.4, -125.4, -66.6)
"""The NLDAS grid and one M36 cell around it."""

WORLD = Extent(-85.0, 85.0, -180.0, 180.0)
"""All of the EASE-2 grids."""


def region(grid: EaseGrid, extent: Extent) -> tuple[slice, slice]:
    """Return rows and columns of an EASE-2 grid inside an extent, in whole M36 cells at least.

    Fields on the EASE-2 grids stay fill outside.
    """
    if extent == WORLD:
        return slice(0, grid.rows), slice(0, grid.cols)
    coarse = M36 if grid.rows > M36.rows else grid
    (row0, row1), (col0, col1) = coarse.rowcol(
        [extent.north, extent.south], [extent.west, extent.east]
    )
    scale = grid.rows // coarse.rows
    return (
        slice(scale * int(row0), scale * (int(row1) + 1)),
        slice(scale * int(col0), scale * (int(col1) + 1)),
    )


def land_share(grid: EaseGrid, extent: Extent) -> NDArray[np.float64]:
    """Return the share of land, 0-1, on the region of an EASE-2 grid."""
    percent = land_fraction()
    if grid.rows == M36.rows:
        shape = M36.rows, NEST, M36.cols, NEST
        return percent.reshape(shape).mean(axis=(1, 3))[region(grid, extent)] / 100.0
    return percent[region(grid, extent)] / 100.0


def on_land(lat: NDArray[Any], lon: NDArray[Any], extent: Extent) -> NDArray[np.bool_]:
    """Return which points of axes lie in M09 cells with land, in the region of an extent.

    Parameters
    ----------
    lat, lon
        Centres of the rows and columns, degrees, shapes (rows,) and (cols,).
    extent
        Part of the world.

    Returns
    -------
    NDArray
        Shape (rows, cols).
    """
    rows, cols = M09.rowcol(lat, 0.0)[0], M09.rowcol(0.0, lon)[1]
    land: NDArray[np.bool_] = land_fraction()[np.ix_(rows, cols)] > 0
    inside = [
        (index >= place.start) & (index < place.stop)
        for index, place in zip((rows, cols), region(M09, extent), strict=True)
    ]
    return land & np.logical_and.outer(*inside)


class Weather(Protocol):
    """Fields of any hour or day of a period, equal for equal arguments."""

    @property
    def extent(self) -> Extent:
        """Part of the world that has fields."""
        ...

    @property
    def first_day(self) -> date:
        """First UTC day that granules exist for."""
        ...

    @property
    def last_day(self) -> date:
        """Last UTC day that granules exist for."""
        ...

    def hour(self, stamp: datetime, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Fields:
        """Return the forcing at a UTC hour.

        Parameters
        ----------
        stamp
            The hour. Precipitation (mm day-1) is the mean rate of the hour before it; all others
            hold at it: air_temperature (K), specific_humidity (kg kg-1), surface_pressure (Pa),
            wind_east and wind_north (m s-1), longwave_down and shortwave_down (W m-2).
        lat, lon
            Centres of the rows and columns, degrees, shapes (rows,) and (cols,).

        Returns
        -------
        Fields
            Arrays (rows, cols), NaN where there is no value; a field may be absent.
        """
        ...

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Return SMAP's retrievals of a UTC day on `region(grid, extent)`.

        Returns
        -------
        Fields
            soil_moisture (m3 m-3) and vegetation_water_content (kg m-2), NaN where not retrieved;
            retrieval_qual_flag and surface_flag (uint16), `FLAG_FILL` where not observed.
        """
        ...

    def soil(self, grid: EaseGrid) -> Fields:
        """Return sand and clay, fractions 0-1, on `region(grid, extent)`, NaN where unknown."""
        ...

    def soil_water(
        self, day: date, lat: NDArray[np.float64], lon: NDArray[np.float64]
    ) -> NDArray[Any]:
        """Return the water of the top soil at the end of a UTC day.

        Parameters
        ----------
        day
            UTC day.
        lat, lon
            Centres of the rows and columns, degrees, shapes (rows,) and (cols,).

        Returns
        -------
        NDArray
            m3 m-3, shape (rows, cols), NaN at sea and outside the extent.
        """
        ...
