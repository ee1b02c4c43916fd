"""Granules written as their layouts say, for what no real file shows."""

import shutil
from datetime import UTC, datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msm.grid.ease import M09
from msm.products.product import GranuleError, LayoutError
from msm.products.registry import identify, product
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import NORTH_AMERICA

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


def windows(layout):
    def within(size):
        return st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)

    return st.tuples(within(layout.grid.rows), within(layout.grid.cols)).map(
        lambda cuts: tuple(slice(*cut) for cut in cuts)
    )


def check_windows(known, path):
    """Hold windows of all sizes, empty ones too, against the whole."""
    whole = known.read(path).fields

    @settings(max_examples=15)
    @given(window=windows(known.layout))
    def check(window):
        part = known.read(path, window=window).fields
        assert part.keys() == whole.keys()
        for name, field in part.items():
            assert field.dtype == whole[name].dtype
            np.testing.assert_array_equal(field, whole[name][..., *window])

    check()


def test_a_window_is_the_slice_of_the_whole(tmp_path, rain):
    """A turned granule that is smaller than its grid, whole ones, and one of several times."""
    check_windows(IMERG, write(tmp_path, IMERG, {"precipitation": rain}, *BOX))
    field = np.arange(224 * 464, dtype=np.float32).reshape(224, 464)
    field[:100, :200] = NOAH.layout.variables[0].fill
    check_windows(NOAH, write(tmp_path, NOAH, {"soil_moisture_0_10cm": field}))
    check_windows(MERRA, merra(tmp_path, range(30, 1440, 60)))


@pytest.mark.parametrize(
    ("short_name", "version", "name"),
    [
        ("NLDAS_FORA0125_H", "002", "NLDAS_FORA0125_H.A20230101.0000.002.grb.SUB.nc4"),
        ("GLDAS_NOAH025_3H", "2.1", "GLDAS_NOAH025_3H.A20150101.0000.021.nc4"),
        (
            "GPM_3IMERGHH",
            "03",
            "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5",
        ),
        ("SPL4SMAU", "008", "SMAP_L4_SM_aup_20200128T150000_Vv4030_north_america_subset.h5"),
        ("SPL3SMP", "003", "SMAP_L3_SM_P_20150401_R13080_001.h5"),
        ("SPL2SMP_NRT", "107", "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5"),
    ],
)
def test_a_window_of_a_real_granule_is_the_slice_of_the_whole(real_data, short_name, version, name):
    check_windows(product(short_name, version), real_data / "granules" / name)


def test_what_lies_outside_the_window_is_not_read(tmp_path):
    path = tmp_path / "broken.nc"
    write(tmp_path, NOAH, SOIL).rename(path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable("SoilM_0_10cm", "whole")
        dataset.createVariable(
            "SoilM_0_10cm",
            "f4",
            ("time", "lat", "lon"),
            compression="zlib",
            chunksizes=(1, 112, 464),
        )[:] = 25.0
    with h5py.File(path) as file:
        north = file["SoilM_0_10cm"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(north.byte_offset)
        file.write(bytes(north.size))
    south = NOAH.read(path, window=(slice(0, 112), slice(0, 464)))
    np.testing.assert_allclose(south.fields["soil_moisture_0_10cm"], 0.25)
    with pytest.raises(GranuleError, match="breaks while it is read"):
        NOAH.read(path)


def test_a_window_does_not_excuse_another_grid(tmp_path):
    path = shift(write(tmp_path, NOAH, SOIL), "lat", 0.0625)
    with pytest.raises(LayoutError, match="the axis 'lat' is not the one of NLDAS_NOAH"):
        NOAH.read(path, window=(slice(0, 10), slice(0, 10)))


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


def test_axes_and_times_of_a_length_that_no_memory_holds_are_not_read(tmp_path):
    """A file of a few kilobytes can state it."""
    known = product("NLDAS_FORA0125_H", "2.0")
    right = tmp_path / known.layout.file_name.format(time=DAY)
    write_granule(right, known.layout, DAY, {}, NORTH_AMERICA)
    for axis, said in (("time", "holds 1099511627776 times"), ("lat", "the axis 'lat'")):
        long = shutil.copy(right, tmp_path / f"{axis} {right.name}")
        with h5py.File(long, "a") as file:
            units = file[axis].attrs["units"]
            del file[axis]
            file.create_dataset(axis, (2**40,), "f8", chunks=(1,)).attrs["units"] = units
        with pytest.raises(LayoutError, match=said):
            known.read(long)


def test_a_flag_of_another_type_is_another_flag(tmp_path):
    """Its fill and its bits are of the layout's type."""
    known = product("SPL3SMP", "009")
    right = tmp_path / known.layout.file_name.format(time=DAY, release="R19240", counter="001")
    write_granule(right, known.layout, DAY, {}, NORTH_AMERICA)
    flag = next(v for v in known.layout.variables if v.name == "retrieval_qual_flag_am")
    with h5py.File(right, "a") as file:
        values = file[flag.path][...].astype("i4")
        del file[flag.path]
        file[flag.path] = values
    with pytest.raises(LayoutError, match="is stored as int32, where SPL3SMP 009 has u2"):
        known.read(right)
