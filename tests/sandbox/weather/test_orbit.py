"""Swaths lie around their nodes and continue across the date line."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.grid.ease import M36
from msm.sandbox.weather.interface import NORTH_AMERICA, region
from msm.sandbox.weather.orbit import (
    EQUATOR_CROSSING,
    HALF_SWATH_KM,
    KM_PER_DEGREE,
    ORBITS_PER_DAY,
    in_swath,
    seen,
)

LON = np.arange(-179.9, 180, 0.2)


@given(node=st.floats(-720, 720), half=st.sampled_from(["am", "pm"]))
def test_at_the_equator_a_swath_lies_around_its_node(node, half):
    distance = np.abs((LON - node + 180) % 360 - 180) * KM_PER_DEGREE
    near = in_swath(node, half, np.array([0.0]), LON)[0]
    assert near[distance < HALF_SWATH_KM - 1e-6].all()
    assert not near[distance > HALF_SWATH_KM + 1e-6].any()


@given(node=st.floats(-180, 180), lat=st.floats(-85, 85), shift=st.integers(1, 1799))
def test_swath_moves_with_its_node(node, lat, shift):
    row = np.array([lat])
    there = in_swath(node + 0.2 * shift, "pm", row, LON)[0]
    moved = np.roll(in_swath(node, "pm", row, LON)[0], shift)
    # A rounding error may move each of the two edges by a column.
    assert (there != moved).sum() <= 2


@pytest.mark.parametrize("half", ["am", "pm"])
def test_day_is_the_sum_of_its_half_orbits(half):
    day = date(2024, 1, 1)
    views = seen(day, half, M36.lat, M36.lon)
    count = ORBITS_PER_DAY * day.toordinal()
    shift = 0.0 if half == "am" else 0.5
    nodes = [
        15.0 * EQUATOR_CROSSING[half] - 360.0 * (orbit / ORBITS_PER_DAY - day.toordinal())
        for orbit in np.arange(int(count) - 2, int(count) + 20) + shift
        if 0 <= orbit / ORBITS_PER_DAY - day.toordinal() < 1
    ]
    assert len(nodes) in (14, 15)
    together = np.any([in_swath(node, half, M36.lat, M36.lon) for node in nodes], axis=0)
    np.testing.assert_array_equal(views, together)


# The afternoon's UTC day changes over North America, which can cost a place one more day.
@pytest.mark.parametrize(("half", "within"), [("am", 3), ("pm", 4)])
def test_swaths_revisit_every_place_within_days(half, within):
    rows, cols = region(M36, NORTH_AMERICA)
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(16)]
    views = np.stack([seen(day, half, M36.lat[rows], M36.lon[cols]) for day in days])
    assert 0.35 < views.mean() < 0.6
    assert all(views[start : start + within].any(axis=0).all() for start in range(16 - within))
    # The ground track repeats every eight days.
    assert (views[:8] == views[8:]).mean() > 0.999
