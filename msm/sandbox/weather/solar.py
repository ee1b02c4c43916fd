"""Position of the sun, for radiation that follows the day and the year."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray


def hour_angle(stamp: datetime, lon: NDArray[Any]) -> NDArray[Any]:
    """Return the hour angle of the mean sun in radians, 0 at local noon; `lon` in degrees."""
    utc_hour = stamp.hour + stamp.minute / 60
    angle: NDArray[Any] = np.radians(15.0 * (utc_hour - 12.0) + lon)
    return angle


def declination(stamp: datetime) -> float:
    """Return the declination of the sun in radians.

    The formula is Cooper's, 1969, doi:10.1016/0038-092X(69)90047-4.
    """
    day_of_year = stamp.timetuple().tm_yday
    return math.radians(23.45) * math.sin(2 * math.pi * (284 + day_of_year) / 365)


def cos_zenith(stamp: datetime, lat: NDArray[Any], lon: NDArray[Any]) -> NDArray[Any]:
    """Return the cosine of the sun's zenith angle, 0 at night, shape (lat, lon), for degrees."""
    phi, delta = np.radians(lat)[:, None], declination(stamp)
    up = np.sin(phi) * math.sin(delta)
    across = np.cos(phi) * math.cos(delta)
    cosine: NDArray[Any] = (up + across * np.cos(hour_angle(stamp, lon))).clip(min=0.0)
    return cosine
