from datetime import UTC, date, datetime, timedelta

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.errors import MsmError
from msm.products.definitions import PRODUCTS
from msm.products.layout import STEP
from msm.products.registry import product

NLDAS = product("NLDAS_FORA0125_H", "2.0").layout
SMAP = product("SPL3SMP_E", "006").layout
ALL = pytest.mark.parametrize("layout", [p.layout for p in PRODUCTS], ids=lambda layout: layout.id)


RELEASES = ("R19240", "Vv8011", "N19241", "V07C", "401")
DAYS = st.dates(date(2000, 1, 1), date(2040, 12, 31))


@ALL
@given(day=DAYS, granule=st.integers(0, 47))
def test_names_and_times_are_each_others_inverse(layout, day, granule):
    time = datetime(day.year, day.month, day.day, tzinfo=UTC)
    step = STEP.get(layout.cadence, timedelta(minutes=37, seconds=5))
    time += timedelta(minutes=layout.first_minutes) + granule % (timedelta(days=1) // step) * step
    names = {
        release: layout.file_name.format(
            time=time,
            end=time + step - timedelta(seconds=1),
            minute=time.hour * 60 + time.minute,
            orbit=24342,
            half="A",
            release=release,
            counter="002",
        )
        for release in RELEASES
    }
    matching = {release: name for release, name in names.items() if layout.matches(name)}
    assert matching
    for release, name in matching.items():
        assert layout.time_of(name) == (None if layout.cadence == "static" else time)
        assert layout.production_of(name) == (
            release if "{release}" in layout.file_name else "",
            "002" if "{counter}" in layout.file_name else "",
        )


@ALL
def test_each_line_has_a_source_and_says_whether_it_was_verified(layout):
    for variable in layout.variables:
        assert variable.source
        if variable.verified:
            assert variable.source.endswith((".nc4", ".h5", ".HDF5")), "a real file verifies"


@ALL
def test_what_a_real_file_verified_is_as_in_that_file(layout, real_data):
    for variable in layout.variables:
        if not variable.verified:
            continue
        with h5py.File(real_data / "granules" / variable.source) as file:
            stored = file[variable.path]
            attributes = stored.attrs
            assert stored.dtype == np.dtype(variable.dtype)
            assert stored.ndim == len(variable.dims)
            assert _text(attributes.get("units", b"1")) == variable.units
            fill = np.ravel(attributes["_FillValue"])[0]
            assert fill == np.asarray(variable.fill, variable.dtype)
            if "long_name" in attributes:
                assert _text(attributes["long_name"]) == variable.long_name


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def test_a_day_of_nldas_ends_with_the_first_hour_of_the_next():
    stamps = NLDAS.stamps(date(2016, 2, 29))
    assert stamps[0] == datetime(2016, 2, 29, 0, tzinfo=UTC)
    assert stamps[-1] == datetime(2016, 3, 1, 0, tzinfo=UTC)
    assert len(stamps) == 25


def used(short_name, version, name, day=date(2016, 2, 29)):
    """Granule times, in hours after midnight, and places within them."""
    layout = product(short_name, version).layout
    variable = next(v for v in layout.variables if v.name == name)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [
        ((time - start) / timedelta(hours=1), place) for time, place in layout.used(variable, day)
    ]


def test_rain_is_of_the_hours_before_and_temperature_of_the_hours_at_the_stamp():
    nldas = ("NLDAS_FORA0125_H", "2.0")
    assert used(*nldas, "precipitation") == [(hour, 0) for hour in range(1, 25)]
    assert used(*nldas, "air_temperature") == [(hour, 0) for hour in range(24)]


def test_a_day_of_gldas_takes_nine_granules_and_each_variable_eight():
    gldas = ("GLDAS_NOAH025_3H", "2.1")
    assert used(*gldas, "shortwave_down") == [(hour, 0) for hour in range(3, 25, 3)]
    assert used(*gldas, "air_temperature") == [(hour, 0) for hour in range(0, 24, 3)]
    stamps = product(*gldas).layout.stamps(date(2016, 2, 29))
    assert len(stamps) == 9
    assert stamps[-1] == datetime(2016, 3, 1, tzinfo=UTC)


def test_a_day_of_spl4smgp_is_eight_means_named_by_their_middle():
    hours = [1.5, 4.5, 7.5, 10.5, 13.5, 16.5, 19.5, 22.5]
    assert used("SPL4SMGP", "008", "precipitation") == [(hour, 0) for hour in hours]
    assert len(product("SPL4SMGP", "008").layout.stamps(date(2016, 2, 29))) == 8


def test_a_day_of_merra2_is_the_24_hours_of_one_granule():
    assert used("M2T1NXFLX", "5.12.4", "precipitation") == [(0, hour) for hour in range(24)]


def test_a_day_of_imerg_is_one_granule():
    assert used("GPM_3IMERGDL", "07", "precipitation") == [(0, 0)]


@ALL
@given(day=DAYS)
def test_what_a_variable_uses_covers_the_day_once(layout, day):
    if layout.cadence not in STEP:
        assert layout.stamps(day) == []
        return
    begins_before = {"mean_before": 1.0, "total_before": 1.0, "mean_centred": 0.5}
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    every = [start + n * layout.interval for n in range(timedelta(days=1) // layout.interval)]
    for variable in layout.variables:
        lead = begins_before.get(variable.time, 0) * layout.interval
        begins = [t + n * layout.interval - lead for t, n in layout.used(variable, day)]
        assert begins == every
        assert {time for time, _ in layout.used(variable, day)} <= set(layout.stamps(day))


def test_a_half_orbit_has_no_daily_mean():
    layout = product("SPL2SMP_NRT", "107").layout
    with pytest.raises(MsmError, match="SPL2SMP_NRT 107 comes at no fixed times"):
        layout.used(layout.variables[0], date(2016, 2, 29))


def test_a_daily_product_has_one_stamp_and_a_static_one_none():
    assert SMAP.stamps(date(2016, 4, 1)) == [datetime(2016, 4, 1, tzinfo=UTC)]
    assert product("SPL4SMLM", "008").layout.stamps(date(2016, 4, 1)) == []


def test_a_name_of_another_form_is_told():
    with pytest.raises(MsmError, match=r"passwd is not named as a granule of SPL3SMP_E 006 is"):
        SMAP.time_of("../../etc/passwd")


@pytest.mark.parametrize("day", ["20160231", "20160401".replace("2", "\N{ARABIC-INDIC DIGIT TWO}")])
def test_a_name_for_a_day_that_does_not_exist_is_none(day):
    name = f"NLDAS_FORA0125_H.A{day}.0000.020.nc"
    layout = product("NLDAS_FORA0125_H", "2.0").layout
    assert not layout.matches(name)
    with pytest.raises(MsmError, match=r"time that does not exist|not named as a granule"):
        layout.time_of(name)


def test_an_unknown_product_is_told():
    with pytest.raises(MsmError, match="does not know SPL3SMP 999; it reads NLDAS"):
        product("SPL3SMP", "999")
