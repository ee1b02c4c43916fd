"""What made-up air obeys: no more vapour than it holds, clouds that dim the sun and keep warm."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.sandbox.weather.interface import Fields
from msm.sandbox.weather.solar import cos_zenith, hour_angle

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
"""Steps of the forcing's values: the real ones, too, come from files of limited precision."""

FREEZING = 273.15
SOLAR_CONSTANT = 1361.0
STEFAN_BOLTZMANN = 5.670374e-8


def forcing(
    stamp: datetime,
    lat: Array,
    lon: Array,
    *,
    daily: Array,
    swing: Array,
    pressure: Array,
    relative: Array,
    cloud: Array,
    rain: Array,
    wind_east: Array,
    wind_north: Array,
    least_emissivity: float = 0.0,
) -> Fields:
    """Make the forcing of an hour from what a climate and its storms say of it.

    Parameters
    ----------
    stamp
        The hour, UTC.
    lat, lon
        Centres of rows and columns, degrees, shapes (rows,) and (cols,).
    daily
        Air temperature without its daily cycle, K; as all that follow of shape (rows, cols).
    swing
        Amplitude of the daily cycle, K.
    pressure
        At the surface, Pa.
    relative
        Relative humidity under a clear sky, 0-1; its shape may also be one that broadcasts.
    cloud
        Share of the sky in clouds, 0-1.
    rain
        Mean rate of the hour before, mm h-1.
    wind_east, wind_north
        m s-1.
    least_emissivity
        Emissivity of a clear sky is not below it.

    Returns
    -------
    Fields
        As of `Weather.hour`.
    """
    temperature = daily + swing * np.cos(hour_angle(stamp, lon) - 0.7)
    humidity = np.minimum(
        (relative + 0.25 * cloud).clip(max=0.98) * saturation_humidity(daily, pressure),
        0.98 * saturation_humidity(temperature, pressure),
    )
    vapour = humidity * pressure / 0.622 / 100.0
    # Clear-sky emissivity: Brutsaert 1975, doi:10.1029/WR011i005p00742, vapour in hPa.
    clear = np.maximum(1.24 * (vapour / temperature) ** (1 / 7), least_emissivity)
    emissivity = clear + (1 - clear) * 0.8 * cloud
    fields = {
        "air_temperature": temperature,
        "specific_humidity": humidity,
        "surface_pressure": pressure,
        "wind_east": wind_east,
        "wind_north": wind_north,
        "shortwave_down": SOLAR_CONSTANT * 0.76 * (1 - 0.7 * cloud) * cos_zenith(stamp, lat, lon),
        "longwave_down": emissivity * STEFAN_BOLTZMANN * temperature**4,
        "precipitation": 24.0 * rain,
    }
    return {name: np.rint(field / STEPS[name]) * STEPS[name] for name, field in fields.items()}


def saturation_humidity(temperature: Array, pressure: Array) -> Array:
    """Specific humidity of saturated air over water, kg kg-1 (Magnus; WMO-No. 8, annex 4.B)."""
    celsius = temperature - FREEZING
    vapour = 611.2 * np.exp(17.62 * celsius / (243.12 + celsius))
    humidity: Array = 0.622 * vapour / (pressure - 0.378 * vapour)
    return humidity
