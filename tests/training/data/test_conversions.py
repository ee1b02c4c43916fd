import numpy as np
import pytest

from msm.training.data.conversions import (
    kelvin,
    mean_flux,
    saturation_vapour_pressure,
    specific_humidity,
    standard_pressure,
)


def test_temperature_and_radiation():
    np.testing.assert_allclose(kelvin(np.array([-40.0, 0.0, 20.5])), [233.15, 273.15, 293.65])
    # 8.64 MJ in the 86400 s of a day are 100 W.
    np.testing.assert_allclose(mean_flux(np.array([0.0, 8.64, 30.0])), [0.0, 100.0, 347.2222222])


def test_pressure_equals_the_standard_atmosphere():
    # U.S. Standard Atmosphere, 1976, table I, at geopotential heights.
    heights = np.array([-50.0, 0.0, 1000.0, 3000.0])
    np.testing.assert_allclose(
        standard_pressure(heights), [101927.0, 101325.0, 89874.6, 70108.5], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("celsius", "hectopascal"),
    [(-40, 0.1891), (-20, 1.2540), (-10, 2.8627), (0, 6.1078), (20, 23.373), (40, 73.777)],
)
def test_saturation_over_water_against_the_smithsonian_tables(celsius, hectopascal):
    found = saturation_vapour_pressure(np.array([273.15 + celsius]))
    np.testing.assert_allclose(found, 100 * hectopascal, rtol=0.004)


def test_specific_humidity_by_hand():
    # At 20 °C 610.94 exp(17.625 x 20 / 263.04) = 2333.44 Pa saturate; half of it is 1166.72 Pa, and
    # 0.622 x 1166.72 / (100000 - 0.378 x 1166.72) = 725.700 / 99558.98.
    found = specific_humidity(np.array([50.0, 0.0]), np.array([293.15, 293.15]), np.array([1e5]))
    np.testing.assert_allclose(found, [0.00728915, 0.0], rtol=1e-5)


def test_a_thinner_atmosphere_holds_the_same_water_in_less_air():
    pressure = standard_pressure(np.array([0.0, 3000.0]))
    low, high = specific_humidity(np.array([60.0]), np.array([280.0]), pressure)
    assert high / low == pytest.approx(101325 / 70108.5, rel=0.002)


def test_gaps_stay_gaps():
    values = np.array([[80.0, np.nan], [50.0, 20.0]])
    temperature = np.array([[280.0, 280.0], [np.nan, 300.0]])
    found = specific_humidity(values, temperature, np.array([[1e5], [9e4]]))
    np.testing.assert_array_equal(np.isnan(found), [[False, True], [True, False]])
