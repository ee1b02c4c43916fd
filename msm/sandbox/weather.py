"""What the sandbox's granules are filled with: the interface of its weather."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M36, NEST, EaseGrid

Half = Literal["am", "pm"]
"""Half-orbits of SMAP: `am` descending at 6 h, `pm` ascending at 18 h local solar time."""

FLAG_FILL = 65534
"""Fill of SMAP's flags where nothing was observed."""

Fields = Mapping[str, NDArray[Any]]

# The NLDAS grid and one M36 cell around it; satellite fields stay fill outside.
_SOUTH, _NORTH, _WEST, _EAST = 24.6, 53.4, -125.4, -66.6


def region(grid: EaseGrid) -> tuple[slice, slice]:
    """Return rows and columns of an EASE-2 grid where the sandbox has satellite fields.

    The window covers North America as the NLDAS grid does, in whole M36 cells on both grids.
    """
    (row0, row1), (col0, col1) = M36.rowcol([_NORTH, _SOUTH], [_WEST, _EAST])
    scale = NEST if grid.rows == NEST * M36.rows else 1
    return (
        slice(scale * int(row0), scale * (int(row1) + 1)),
        slice(scale * int(col0), scale * (int(col1) + 1)),
    )


class Weather(Protocol):
    """Fields for any hour or day of a period; the same question always has the same answer."""

    @property
    def name(self) -> str:
        """What the weather is, for people."""
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
        """Give the forcing at a UTC hour.

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
        """Give what SMAP retrieved on a UTC day, on `region(grid)`.

        Returns
        -------
        Fields
            soil_moisture (m3 m-3) and vegetation_water_content (kg m-2), NaN where not retrieved;
            retrieval_qual_flag and surface_flag (uint16), `FLAG_FILL` where not observed.
        """
        ...

    def soil(self, grid: EaseGrid) -> Fields:
        """Give sand and clay, fractions 0-1, on `region(grid)`, NaN where unknown."""
        ...
