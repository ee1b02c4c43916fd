"""Quantities of the products that a weather does not provide, from simple relations.

The lowest level of the atmospheric model is taken as 60 m above the ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.interface import Fields

Array = NDArray[Any]

COOLER = 9.8e-3 * (60.0 - 2.0)
"""K from 2 m to the lowest level, by the dry adiabatic lapse rate of 9.8 K km-1."""

DRIER = 0.97
"""Ratio of specific humidity at the lowest level to that at 2 m."""

WINDIER = math.log(60.0 / 0.1) / math.log(10.0 / 0.1)
"""Ratio of wind speed at the lowest level to that at 10 m, log law over a roughness of 0.1 m."""

EMISSIVITY = 0.97
"""Share of the longwave radiation coming down that the ground absorbs."""

SOIL = {
    "soil_moisture_surface": 1.0,
    "soil_moisture_0_10cm": 1.0,
    "soil_moisture_10_40cm": 0.8,
    "soil_moisture_40_100cm": 0.6,
    "soil_moisture_100_200cm": 0.4,
    "soil_moisture_0_100cm": 0.7,
    "soil_moisture_rootzone": 0.7,
    "soil_moisture_profile": 0.5,
}
"""Layers of soil, and the share of the top soil's distance from `MIDDLE` that remains in them."""

MIDDLE = 0.25
"""Soil moisture that deeper layers stay closer to, m3 m-3."""

SPREAD = "soil_moisture_surface_spread"
"""Standard deviation of an ensemble, taken as a tenth of the soil moisture."""

DERIVED: dict[str, tuple[tuple[str, ...], Callable[..., Array]]] = {
    "wind_speed": (("wind_east", "wind_north"), np.hypot),
    "longwave_absorbed": (("longwave_down",), lambda down: EMISSIVITY * down),
    # The ground is as warm as the air.
    "surface_temperature": (("air_temperature",), lambda air: air),
    "air_temperature_lowest_level": (("air_temperature",), lambda air: air - COOLER),
    "specific_humidity_lowest_level": (("specific_humidity",), lambda air: DRIER * air),
    "wind_speed_lowest_level": (
        ("wind_east", "wind_north"),
        lambda east, north: WINDIER * np.hypot(east, north),
    ),
}
"""Inputs of each derived quantity, and its formula."""


def quantity(name: str, weather: Fields) -> Array | None:
    """Return a quantity of an hour's weather, None if the weather does not have it."""
    names, formula = DERIVED.get(name, ((name,), lambda field: field))
    if any(part not in weather for part in names):
        return None
    return formula(*(weather[part] for part in names))


def is_soil_moisture(name: str) -> bool:
    """Return whether a quantity comes from `soil_moisture`, not from `quantity`."""
    return name in SOIL or name == SPREAD


def soil_moisture(name: str, top: Array) -> Array:
    """Return the soil moisture of a layer, or its spread, from that of the top soil, m3 m-3."""
    return 0.1 * top if name == SPREAD else MIDDLE + SOIL[name] * (top - MIDDLE)
