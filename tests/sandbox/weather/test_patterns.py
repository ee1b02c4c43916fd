"""Patterns on axes equal their sums cell by cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.sandbox.weather.patterns import Bump, Wave, bumps, bumps_at, waves

LAT, LON = np.linspace(-90, 90, 19), np.arange(-180.0, 180.0, 15)
hills = st.builds(
    Bump,
    lat=st.floats(-80, 80),
    lon=st.floats(-400, 400),
    tall=st.floats(1, 15),
    wide=st.floats(1, 30),
    value=st.floats(-10, 10),
)


@given(st.lists(hills, min_size=1, max_size=5))
def test_hills_on_axes_equal_hills_at_points(several):
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    expected = np.zeros(lat.shape)
    for hill in several:
        around = np.abs(lon - hill.lon) % 360
        across = np.minimum(around, 360 - around) / hill.wide
        expected += hill.value * np.exp(-0.5 * (((lat - hill.lat) / hill.tall) ** 2 + across**2))
    np.testing.assert_allclose(bumps(several, LAT, LON), expected, atol=1e-3)
    points = bumps_at(several, lat.ravel(), lon.ravel())
    np.testing.assert_allclose(points, expected.ravel(), atol=1e-3)


def test_no_hills_give_zero():
    np.testing.assert_array_equal(bumps([], LAT, LON), np.zeros((LAT.size, LON.size)))


def test_waves_travel_eastwards_fade_and_close_around_the_globe():
    wave = Wave(cycles=4, up=0.05, rate=0.5, phase=1.0, value=3.0)
    lat, lon = np.meshgrid(LAT, np.radians(LON), indexing="ij")
    expected = 3.0 * np.cos(np.radians(lat)) * np.sin(4 * lon + 0.05 * lat + 1.0 - 0.5 * 7.0)
    np.testing.assert_allclose(waves([wave], LAT, LON, days=7.0), expected, atol=1e-5)
    later = waves([wave], LAT, LON + np.degrees(0.5 / 4), days=8.0)
    np.testing.assert_allclose(later, expected, atol=1e-5)
    seam = waves([wave], LAT, np.array([-180.0, 180.0]))
    assert seam[:, 0] == pytest.approx(seam[:, 1], abs=1e-5)
