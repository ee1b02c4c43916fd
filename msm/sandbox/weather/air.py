"""Air: how much vapour it holds, and how it radiates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.interface import Fields

Array = NDArray[Any]

STEPS = {
    "air_temperature": 2**-6,
    "specific_humidity": 2**-20,
    "surface_pressure": 1.0,
    "wind_east": 2**-6,
    "wind_north": 2**-6,
    "shortwave_down": 2**-4,
    "longwave_down": 2**-4,
    "precipitation": 24 * 2**-8,
}
"""Steps of the forcing's values; real files have a limited precision, too."""

FREEZING = 273.15
SOLAR_CONSTANT = 1361.0
STEFAN_BOLTZMANN = 5.670374e-8
LEAST_EMISSIVITY = 0.6
"""Brutsaert's formula holds for temperate air and is too low at the poles."""


def rounded(fields: Fields) -> Fields:
    """Return fields rounded to `STEPS`."""
    return {name: np.rint(field / STEPS[name]) * STEPS[name] for name, field in fields.items()}


def saturation_humidity(temperature: Array, pressure: Array) -> Array:
    """Return the specific humidity of saturated air over water, kg kg-1.

    The formula is Magnus's, WMO-No. 8, annex 4.B; temperature in K, pressure in Pa.
    """
    celsius = temperature - FREEZING
    vapour = 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))
    humidity: Array = 0.622 * vapour / (pressure - 0.378 * vapour)
    return humidity


def emissivity(temperature: Array, humidity: Array, pressure: Array, cloud: Array) -> Array:
    """Return the emissivity of the sky, 0-1.

    That of a clear sky is from Brutsaert 1975, doi:10.1029/WR011i005p00742, with vapour in hPa.
    """
    vapour = humidity * pressure / 0.622 / 100.0
    clear = np.maximum(1.24 * (vapour / temperature) ** (1 / 7), LEAST_EMISSIVITY)
    sky: Array = clear + (1 - clear) * 0.8 * cloud
    return sky
