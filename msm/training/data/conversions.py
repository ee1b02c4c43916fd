"""What weather stations report, as the quantities of the daily forcing."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

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

    Weather moves the pressure by some 2 % about this; specific humidity at a given vapour pressure
    follows it in proportion, which is less than the error of a humidity sensor.

    Parameters
    ----------
    elevation : ndarray
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

    Over water below freezing too: by convention (WMO-No. 8, chapter 4) relative humidity refers to
    water at all temperatures, and sensors are calibrated so; over ice it would come out a tenth
    lower at -10 °C.

    Parameters
    ----------
    temperature : ndarray
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

    Daily means give a little more than the daily mean: where the moisture of the air stays the same
    while the temperature goes up and down by 6 K, 4 %, since saturation is not linear. (NLDAS-2 is
    5 % below what five stations near its cells give by this, r 0.98.)

    Parameters
    ----------
    relative_humidity : ndarray
        Percent, over water.
    temperature : ndarray
        K.
    pressure : ndarray
        Pa.

    Returns
    -------
    ndarray
        kg kg-1.

    References
    ----------
    Vapour pressure is a share of the pressure as the moles of water are of all moles (Dalton);
    with their masses, q = 0.622 e / (p - 0.378 e), as in Bolton 1980, Mon. Wea. Rev. 108,
    1046-1053.
    """
    vapour = relative_humidity / 100 * saturation_vapour_pressure(temperature)
    return _WATER_TO_AIR * vapour / (pressure - (1 - _WATER_TO_AIR) * vapour)
