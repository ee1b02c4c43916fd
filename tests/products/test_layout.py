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
def test_time_in_a_file_name_is_read_back(layout, day, granule):
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
def test_each_variable_has_a_source(layout):
    for variable in layout.variables:
        assert variable.source
        if variable.verified:
            assert variable.source.endswith((".nc4", ".h5", ".HDF5")), (
                "a verified line names a real file"
            )


@ALL
def test_verified_variables_agree_with_the_real_file(layout, real_data):
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


def used(short_name, version, name, day=date(2016, 2, 29)):
    """Return granule times, in hours after midnight, and indices within the granule."""
    layout = product(short_name, version).layout
    variable = next(v for v in layout.variables if v.name == name)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [
        ((time - start) / timedelta(hours=1), index) for time, index in layout.used(variable, day)
    ]


@pytest.mark.parametrize(
    ("short_name", "version", "name", "values"),
    [
        ("NLDAS_FORA0125_H", "2.0", "precipitation", [(hour, 0) for hour in range(1, 25)]),
        ("NLDAS_FORA0125_H", "2.0", "air_temperature", [(hour, 0) for hour in range(24)]),
        ("GLDAS_NOAH025_3H", "2.1", "shortwave_down", [(hour, 0) for hour in range(3, 25, 3)]),
        ("GLDAS_NOAH025_3H", "2.1", "air_temperature", [(hour, 0) for hour in range(0, 24, 3)]),
        ("SPL4SMGP", "008", "precipitation", [(1.5 + hour, 0) for hour in range(0, 24, 3)]),
        ("M2T1NXFLX", "5.12.4", "precipitation", [(0, hour) for hour in range(24)]),
        ("GPM_3IMERGDL", "07", "precipitation", [(0, 0)]),
    ],
)
def test_values_of_a_day(short_name, version, name, values):
    assert used(short_name, version, name) == values


@pytest.mark.parametrize(
    ("short_name", "version", "count", "last_hour"),
    [
        ("NLDAS_FORA0125_H", "2.0", 25, 24),
        ("GLDAS_NOAH025_3H", "2.1", 9, 24),
        ("SPL4SMGP", "008", 8, 22.5),
        ("SPL3SMP_E", "006", 1, 0),
    ],
)
def test_granules_of_a_day(short_name, version, count, last_hour):
    start = datetime(2016, 2, 29, tzinfo=UTC)
    stamps = product(short_name, version).layout.stamps(start.date())
    assert len(stamps) == count
    assert stamps[-1] == start + timedelta(hours=last_hour)
    assert stamps[0] == start + timedelta(hours=1.5 if short_name == "SPL4SMGP" else 0)


@ALL
@given(day=DAYS)
def test_values_of_a_day_cover_it_once(layout, day):
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


def test_half_orbits_have_no_daily_mean():
    layout = product("SPL2SMP_NRT", "107").layout
    with pytest.raises(MsmError, match="SPL2SMP_NRT 107 has no fixed times"):
        layout.used(layout.variables[0], date(2016, 2, 29))


def test_static_product_has_no_times():
    assert product("SPL4SMLM", "008").layout.stamps(date(2016, 4, 1)) == []


def test_name_of_another_form_is_refused():
    with pytest.raises(MsmError, match=r"passwd is not the name of a granule of SPL3SMP_E 006"):
        SMAP.time_of("../../etc/passwd")


@pytest.mark.parametrize("day", ["20160231", "20160401".replace("2", "\N{ARABIC-INDIC DIGIT TWO}")])
def test_name_with_an_invalid_day_is_refused(day):
    name = f"NLDAS_FORA0125_H.A{day}.0000.020.nc"
    layout = product("NLDAS_FORA0125_H", "2.0").layout
    assert not layout.matches(name)
    with pytest.raises(MsmError, match=r"contains an invalid time|not the name of a granule"):
        layout.time_of(name)


def test_unknown_product_is_refused():
    with pytest.raises(MsmError, match="does not know SPL3SMP 999; it reads NLDAS"):
        product("SPL3SMP", "999")
