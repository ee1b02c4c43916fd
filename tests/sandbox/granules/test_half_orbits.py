"""The half-orbits of a day add up to its composite."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from msm.grid.ease import M36
from msm.sandbox.granules.granule import served_products
from msm.sandbox.granules.half_orbits import half_orbit, half_orbit_fields
from msm.sandbox.weather.interface import FLAG_FILL, region
from tests.sandbox.small import SmallWeather

DAY = date(2024, 7, 20)


def half_orbits_around(day):
    product = served_products()["SPL2SMP_NRT"]
    numbers = product.numbers(day - timedelta(days=1), day + timedelta(days=1))
    return [product.stamp(number) for number in numbers]


def test_half_orbits_alternate_and_number_29_a_day():
    stamps = half_orbits_around(DAY)
    assert len(stamps) in (87, 88)
    flown = [half_orbit(stamp) for stamp in stamps]
    assert {(b - a) // timedelta(seconds=1) for a, b in pairwise(stamps)} == {
        2953,
        2954,
    }
    for before, after in pairwise(flown):
        assert before.half != after.half
        assert after.number - before.number == (after.half == "am")


def test_numbers_are_close_to_those_of_real_orbits():
    # SMAP_L2_SM_P_NRT_24342_A_20190822T224858
    assert abs(half_orbit(datetime(2019, 8, 22, 22, 48, 58, tzinfo=UTC)).number - 24342) <= 1


@pytest.mark.parametrize("half", ["am", "pm"])
def test_half_orbits_add_up_to_the_composite(half):
    weather = SmallWeather(1)
    seen = np.full((M36.rows, M36.cols), np.nan)
    for stamp in half_orbits_around(DAY):
        flown = half_orbit(stamp)
        if flown.half == half and flown.node.date() == DAY:
            fields = half_orbit_fields(weather, stamp)
            row, col = fields["row"].astype(int), fields["col"].astype(int)
            # The real granule of 24342 lists 17268 cells.
            assert 14_000 < row.size < 18_000
            there = np.isfinite(fields["soil_moisture"])
            seen[row[there], col[there]] = fields["soil_moisture"][there]
            observed = fields["surface_flag"] != FLAG_FILL
            np.testing.assert_array_equal(np.isfinite(fields["surface_temperature"]), observed)
            assert observed[there].all()
    composite = weather.satellite(DAY, M36, half)["soil_moisture"]
    assert np.isfinite(composite).any()
    np.testing.assert_array_equal(seen[region(M36, weather.extent)], composite)
    seen[region(M36, weather.extent)] = np.nan
    assert np.isnan(seen).all()
