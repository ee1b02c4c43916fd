from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.errors import MsmError
from msm.inputs.layout import hours_used
from msm.inputs.registry import PRODUCTS, product

NLDAS = product("NLDAS_FORA0125_H", "2.0").layout
SMAP = product("SPL3SMP_E", "006").layout
ALL = pytest.mark.parametrize("layout", [p.layout for p in PRODUCTS], ids=lambda layout: layout.id)


@ALL
@given(day=st.dates(date(2000, 1, 1), date(2040, 12, 31)), hour=st.integers(0, 23))
def test_names_and_times_are_each_others_inverse(layout, day, hour):
    time = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if layout.cadence == "hourly":
        time += timedelta(hours=hour)
    release = "Vv8011" if layout.cadence == "static" else "R19240"
    name = layout.file_name.format(time=time, release=release, counter="002")
    assert layout.matches(name)
    assert layout.time_of(name) == (None if layout.cadence == "static" else time)
    if "{release}" in layout.file_name:
        assert layout.production_of(name) == (release, "002")


@ALL
def test_each_line_has_a_source_and_says_whether_it_was_verified(layout):
    for variable in layout.variables:
        assert variable.source
        if variable.verified:
            assert variable.source.endswith((".nc4", ".h5")), "a real file verifies"


def test_a_day_of_nldas_ends_with_the_first_hour_of_the_next():
    stamps = NLDAS.stamps(date(2016, 2, 29))
    assert stamps[0] == datetime(2016, 2, 29, 0, tzinfo=UTC)
    assert stamps[-1] == datetime(2016, 3, 1, 0, tzinfo=UTC)
    assert len(stamps) == 25


def test_rain_is_of_the_hours_before_and_temperature_of_the_hours_at_the_stamp():
    variables = {v.name: v for v in NLDAS.variables}
    assert list(hours_used(variables["precipitation"])) == list(range(1, 25))
    assert list(hours_used(variables["air_temperature"])) == list(range(24))


def test_a_daily_product_has_one_stamp_and_a_static_one_none():
    assert SMAP.stamps(date(2016, 4, 1)) == [datetime(2016, 4, 1, tzinfo=UTC)]
    assert product("SPL4SMLM", "008").layout.stamps(date(2016, 4, 1)) == []


def test_a_name_of_another_form_is_told():
    with pytest.raises(MsmError, match=r"passwd is not named as a granule of SPL3SMP_E 006 is"):
        SMAP.time_of("../../etc/passwd")


def test_an_unknown_product_is_told():
    with pytest.raises(MsmError, match="does not know SPL3SMP 999; it reads NLDAS"):
        product("SPL3SMP", "999")
