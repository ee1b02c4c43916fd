"""Conversion of station measurements to the quantities of the daily forcing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

FREEZING = 273.15
"""0 °C, K."""

SECONDS_PER_DAY = 86400.0

# U.S. Standard Atmosphere, 1976 (NOAA-S/T 76-1562), the same as ISO 2533:1975 below 11 km.
_SEA_LEVEL_PRESSURE = 101325.0  # Pa
_SEA_LEVEL_TEMPERATURE = 288.15  # K
_LAPSE_RATE = 0.0065  # K m-1
_GRAVITY = 9.80665  # m s-2
_GAS_CONSTANT = 287.053  # of dry air, J kg-1 K-1

_WATER_TO_AIR = 0.622
"""Ratio of the molar masses of water (18.015) and dry air (28.964)."""


def kelvin(celsius: Array) -> Array:
    """Return a temperature in K from °C."""
    return celsius + FREEZING


def mean_flux(energy: Array) -> Array:
    """Return the mean flux of a day, W m-2, from the day's energy, MJ m-2."""
    return energy * (1e6 / SECONDS_PER_DAY)


def standard_pressure(elevation: Array) -> Array:
    """Return the surface pressure of the standard atmosphere at an elevation.

    Weather changes the pressure by about 2 %. Specific humidity at a given vapour pressure changes
    in proportion, which is less than the error of a humidity sensor.

    Parameters
    ----------
    elevation
        m above sea level, below 11 km.

    Returns
    -------
    ndarray
        Pa.

    References
    ----------
    U.S. Standard Atmosphere, 1976, NOAA-S/T 76-1562, equation 33a.
    """
    warmth = 1 - _LAPSE_RATE * elevation / _SEA_LEVEL_TEMPERATURE
    return _SEA_LEVEL_PRESSURE * warmth ** (_GRAVITY / (_GAS_CONSTANT * _LAPSE_RATE))


def saturation_vapour_pressure(temperature: Array) -> Array:
    """Return the vapour pressure of air saturated over liquid water.

    Over water also below freezing: by convention (WMO-No. 8, chapter 4) relative humidity refers to
    water at all temperatures, and sensors are calibrated accordingly. Over ice the value would be a
    tenth lower at -10 °C.

    Parameters
    ----------
    temperature
        K; the formula is within 0.4 % from -40 to 50 °C.

    Returns
    -------
    ndarray
        Pa.

    References
    ----------
    Alduchov and Eskridge 1996, Improved Magnus form approximation of saturation vapor pressure,
    J. Appl. Meteor. 35, 601-609 (formula AERK).
    """
    celsius = temperature - FREEZING
    return 610.94 * np.exp(17.625 * celsius / (243.04 + celsius))


def specific_humidity(relative_humidity: Array, temperature: Array, pressure: Array) -> Array:
    """Return specific humidity.

    From daily means the result is slightly above the daily mean, since saturation is not linear: by
    4 % with constant moisture and a temperature that varies by ±6 K. (NLDAS-2 is 5 % below the
    result at five stations near its cells, r 0.98.)

    Parameters
    ----------
    relative_humidity
        Percent, over water.
    temperature
        K.
    pressure
        Pa.

    Returns
    -------
    ndarray
        kg kg-1.

    References
    ----------
    Dalton's law with the molar masses of water and dry air, q = 0.622 e / (p - 0.378 e), as in
    Bolton 1980, Mon. Wea. Rev. 108, 1046-1053.
    """
    vapour = relative_humidity / 100 * saturation_vapour_pressure(temperature)
    return _WATER_TO_AIR * vapour / (pressure - (1 - _WATER_TO_AIR) * vapour)
