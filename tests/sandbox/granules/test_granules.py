"""Granules conform to their layout, read with an independent library, and msm reads them."""

from datetime import UTC, datetime, timedelta

import cftime
import h5py
import numpy as np
import pytest

from msm.grid.domain import land_fraction
from msm.grid.ease import M09, M36, children
from msm.products.product import GranuleError, LayoutError
from msm.products.registry import product as registered
from msm.sandbox.granules.alterations import ALTERATIONS
from msm.sandbox.granules.granule import make_granule, served_products
from msm.sandbox.granules.window import window
from msm.sandbox.server.catalogue import STATIC_START
from msm.sandbox.weather.interface import NORTH_AMERICA, region
from msm.sandbox.weather.synthetic import SyntheticWeather
from tests.sandbox.small import SmallWeather

MIDNIGHT = datetime(2024, 7, 20, tzinfo=UTC)
STAMPS = {
    "SPL4SMLM": STATIC_START,
    "SPL4SMGP": datetime(2024, 7, 20, 4, 30, tzinfo=UTC),
    "GLDAS_NOAH025_3H": datetime(2024, 7, 20, 3, tzinfo=UTC),
    # Descending over North America.
    "SPL2SMP_NRT": datetime(2024, 7, 20, 12, 6, 10, tzinfo=UTC),
}
"""Times of the granules; midnight if not listed."""

SHORT_NAMES = list(served_products())


def stamp_of(short_name):
    return STAMPS.get(short_name, MIDNIGHT)


def make(weather, short_name, folder, content=1, alteration=None):
    product = served_products()[short_name]
    path = folder / product.name(stamp_of(short_name), content)
    make_granule(weather, short_name, stamp_of(short_name), content, path, alteration)
    return path


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("granules")
    weather = SyntheticWeather(1)
    return {name: make(weather, name, folder) for name in SHORT_NAMES}


def sizes(layout):
    rows, cols = layout.grid.rows, layout.grid.cols
    return {"time": layout.times, "lat": rows, "lon": cols, "y": rows, "x": cols}


@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_granule_conforms_to_its_layout(granules, short_name):
    layout = served_products()[short_name].layout
    with h5py.File(granules[short_name]) as file:
        for variable in layout.variables:
            stored = file[variable.path]
            assert stored.dtype == np.dtype(variable.dtype)
            if variable.dims != ("cell",):
                assert stored.shape == tuple(sizes(layout)[dim] for dim in variable.dims)
            assert stored.attrs["_FillValue"][0] == np.dtype(variable.dtype).type(variable.fill)
            assert stored.fillvalue == np.dtype(variable.dtype).type(variable.fill)
            assert stored.attrs["units"] == variable.units.encode()
            assert (stored[...] != stored.fillvalue).any()
        for attribute in layout.attributes:
            value = file[attribute.group or "/"].attrs[attribute.name]
            assert value == attribute.value.encode()
        if layout.stamp and layout.stamp.attribute:
            group, name = layout.stamp.attribute.split("@")
            stated = stamp_of(short_name).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            assert file[group].attrs[name] == stated.encode()
        for path, axis in zip(layout.grid.axis_paths, layout.grid.axes(), strict=True):
            if path:
                np.testing.assert_allclose(file[path][...], axis, rtol=1e-7)


@pytest.mark.parametrize(
    ("short_name", "units", "first"),
    [
        ("NLDAS_FORA0125_H", "hours since 1979-01-01 00:00:00", 399288),
        # The real granules of SMAP L4 count the seconds since noon from 64.184 s before it.
        ("SPL4SMGP", "seconds since 2000-01-01 11:58:55.816", (8967 * 24 - 7.5) * 3600),
        ("GLDAS_NOAH025_3H", " minutes since 2000-01-01 03:00:00", 8967 * 24 * 60),
        ("GPM_3IMERGDL", "days since 1980-01-06 00:00:00", 16267),
        ("M2T1NXSLV", "minutes since 2024-07-20 00:30:00", 0),
    ],
)
def test_time_units_are_those_of_the_providers(granules, short_name, units, first):
    layout = served_products()[short_name].layout
    with h5py.File(granules[short_name]) as file:
        time = file[layout.stamp.variable]
        assert time.attrs["units"] == units.encode()
        assert time.shape == (layout.times,)
        assert time[0] == pytest.approx(first, abs=1e-6)
        stated = cftime.num2pydate(time[...], units.strip())
    expected = stamp_of(short_name).replace(tzinfo=None)
    for place, moment in enumerate(stated):
        moment += timedelta(seconds=layout.stamp.offset_seconds)
        assert abs(moment - expected - place * layout.interval) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("short_name", "name"),
    [
        ("NLDAS_FORA0125_H", "NLDAS_FORA0125_H.A20240720.0000.020.nc"),
        ("NLDAS_NOAH0125_H", "NLDAS_NOAH0125_H.A20240720.0000.020.nc"),
        ("SPL3SMP_E", "SMAP_L3_SM_P_E_20240720_R19240_001.h5"),
        ("SPL3SMP", "SMAP_L3_SM_P_20240720_R19240_001.h5"),
        ("SPL4SMLM", "SMAP_L4_SM_lmc_00000000T000000_Vv8011_001.h5"),
        ("SPL4SMGP", "SMAP_L4_SM_gph_20240720T043000_Vv8011_001.h5"),
        ("SPL4SMAU", "SMAP_L4_SM_aup_20240720T000000_Vv8011_001.h5"),
        ("SPL2SMP_NRT", "SMAP_L2_SM_P_NRT_50573_D_20240720T120610_N19241_001.h5"),
        ("GLDAS_NOAH025_3H", "GLDAS_NOAH025_3H.A20240720.0300.021.nc4"),
        ("GLDAS_NOAH025_3H_EP", "GLDAS_NOAH025_3H_EP.A20240720.0000.021.nc4"),
        ("GPM_3IMERGDE", "3B-DAY-E.MS.MRG.3IMERG.20240720-S000000-E235959.V07C.nc4"),
        ("GPM_3IMERGDL", "3B-DAY-L.MS.MRG.3IMERG.20240720-S000000-E235959.V07C.nc4"),
        ("GPM_3IMERGDF", "3B-DAY.MS.MRG.3IMERG.20240720-S000000-E235959.V07B.nc4"),
        ("M2T1NXSLV", "MERRA2_400.tavg1_2d_slv_Nx.20240720.nc4"),
        ("M2T1NXFLX", "MERRA2_400.tavg1_2d_flx_Nx.20240720.nc4"),
        ("M2T1NXRAD", "MERRA2_400.tavg1_2d_rad_Nx.20240720.nc4"),
    ],
)
def test_names_are_those_of_the_providers(short_name, name):
    product = served_products()[short_name]
    assert product.name(stamp_of(short_name), 1) == name
    static = product.layout.cadence == "static"
    assert product.layout.time_of(name) == (None if static else stamp_of(short_name))
    assert product.layout.production_of(product.name(stamp_of(short_name), 2)) == (
        product.release,
        "002" if product.counted else "",
    )


@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_msm_reads_the_fields_of_the_weather(short_name, tmp_path):
    weather = SmallWeather(1)
    reader = registered(short_name, served_products()[short_name].layout.version)
    reading = reader.read(make(weather, short_name, tmp_path))
    layout, stamp = reader.layout, stamp_of(short_name)
    assert reading.time == (None if layout.cadence == "static" else stamp)
    fields = dict(served_products()[short_name].fields(weather, layout, stamp))
    place = (..., *window(layout.grid, weather.extent))
    if layout.grid.row_index:
        place = fields.pop("row"), fields.pop("col")
    expected = reader.canonical(fields)
    assert set(reading.fields) == set(expected)
    for name, field in expected.items():
        found = reading.fields[name]
        if field.shape[-2:] != found.shape[-2:] or layout.grid.row_index:
            inside = np.zeros(found.shape, bool)
            inside[place] = True
            there = np.isfinite(found) if found.dtype.kind == "f" else found != 65534
            assert not there[~inside].any()
            found = found[place]
        # A single-precision number keeps seven digits.
        np.testing.assert_allclose(found, field, rtol=3e-7, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("alteration", ["changed_grid", "renamed_variable"])
@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_altered_granule_is_refused(short_name, alteration, tmp_path):
    path = make(SmallWeather(1), short_name, tmp_path, alteration=alteration)
    reader = registered(short_name, served_products()[short_name].layout.version)
    with pytest.raises(LayoutError, match=r"the grid has changed|do not name each cell|it has no"):
        reader.read(path)


@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_empty_field_is_all_fill(short_name, tmp_path):
    path = make(SmallWeather(1), short_name, tmp_path, alteration="empty_field")
    first = next(v for v in served_products()[short_name].layout.variables if v.required)
    with h5py.File(path) as file:
        assert (file[first.path][...] == file[first.path].fillvalue).all()


def test_every_alteration_is_tested_above():
    # The name of an unknown version belongs to the catalogue.
    assert set(ALTERATIONS) == {
        "changed_grid",
        "renamed_variable",
        "empty_field",
        "unknown_version",
    }


@pytest.mark.parametrize("short_name", ["NLDAS_FORA0125_H", "SPL3SMP", "SPL4SMGP", "M2T1NXRAD"])
def test_same_granule_has_the_same_bytes(granules, short_name, tmp_path):
    again = make(SyntheticWeather(1), short_name, tmp_path)
    assert again.read_bytes() == granules[short_name].read_bytes()


@pytest.mark.parametrize(
    ("short_name", "expected"),
    [
        ("NLDAS_FORA0125_H", {"precipitation"}),
        ("SPL3SMP", {"soil_moisture_am", "soil_moisture_pm"}),
        ("SPL2SMP_NRT", {"soil_moisture"}),
        ("GLDAS_NOAH025_3H", {"precipitation", "soil_moisture_0_10cm"}),
        ("M2T1NXRAD", {"shortwave_down"}),
    ],
)
def test_new_content_has_different_values(short_name, expected, tmp_path):
    reader = registered(short_name, served_products()[short_name].layout.version)
    old, new = (
        reader.read(make(SmallWeather(1), short_name, tmp_path, content)).fields
        for content in (1, 2)
    )
    changed = {name for name in old if not np.array_equal(old[name], new[name], equal_nan=True)}
    assert changed == expected
    for name in changed:
        np.testing.assert_allclose(new[name], 1.01 * old[name], rtol=1e-6)


def test_granule_of_another_time_is_refused(tmp_path):
    product = served_products()["SPL4SMGP"]
    path = tmp_path / product.name(STAMPS["SPL4SMGP"], 1)
    make_granule(SmallWeather(1), "SPL4SMGP", STAMPS["SPL4SMGP"] + timedelta(hours=3), 1, path)
    with pytest.raises(GranuleError, match="not the time in its name"):
        registered("SPL4SMGP", "008").read(path, ())


def test_chunks_outside_the_region_are_not_stored(granules):
    with h5py.File(granules["SPL3SMP_E"]) as file:
        stored = file["Soil_Moisture_Retrieval_Data_AM/soil_moisture"]
        field = stored[...]
        inside = np.zeros(field.shape, bool)
        rows, cols = region(M09, NORTH_AMERICA)
        inside[rows, cols] = True
        assert (field[~inside] == -9999.0).all()
        assert stored.id.get_num_chunks() < 60


@pytest.mark.parametrize(
    ("short_name", "path"),
    [
        ("SPL4SMGP", "Geophysical_Data/precipitation_total_surface_flux"),
        ("GLDAS_NOAH025_3H", "Tair_f_inst"),
        ("GPM_3IMERGDL", "precipitation"),
        ("M2T1NXSLV", "T2M"),
    ],
)
def test_granule_of_a_small_weather_is_small(short_name, path, tmp_path):
    granule = make(SmallWeather(1), short_name, tmp_path)
    with h5py.File(granule) as file:
        times = served_products()[short_name].layout.times
        assert 0 < file[path].id.get_num_chunks() <= 4 * times
    assert granule.stat().st_size < 2**20


def test_land_fraction_is_the_packaged_mask(granules):
    with h5py.File(granules["SPL4SMLM"]) as file:
        stored = file["Land-Model-Constants_Data/cell_land_fraction"][...]
    np.testing.assert_allclose(stored, land_fraction() / 100, atol=1e-7)


def test_region_is_whole_cells_of_both_grids():
    rows, cols = region(M36, NORTH_AMERICA)
    fine_rows, fine_cols = region(M09, NORTH_AMERICA)
    first = children(rows.start, cols.start)
    last = children(rows.stop - 1, cols.stop - 1)
    assert (first[0].min(), first[1].min()) == (fine_rows.start, fine_cols.start)
    assert (last[0].max() + 1, last[1].max() + 1) == (fine_rows.stop, fine_cols.stop)
