"""SMAP's half-orbits one by one: their times, numbers and retrievals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M36
from msm.sandbox.granules.quantities import quantity
from msm.sandbox.weather.interface import FLAG_FILL, Fields, Half, Weather, region
from msm.sandbox.weather.orbit import EQUATOR_CROSSING, ORBITS_PER_DAY, in_swath

HALF_ORBIT = timedelta(days=1) / (2 * ORBITS_PER_DAY)
"""Time from one half-orbit to the next."""

FIRST_BEGIN = datetime(2015, 1, 26, tzinfo=UTC) - HALF_ORBIT / 2
"""Start of a descending half-orbit; its node is at midnight on every eighth day, as in `orbit`."""

ORBITS_BEFORE = 81
"""Orbits from then to number 1: a real granule of 2019-08-22T22:48 is of orbit 24342."""

LETTER: dict[Half, str] = {"am": "D", "pm": "A"}
"""Letter of descending and ascending half-orbits in the names of granules."""


class HalfOrbit(NamedTuple):
    """One half-orbit."""

    number: int
    half: Half
    node: datetime
    """Time of the equator crossing."""


def half_orbit(time: datetime) -> HalfOrbit:
    """Return the half-orbit at a time."""
    index = (time - FIRST_BEGIN) // HALF_ORBIT
    half: Half = "pm" if index % 2 else "am"
    node = FIRST_BEGIN + (index + 0.5) * HALF_ORBIT
    return HalfOrbit(index // 2 - ORBITS_BEFORE, half, node)


def half_orbit_fields(weather: Weather, begin: datetime) -> Fields:
    """Return the fields of a half-orbit's granule.

    Parameters
    ----------
    weather
        Source of the retrievals; without retrievals all is fill.
    begin
        Time of the granule.

    Returns
    -------
    Fields
        Fields of the M36 cells in the swath, shape (cells,): `row` and `col`, those of
        `Weather.satellite`, and surface_temperature in K.
    """
    _, half, node = half_orbit(begin)
    midnight = node.replace(hour=0, minute=0, second=0, microsecond=0)
    turned = 360.0 * ((node - midnight) / timedelta(days=1))
    swath = in_swath(15.0 * EQUATOR_CROSSING[half] - turned, half, M36.lat, M36.lon)
    row, col = np.nonzero(swath)

    place = rows, cols = region(M36, weather.extent)
    hour = node.replace(minute=0, second=0, microsecond=0)
    fields = dict(weather.satellite(node.date(), M36, half))
    ground = quantity("surface_temperature", weather.hour(hour, M36.lat[rows], M36.lon[cols]))
    if ground is not None:
        seen = fields["surface_flag"] != FLAG_FILL
        fields["surface_temperature"] = np.where(seen, ground, np.nan)

    def listed(field: NDArray[Any]) -> NDArray[Any]:
        nothing = np.nan if field.dtype.kind == "f" else FLAG_FILL
        everywhere = np.full((M36.rows, M36.cols), nothing, field.dtype)
        everywhere[place] = field
        return everywhere[row, col]

    cells = {"row": row.astype(np.uint16), "col": col.astype(np.uint16)}
    return {**cells, **{name: listed(field) for name, field in fields.items()}}
