"""Reading of written granules, for what no real file shows."""

import shutil
from datetime import UTC, datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msm.grid.ease import M09
from msm.products.definitions import GPM_3IMERGDE_07, GPM_3IMERGDF_07, SPL3SMP_009
from msm.products.definitions import GPM_3IMERGDL_07 as IMERG
from msm.products.definitions import M2T1NXFLX as MERRA
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import NLDAS_NOAH0125_H_2_0 as NOAH
from msm.products.definitions import SPL2SMP_NRT_107 as HALF_ORBIT
from msm.products.definitions import SPL4SMGP_008 as L4
from msm.products.product import GranuleError, LayoutError
from msm.products.registry import identify, product
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import NORTH_AMERICA
from tests.products.granule_files import write

DAY = datetime(2021, 1, 10, tzinfo=UTC)
BOX = (slice(100, 104), slice(200, 205))
SOIL = "SoilM_0_10cm"
RAIN = {"precipitation": np.arange(20, dtype=np.float32).reshape(1, 5, 4)}


def write_noah(folder, *window, **options):
    return write(folder, NOAH, DAY, {"soil_moisture_0_10cm": 25.0}, *window, **options)


def write_l4(folder):
    fields = dict.fromkeys((v.name for v in L4.layout.variables), 1.0)
    # 64.184 seconds before 01:30, by the epoch of the provider.
    return write(folder, L4, DAY + timedelta(minutes=90), fields, *BOX, minutes=(-64.184 / 60,))


def write_merra(folder, minutes):
    hours = np.arange(len(minutes), dtype=np.float32)[:, None, None] / 86400
    return write(folder, MERRA, DAY, {"precipitation": hours}, *BOX, minutes=minutes)


def edit(path, change):
    with netCDF4.Dataset(path, "a") as dataset:
        change(dataset)
    return path


def replace(path, name, dtype, value, dims):
    def change(dataset):
        dataset.renameVariable(name, f"old_{name}")
        dataset.createVariable(name, dtype, dims)[...] = value

    return edit(path, change)


def test_subset_of_imerg_is_transposed_and_placed(tmp_path):
    reading = IMERG.read(write(tmp_path, IMERG, DAY, RAIN, *BOX))
    assert reading.time == DAY
    field = reading.fields["precipitation"]
    assert field.shape == (1800, 3600)
    np.testing.assert_array_equal(field[BOX], RAIN["precipitation"][0].T)
    assert np.isfinite(field).sum() == 20


def test_julian_calendar_is_read_as_standard(tmp_path):
    path = write(tmp_path, IMERG, DAY, RAIN, *BOX, calendar="julian")
    assert IMERG.read(path).time == DAY


@pytest.mark.parametrize("run", [GPM_3IMERGDE_07, IMERG, GPM_3IMERGDF_07], ids=lambda p: p.id)
def test_run_of_daily_imerg_is_identified_by_its_name(tmp_path, run):
    assert identify(write(tmp_path, run, DAY, RAIN, *BOX)) is run


def test_day_of_merra2_is_24_hours_in_one_granule(tmp_path):
    reading = MERRA.read(write_merra(tmp_path, range(30, 1440, 60)))
    assert reading.time == DAY
    rain = reading.fields["precipitation"]
    assert rain.shape == (24, 361, 576)
    np.testing.assert_allclose(rain[(slice(None), *BOX)].mean(axis=(1, 2)), range(24), rtol=1e-6)


@pytest.mark.parametrize(
    ("minutes", "found"),
    [(range(30, 1380, 60), "has 23 times"), ([*range(30, 1380, 60), 1425], "has 24 times")],
)
def test_day_of_merra2_without_an_hour_is_refused(tmp_path, minutes, found):
    with pytest.raises(LayoutError, match=f"{found} .* has 24, 1:00:00 apart: it is a subset"):
        MERRA.read(write_merra(tmp_path, minutes))


def test_another_hour_than_in_the_name_is_refused(tmp_path):
    path = write_noah(tmp_path, minutes=(60,))
    with pytest.raises(GranuleError, match="states 2021-01-10T01:00Z, not the time in its name"):
        NOAH.read(path)


def test_means_of_spl4smgp_are_stamped_at_their_centre(tmp_path):
    reading = L4.read(write_l4(tmp_path), ["precipitation"])
    assert reading.time == DAY + timedelta(minutes=90)
    np.testing.assert_array_equal(reading.fields["precipitation"][BOX], np.float32(86400))


def test_soil_water_is_converted_to_soil_moisture(tmp_path):
    reading = NOAH.read(write_noah(tmp_path))
    np.testing.assert_allclose(reading.fields["soil_moisture_0_10cm"], 0.25)


def windows(layout):
    def within(size):
        return st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)

    return st.tuples(within(layout.grid.rows), within(layout.grid.cols)).map(
        lambda cuts: tuple(slice(*cut) for cut in cuts)
    )


def check_windows(known, path):
    """Compare windows of all sizes, empty ones too, with the complete fields."""
    complete = known.read(path).fields

    @settings(max_examples=15)
    @given(window=windows(known.layout))
    def check(window):
        part = known.read(path, window=window).fields
        assert part.keys() == complete.keys()
        for name, field in part.items():
            assert field.dtype == complete[name].dtype
            np.testing.assert_array_equal(field, complete[name][..., *window])

    check()


def test_window_is_the_slice_of_the_complete_field(tmp_path):
    """Of a transposed subset, of a complete granule, and of one with several times."""
    check_windows(IMERG, write(tmp_path, IMERG, DAY, RAIN, *BOX))
    field = np.arange(224 * 464, dtype=np.float32).reshape(224, 464)
    field[:100, :200] = NOAH.layout.variables[0].fill
    check_windows(NOAH, write(tmp_path, NOAH, DAY, {"soil_moisture_0_10cm": field}))
    check_windows(MERRA, write_merra(tmp_path, range(30, 1440, 60)))


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
def test_window_of_a_real_granule_is_the_slice_of_the_complete_field(
    real_data, short_name, version, name
):
    check_windows(product(short_name, version), real_data / "granules" / name)


def test_values_outside_the_window_are_not_read(tmp_path):
    path = tmp_path / "broken.nc"
    write_noah(tmp_path).rename(path)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.renameVariable(SOIL, "complete")
        dataset.createVariable(
            SOIL, "f4", ("time", "lat", "lon"), compression="zlib", chunksizes=(1, 112, 464)
        )[:] = 25.0
    with h5py.File(path) as file:
        north = file[SOIL].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(north.byte_offset)
        file.write(bytes(north.size))
    south = NOAH.read(path, window=(slice(0, 112), slice(0, 464)))
    np.testing.assert_allclose(south.fields["soil_moisture_0_10cm"], 0.25)
    with pytest.raises(GranuleError, match="cannot be read"):
        NOAH.read(path)


def shift(path, axis, by):
    def change(dataset):
        dataset[axis][:] = dataset[axis][:] + by

    return edit(path, change)


@pytest.mark.parametrize("window", [None, (slice(0, 10), slice(0, 10))])
@pytest.mark.parametrize(
    ("axis", "by"),
    [
        ("lat", 0.0625),
        ("lon", 0.01),
        ("lat", 60),
        ("lon", 60),
        ("lat", np.nan),
        pytest.param("lat", -2 * NOAH.layout.grid.axes()[0], id="lat-reversed"),
    ],
)
def test_changed_axis_is_refused(tmp_path, axis, by, window):
    path = shift(write_noah(tmp_path), axis, by)
    with pytest.raises(LayoutError, match=f"the axis '{axis}' is not the one of NLDAS_NOAH"):
        NOAH.read(path, window=window)


def test_subset_of_ease_2_without_axes_is_refused(tmp_path):
    path = write_l4(tmp_path)
    with netCDF4.Dataset(path, "a") as dataset:
        for name in ("x", "y"):
            dataset.renameVariable(name, f"old_{name}")
    with pytest.raises(LayoutError, match=r"has shape \(4, 5\), where SPL4SMGP 008 has"):
        L4.read(path)


def test_subset_between_the_cells_of_ease_2_is_refused(tmp_path):
    with pytest.raises(LayoutError, match="the axis 'x' is not the one of SPL4SMGP"):
        L4.read(shift(write_l4(tmp_path), "x", M09.cell_size / 2))


@pytest.mark.parametrize(
    ("name", "dims", "message"),
    [
        ("lat", ("lat",), "the axis 'lat' is not the one"),
        ("time", ("time",), "states no time at time"),
        (SOIL, ("time", "lat", "lon"), "is stored as"),
    ],
)
@pytest.mark.parametrize(("dtype", "value"), [(str, np.array("none", object)), ("S1", b"n")])
def test_text_instead_of_numbers_is_refused(tmp_path, name, dims, message, dtype, value):
    path = replace(write_noah(tmp_path, *BOX), name, dtype, value, dims)
    with pytest.raises(LayoutError, match=message):
        NOAH.read(path)


def test_integers_instead_of_a_measurement_are_refused(tmp_path):
    path = replace(write_noah(tmp_path, *BOX), SOIL, "i2", 25, ("time", "lat", "lon"))
    with pytest.raises(LayoutError, match=r"is stored as int16, where NLDAS_NOAH0125_H 2.0 has f4"):
        NOAH.read(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300, -1e300, 1e15, -1e12])
def test_invalid_time_is_refused(tmp_path, number):
    path = write_noah(tmp_path, *BOX, minutes=(number,))
    with pytest.raises(GranuleError, match=r"states no time at time|not the time in its name"):
        NOAH.read(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: dataset.renameVariable("time", "hour"),
        lambda dataset: dataset["time"].setncattr("units", "minutes"),
        lambda dataset: dataset["time"].setncattr("units", "hours since never"),
        lambda dataset: dataset["time"].setncattr("units", 5),
        lambda dataset: dataset["time"].setncattr("calendar", "roman"),
    ],
    ids=["missing", "no epoch", "no date", "units not text", "unknown calendar"],
)
def test_granule_without_a_readable_time_is_refused(tmp_path, change):
    path = edit(write_noah(tmp_path, *BOX), change)
    with pytest.raises(LayoutError, match="states no time at time"):
        NOAH.read(path)


def test_group_instead_of_a_variable_is_a_missing_variable(tmp_path):
    path = edit(write(tmp_path, NOAH, DAY, {}, *BOX), lambda file: file.createGroup(SOIL))
    with pytest.raises(LayoutError, match="it has no SoilM_0_10cm"):
        NOAH.read(path)


@pytest.mark.parametrize(
    ("rows", "cols"), [([5, 5], [7, 7]), ([5, 406], [7, 8]), ([5, 65534], [7, 65534])]
)
def test_half_orbit_must_name_each_cell_of_the_grid_once(tmp_path, rows, cols):
    path = tmp_path / "half.h5"
    indices = {"row": np.array(rows), "col": np.array(cols)}
    write_granule(path, HALF_ORBIT.layout, DAY, indices, NORTH_AMERICA)
    with pytest.raises(LayoutError, match="do not name each cell of the M36 grid once"):
        HALF_ORBIT.read(path)


def test_lengths_beyond_the_memory_are_refused_unread(tmp_path):
    """A file of a few kilobytes can state them."""
    valid = tmp_path / NLDAS.layout.file_name.format(time=DAY)
    write_granule(valid, NLDAS.layout, DAY, {}, NORTH_AMERICA)
    for axis, message in (("time", "has 1099511627776 times"), ("lat", "the axis 'lat'")):
        long = shutil.copy(valid, tmp_path / f"{axis} {valid.name}")
        with h5py.File(long, "a") as file:
            units = file[axis].attrs["units"]
            del file[axis]
            file.create_dataset(axis, (2**40,), "f8", chunks=(1,)).attrs["units"] = units
        with pytest.raises(LayoutError, match=message):
            NLDAS.read(long)


@pytest.fixture
def smap_l3(tmp_path):
    layout = SPL3SMP_009.layout
    path = tmp_path / layout.file_name.format(time=DAY, release="R19240", counter="001")
    write_granule(path, layout, DAY, {}, NORTH_AMERICA)
    return path


def test_flag_of_another_type_is_refused(smap_l3):
    """Its fill and bits are of the layout's type."""
    layout = SPL3SMP_009.layout
    flag = next(v for v in layout.variables if v.name == "retrieval_qual_flag_am")
    with h5py.File(smap_l3, "a") as file:
        values = file[flag.path][...].astype("i4")
        del file[flag.path]
        file[flag.path] = values
    with pytest.raises(LayoutError, match="is stored as int32, where SPL3SMP 009 has u2"):
        SPL3SMP_009.read(smap_l3)


def test_file_that_states_another_product_is_refused(smap_l3):
    with h5py.File(smap_l3, "a") as file:
        file["Metadata/DatasetIdentification"].attrs["shortName"] = "SPL3FTP"
    with pytest.raises(LayoutError, match="states that it is SPL3FTP, not SPL3SMP 009"):
        SPL3SMP_009.read(smap_l3)
