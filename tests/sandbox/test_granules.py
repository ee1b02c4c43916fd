"""Granules are what their layout says, read with an independent library."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.grid.domain import land_fraction
from msm.grid.ease import M09, M36, children
from msm.sandbox.catalogue import STATIC_START
from msm.sandbox.granules import make_granule, products
from msm.sandbox.synthetic import SyntheticWeather
from msm.sandbox.weather import NORTH_AMERICA, region

STAMP = datetime(2024, 7, 20, tzinfo=UTC)
SHORT_NAMES = ["NLDAS_FORA0125_H", "SPL3SMP_E", "SPL3SMP", "SPL4SMLM"]


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("granules")
    weather = SyntheticWeather(1)
    for name in SHORT_NAMES:
        make_granule(weather, name, STAMP, 1, folder / name)
    return folder


@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_granule_conforms_to_its_layout(granules, short_name):
    layout = products()[short_name].layout
    with h5py.File(granules / short_name) as file:
        for variable in layout.variables:
            stored = file[variable.path]
            assert stored.dtype == np.dtype(variable.dtype)
            assert stored.shape[-2:] == (layout.grid.rows, layout.grid.cols)
            assert len(stored.shape) == len(variable.dims)
            assert stored.attrs["_FillValue"][0] == variable.fill
            assert stored.fillvalue == variable.fill
            assert stored.attrs["units"] == variable.units.encode()
            assert (stored[...] != variable.fill).any()
        for attribute in layout.attributes:
            value = file[attribute.group].attrs[attribute.name]
            assert value == attribute.value.encode()
        if layout.stamp and layout.stamp.variable:
            assert file[layout.stamp.variable][0] == 399288
            assert file[layout.stamp.variable].attrs["units"] == b"hours since 1979-01-01 00:00:00"
        if layout.stamp and layout.stamp.attribute:
            group, name = layout.stamp.attribute.split("@")
            assert file[group].attrs[name] == b"2024-07-20T00:00:00.000Z"
        if layout.grid.kind == "latlon":
            lat, lon = layout.grid.axes()
            np.testing.assert_array_equal(file[layout.grid.lat][...], lat)
            np.testing.assert_array_equal(file[layout.grid.lon][...], lon)


def test_hours_since_epoch_is_what_the_test_above_says():
    assert (STAMP - datetime(1979, 1, 1, tzinfo=UTC)).total_seconds() / 3600 == 399288


@pytest.mark.parametrize("short_name", SHORT_NAMES)
def test_names_are_the_providers(short_name):
    product = products()[short_name]
    static = product.layout.cadence == "static"
    name = product.name(STATIC_START if static else STAMP, 2)
    assert product.layout.matches(name)
    assert product.layout.time_of(name) == (None if static else STAMP)
    if product.counted:
        assert product.layout.production_of(name) == (product.release, "002")


@pytest.mark.parametrize("short_name", ["NLDAS_FORA0125_H", "SPL3SMP"])
def test_same_granule_has_the_same_bytes(granules, short_name, tmp_path):
    again = make_granule(SyntheticWeather(1), short_name, STAMP, 1, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (granules / short_name).read_bytes()
    assert again.size == (granules / short_name).stat().st_size


def test_new_content_has_other_values(granules, tmp_path):
    make_granule(SyntheticWeather(1), "NLDAS_FORA0125_H", STAMP, 2, tmp_path / "second")
    with h5py.File(granules / "NLDAS_FORA0125_H") as old, h5py.File(tmp_path / "second") as new:
        np.testing.assert_allclose(new["Rainf"][...], 1.01 * old["Rainf"][...], rtol=1e-6)
        np.testing.assert_array_equal(new["Tair"][...], old["Tair"][...])


def test_nothing_is_stored_outside_the_region(granules):
    with h5py.File(granules / "SPL3SMP_E") as file:
        stored = file["Soil_Moisture_Retrieval_Data_AM/soil_moisture"]
        field = stored[...]
        inside = np.zeros(field.shape, bool)
        rows, cols = region(M09, NORTH_AMERICA)
        inside[rows, cols] = True
        assert (field[~inside] == -9999.0).all()
        assert stored.id.get_num_chunks() < 60


def test_land_fraction_is_the_packaged_mask(granules):
    with h5py.File(granules / "SPL4SMLM") as file:
        stored = file["Land-Model-Constants_Data/cell_land_fraction"][...]
    np.testing.assert_allclose(stored, land_fraction() / 100, atol=1e-7)


def test_region_is_whole_cells_of_both_grids():
    rows, cols = region(M36, NORTH_AMERICA)
    fine_rows, fine_cols = region(M09, NORTH_AMERICA)
    first = children(rows.start, cols.start)
    last = children(rows.stop - 1, cols.stop - 1)
    assert (first[0].min(), first[1].min()) == (fine_rows.start, fine_cols.start)
    assert (last[0].max() + 1, last[1].max() + 1) == (fine_rows.stop, fine_cols.stop)
