"""Granules written as their layouts say, for what no real file shows."""

from datetime import UTC, datetime, timedelta

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.grid.ease import M09
from msm.inputs.placement import span
from msm.inputs.product import GranuleError, LayoutError
from msm.inputs.registry import identify, product

DAY = datetime(2021, 1, 10, tzinfo=UTC)


def write(
    folder, known, fields, rows=slice(None), cols=slice(None), *, minutes=(0,), calendar="standard"
):
    """Write a window of the grid; `minutes` are those of the time variable after the stamp."""
    layout = known.layout
    grid = layout.grid
    stamp = DAY + timedelta(minutes=layout.first_minutes)
    names = [
        layout.file_name.format(time=stamp, release=release, counter="001")
        for release in ("V07C", "400", "Vv8011")
    ]
    path = folder / next(name for name in names if layout.matches(name))
    row_axis, col_axis = grid.axes()
    row_name, col_name = ("lat", "lon") if grid.lat else ("y", "x")
    axes = {row_name: row_axis[rows], col_name: col_axis[cols]}
    with netCDF4.Dataset(path, "w") as dataset:
        for name, axis in axes.items():
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createDimension("time", len(minutes))
        time = dataset.createVariable("time", "f8", ("time",))
        time.units = f"minutes since {stamp:%Y-%m-%d %H:%M:%S}"
        time.calendar = calendar
        time[:] = minutes
        for variable in layout.variables:
            if variable.name in fields:
                *group, name = variable.path.split("/")
                place = dataset.createGroup(group[0]) if group else dataset
                stored = place.createVariable(name, "f4", variable.dims, fill_value=variable.fill)
                stored[...] = fields[variable.name]
    return path


IMERG = product("GPM_3IMERGDL", "07")
MERRA = product("M2T1NXFLX", "5.12.4")
L4 = product("SPL4SMGP", "008")
NOAH = product("NLDAS_NOAH0125_H", "2.0")
SOIL = {"soil_moisture_0_10cm": 25.0}
BOX = (slice(100, 104), slice(200, 205))


@pytest.fixture
def rain():
    return np.arange(20, dtype=np.float32).reshape(1, 5, 4)


def test_a_window_of_imerg_is_turned_and_placed(tmp_path, rain):
    path = write(tmp_path, IMERG, {"precipitation": rain}, *BOX)
    reading = IMERG.read(path)
    assert reading.time == DAY
    field = reading.fields["precipitation"]
    assert field.shape == (1800, 3600)
    np.testing.assert_array_equal(field[BOX], rain[0].T)
    assert np.isfinite(field).sum() == 20


def test_days_counted_in_the_julian_calendar_are_common_days(tmp_path, rain):
    path = write(tmp_path, IMERG, {"precipitation": rain}, *BOX, calendar="julian")
    assert IMERG.read(path).time == DAY


def test_the_run_of_a_daily_imerg_is_told_by_its_name(tmp_path, rain):
    for run in ("E", "L", "F"):
        known = product(f"GPM_3IMERGD{run}", "07")
        assert identify(write(tmp_path, known, {"precipitation": rain}, *BOX)) is known


def merra(folder, minutes):
    hours = np.arange(len(minutes), dtype=np.float32)[:, None, None] / 86400
    return write(folder, MERRA, {"precipitation": hours}, *BOX, minutes=minutes)


def test_a_day_of_merra2_has_24_hours_in_one_granule(tmp_path):
    reading = MERRA.read(merra(tmp_path, range(30, 1440, 60)))
    assert reading.time == DAY
    rain = reading.fields["precipitation"]
    assert rain.shape == (24, 361, 576)
    np.testing.assert_allclose(rain[(slice(None), *BOX)].mean(axis=(1, 2)), range(24), rtol=1e-6)


@pytest.mark.parametrize(
    ("minutes", "held"),
    [(range(30, 1380, 60), "holds 23 times"), ([*range(30, 1380, 60), 1425], "holds 24 times")],
)
def test_a_day_of_merra2_without_an_hour_is_refused(tmp_path, minutes, held):
    with pytest.raises(LayoutError, match=f"{held} .* has 24, 1:00:00 apart: it is a subset"):
        MERRA.read(merra(tmp_path, minutes))


def test_another_hour_than_the_name_says_is_refused(tmp_path):
    path = write(tmp_path, NOAH, SOIL, minutes=(60,))
    with pytest.raises(GranuleError, match="holds 2021-01-10T01:00Z, not the time in its name"):
        NOAH.read(path)


def test_means_of_spl4smgp_are_stamped_in_their_middle(tmp_path):
    fields = dict.fromkeys((v.name for v in L4.layout.variables), 1.0)
    # 64.184 seconds before 01:30, as the providers' epoch makes it.
    path = write(tmp_path, L4, fields, *BOX, minutes=(-64.184 / 60,))
    reading = L4.read(path, ["precipitation"])
    assert reading.time == DAY + timedelta(minutes=90)
    np.testing.assert_array_equal(reading.fields["precipitation"][BOX], np.float32(86400))


def test_soil_water_becomes_soil_moisture(tmp_path):
    reading = NOAH.read(write(tmp_path, NOAH, SOIL))
    np.testing.assert_allclose(reading.fields["soil_moisture_0_10cm"], 0.25)


def shift(path, axis, by):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset[axis][:] = dataset[axis][:] + by
    return path


@pytest.mark.parametrize(("axis", "by"), [("lat", 0.0625), ("lon", 0.01), ("lat", 60), ("lon", 60)])
def test_a_shifted_grid_is_refused(tmp_path, axis, by):
    with pytest.raises(LayoutError, match=f"the axis '{axis}' is not the one of NLDAS_NOAH"):
        NOAH.read(shift(write(tmp_path, NOAH, SOIL), axis, by))


def test_an_axis_that_is_no_number_or_runs_backwards_is_refused(tmp_path):
    for change in (np.nan, -2 * NOAH.layout.grid.axes()[0]):
        with pytest.raises(LayoutError, match="the axis 'lat' is not the one"):
            NOAH.read(shift(write(tmp_path, NOAH, SOIL), "lat", change))


def test_a_window_of_ease_2_without_axes_is_refused(tmp_path):
    fields = dict.fromkeys((v.name for v in L4.layout.variables), 1.0)
    path = write(tmp_path, L4, fields, *BOX, minutes=(-64.184 / 60,))
    with netCDF4.Dataset(path, "a") as dataset:
        for name in ("x", "y"):
            dataset.renameVariable(name, f"old_{name}")
    with pytest.raises(LayoutError, match=r"has shape \(4, 5\), where SPL4SMGP 008 has"):
        L4.read(path)


def test_a_window_between_the_cells_of_ease_2_is_refused(tmp_path):
    fields = dict.fromkeys((v.name for v in L4.layout.variables), 1.0)
    path = write(tmp_path, L4, fields, *BOX, minutes=(-64.184 / 60,))
    with pytest.raises(LayoutError, match="the axis 'x' is not the one of SPL4SMGP"):
        L4.read(shift(path, "x", M09.cell_size / 2))


@given(
    window=st.tuples(st.integers(0, 463), st.integers(0, 463)).map(sorted),
    rounding=st.floats(-0.009, 0.009),
    shift=st.floats(0.02, 0.98),
)
def test_an_axis_is_placed_where_it_lies_and_nowhere_in_between(window, rounding, shift):
    first, last = window
    whole = NOAH.layout.grid.axes()[1]
    axis = whole[first : last + 1]
    assert span(axis + 0.125 * rounding, whole) == slice(first, last + 1)
    assert span(axis + 0.125 * shift, whole) is None
    assert span(np.append(axis, axis[-1] + 0.25), whole) is None


def replace(path, name, dtype, value, dims):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable(name, f"old_{name}")
        dataset.createVariable(name, dtype, dims)[...] = value
    return path


@pytest.mark.parametrize(
    ("name", "dims", "told"),
    [
        ("lat", ("lat",), "the axis 'lat' is not the one"),
        ("time", ("time",), "states no time at time"),
        ("SoilM_0_10cm", ("time", "lat", "lon"), "is stored as"),
    ],
)
@pytest.mark.parametrize(("dtype", "value"), [(str, np.array("none", object)), ("S1", b"n")])
def test_text_in_place_of_numbers_is_refused(tmp_path, name, dims, told, dtype, value):
    path = replace(write(tmp_path, NOAH, SOIL, *BOX), name, dtype, value, dims)
    with pytest.raises(LayoutError, match=told):
        NOAH.read(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300, -1e300, 1e15, -1e12])
def test_a_time_that_is_none_is_refused(tmp_path, number):
    path = write(tmp_path, NOAH, SOIL, *BOX, minutes=(number,))
    with pytest.raises(GranuleError, match=r"states no time at time|not the time in its name"):
        NOAH.read(path)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("units", "minutes"), ("units", "hours since never"), ("units", 5), ("calendar", "roman")],
)
def test_a_time_that_counts_from_nothing_is_refused(tmp_path, attribute, value):
    path = write(tmp_path, NOAH, SOIL, *BOX)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["time"].setncattr(attribute, value)
    with pytest.raises(LayoutError, match="states no time at time"):
        NOAH.read(path)


def test_a_granule_without_a_time_is_refused(tmp_path):
    path = write(tmp_path, NOAH, SOIL, *BOX)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("time", "hour")
    with pytest.raises(LayoutError, match="states no time at time"):
        NOAH.read(path)


def test_whole_numbers_in_place_of_a_measurement_are_refused(tmp_path):
    path = write(tmp_path, NOAH, SOIL, *BOX)
    replace(path, "SoilM_0_10cm", "i2", 25, ("time", "lat", "lon"))
    with pytest.raises(LayoutError, match=r"is stored as int16, where NLDAS_NOAH0125_H 2.0 has f4"):
        NOAH.read(path)


def test_a_group_in_place_of_a_variable_is_a_missing_variable(tmp_path):
    path = write(tmp_path, NOAH, {}, *BOX)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.createGroup("SoilM_0_10cm")
    with pytest.raises(LayoutError, match="it lacks SoilM_0_10cm"):
        NOAH.read(path)


HALF = product("SPL2SMP_NRT", "107")


@pytest.mark.parametrize(
    ("rows", "cols"), [([5, 5], [7, 7]), ([5, 406], [7, 8]), ([5, 65534], [7, 65534])]
)
def test_half_an_orbit_names_each_cell_of_the_grid_once(tmp_path, rows, cols):
    path = tmp_path / "half.h5"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("cell", 2)
        group = dataset.createGroup("Soil_Moisture_Retrieval_Data")
        for variable in HALF.layout.variables:
            name = variable.path.split("/")[-1]
            group.createVariable(name, variable.dtype, ("cell",))[:] = 0
        group.createVariable("EASE_row_index", "u2", ("cell",))[:] = rows
        group.createVariable("EASE_column_index", "u2", ("cell",))[:] = cols
        extent = dataset.createGroup("Metadata/Extent")
        extent.rangeBeginningDateTime = "2019-08-22T22:48:57.923Z"
    with pytest.raises(LayoutError, match="do not name each cell of the M36 grid once"):
        HALF.read(path)
