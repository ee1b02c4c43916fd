"""The simulated globe: mountains, deserts, forests and seasons.

Each is a few Gaussian hills near the places of the real ones. Latitudes and longitudes are axes in
degrees, and fields have the shape (lat, lon).
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.patterns import Bump, bumps, bumps_at

Array = NDArray[Any]

MOUNTAINS = (
    Bump(33.0, 88.0, 4.5, 9.0, 4600.0),  # Tibet and the Himalaya
    Bump(46.0, 98.0, 5.0, 10.0, 1500.0),  # Mongolia and the Altai
    Bump(34.0, 52.0, 5.0, 9.0, 1300.0),  # Iran and Anatolia
    Bump(46.0, 10.0, 1.2, 3.0, 1500.0),  # Alps
    Bump(7.0, 38.0, 7.0, 4.0, 1700.0),  # Ethiopia
    Bump(-3.0, 34.0, 6.0, 4.0, 1300.0),  # East Africa
    Bump(-27.0, 26.0, 5.0, 5.0, 1300.0),  # South Africa
    Bump(42.0, -110.0, 9.0, 5.0, 2000.0),  # Rockies
    Bump(22.0, -102.0, 4.0, 3.0, 1800.0),  # Mexico
    Bump(0.0, -77.5, 6.0, 1.8, 2600.0),  # Andes, north
    Bump(-18.0, -68.5, 5.5, 2.4, 3600.0),  # Altiplano
    Bump(-36.0, -70.0, 8.0, 1.6, 2000.0),  # Andes, south
    Bump(72.0, -40.0, 5.0, 8.0, 2700.0),  # Greenland
)
"""Heights in m."""

ANTARCTICA = 2600.0
"""Height of its ice, m."""

DESERTS = (
    Bump(23.0, -3.0, 6.0, 12.0, 0.9),  # Sahara
    Bump(24.0, 24.0, 6.0, 12.0, 0.9),
    Bump(23.0, 48.0, 6.0, 8.0, 0.8),  # Arabia
    Bump(31.0, 62.0, 6.0, 8.0, 0.7),  # Iran to the Thar
    Bump(41.0, 88.0, 4.0, 12.0, 0.8),  # Taklamakan and Gobi
    Bump(43.0, 60.0, 4.0, 7.0, 0.6),  # Karakum
    Bump(34.0, -112.0, 6.0, 5.0, 0.7),  # Mojave, Sonora and the Great Basin
    Bump(-22.0, 18.0, 6.0, 6.0, 0.8),  # Namib and Kalahari
    Bump(-22.0, -70.0, 7.0, 2.5, 0.9),  # Atacama
    Bump(-44.0, -68.0, 4.0, 3.0, 0.5),  # Patagonia
    Bump(-25.0, 131.0, 5.0, 10.0, 0.9),  # Australia
    Bump(7.0, 47.0, 5.0, 4.0, 0.5),  # Horn of Africa
)
"""Dryness, 0-1."""

FORESTS = (
    Bump(-4.0, -62.0, 7.0, 8.0, 14.0),  # Amazon
    Bump(0.0, 21.0, 5.0, 7.0, 13.0),  # Congo
    Bump(0.0, 112.0, 8.0, 14.0, 13.0),  # Indonesia
    Bump(20.0, 102.0, 6.0, 6.0, 5.0),  # Indochina
    Bump(37.0, -80.0, 6.0, 6.0, 6.0),  # Appalachians
    Bump(48.0, -122.0, 6.0, 2.5, 8.0),  # Cascades
    Bump(54.0, -90.0, 5.0, 18.0, 5.0),  # Canada
    Bump(60.0, 30.0, 5.0, 22.0, 6.0),  # Scandinavia and Russia
    Bump(59.0, 100.0, 6.0, 24.0, 6.0),  # Siberia
    Bump(27.0, 112.0, 5.0, 6.0, 4.0),  # China
    Bump(-34.0, 148.0, 5.0, 2.5, 4.0),  # Australia
)
"""Vegetation water content in summer, kg m-2."""


def season(time: datetime) -> float:
    """Return the season, from -1 in the southern to 1 in the northern summer (20 July)."""
    return -math.cos(2 * math.pi * (time.timestamp() / 86400.0 - 20.0) / 365.2425)


def rain_belt(time: datetime) -> float:
    """Return the latitude of the tropical rains, which follow the sun, degrees."""
    return 3.0 + 9.0 * season(time)


def height(lat: Array, lon: Array) -> Array:
    """Return the height of the land, m."""
    south = ANTARCTICA / (1.0 + np.exp((lat + 72.0) / 2.0))
    field: Array = bumps(MOUNTAINS, lat, lon) + south[:, None].astype(np.float32)
    return field


def dryness(time: datetime, lat: Array, lon: Array) -> Array:
    """Return the dryness, 0-1: the missing share of rain and moisture."""
    field: Array = (bumps(DESERTS, lat, lon) + _subtropics(time, lat)[:, None]).clip(max=1.0)
    return field


def dryness_at(time: datetime, lat: Array, lon: Array) -> Array:
    """Return the dryness at points, latitude and longitude of shape (points,)."""
    field: Array = (bumps_at(DESERTS, lat, lon) + _subtropics(time, lat)).clip(max=1.0)
    return field


def _subtropics(time: datetime, lat: Array) -> Array:
    """Dryness of the subtropical belts of sinking air, which follow the rains half as far."""
    centre = rain_belt(time) / 2.0
    both = [np.exp(-0.5 * ((lat - centre - side) / 7.0) ** 2) for side in (-25.0, 25.0)]
    belts: Array = (0.3 * (both[0] + both[1])).astype(np.float32)
    return belts


def vegetation(time: datetime, lat: Array, lon: Array) -> Array:
    """Return the vegetation water content, kg m-2: less in winter, none on ice."""
    winter = 0.4 * np.abs(np.sin(np.radians(lat))) * (1.0 - np.sign(lat) * season(time))
    ice = 1.0 / (1.0 + np.exp((np.abs(lat) - 70.0) / 2.0))
    grass = 0.15 + 1.8 * (1.0 - dryness(time, lat, lon))
    green = ((1.0 - winter) * ice).astype(np.float32)[:, None]
    field: Array = green * (grass + bumps(FORESTS, lat, lon))
    return field
