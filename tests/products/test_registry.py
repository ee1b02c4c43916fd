"""Every real file of these products, compared with an independent reading by h5py."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.cli.inspect import summarise
from msm.grid.ease import M09, M36, unproject
from msm.products.definitions import PRODUCTS
from msm.products.product import GranuleError, LayoutError
from msm.products.registry import identify, product

NLDAS = [
    "NLDAS_FORA0125_H.A20000101.0000.002.grb.SUB.nc4",
    "NLDAS_FORA0125_H.A20000101.0100.002.grb.SUB.nc4",
    "NLDAS_FORA0125_H.A20230101.0000.002.grb.SUB.nc4",
]
GLDAS = "GLDAS_NOAH025_3H.A20150101.0000.021.nc4"
LAND_MASK = "GLDASp4_landmask_025d.nc4"
IMERG = "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5"
SMAP_L2 = "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5"
SMAP_L3 = "SMAP_L3_SM_P_20150401_R13080_001.h5"
SMAP_L3_SUBSET = "SPL3SMP_E_006_conus_surface_flag_subset.nc4"
AUP = "SMAP_L4_SM_aup_20200128T150000_Vv4030_north_america_subset.h5"

RETRIEVALS = "Soil_Moisture_Retrieval_Data/"
NLDAS_VARIABLES = {
    "air_temperature": ("TMP", 1),
    "specific_humidity": ("SPFH", 1),
    "surface_pressure": ("PRES", 1),
    "longwave_down": ("DLWRF", 1),
    "shortwave_down": ("DSWRF", 1),
    # A total of one hour in kg m-2 is a rate of 24 times as many mm per day.
    "precipitation": ("APCP", 24),
}
GLDAS_VARIABLES = {
    "precipitation": ("Rainf_f_tavg", 86400),
    "air_temperature": ("Tair_f_inst", 1),
    "specific_humidity": ("Qair_f_inst", 1),
    "shortwave_down": ("SWdown_f_tavg", 1),
    "longwave_down": ("LWdown_f_tavg", 1),
    "surface_pressure": ("Psurf_f_inst", 1),
    "wind_speed": ("Wind_f_inst", 1),
    # Water of 1000 kg m-3 in layers of 0.1, 0.3, 0.6 and 1 m.
    "soil_moisture_0_10cm": ("SoilMoi0_10cm_inst", 1 / 100),
    "soil_moisture_10_40cm": ("SoilMoi10_40cm_inst", 1 / 300),
    "soil_moisture_40_100cm": ("SoilMoi40_100cm_inst", 1 / 600),
    "soil_moisture_100_200cm": ("SoilMoi100_200cm_inst", 1 / 1000),
}
SMAP_L2_VARIABLES = {
    name: (RETRIEVALS + name, 1)
    for name in ("soil_moisture", "vegetation_water_content", "surface_temperature")
}
SMAP_L3_VARIABLES = {
    name: (RETRIEVALS + name, 1) for name in ("soil_moisture", "vegetation_water_content")
}
AUP_VARIABLES = {
    "soil_moisture_surface": ("Analysis_Data/sm_surface_analysis", 1),
    "soil_moisture_profile": ("Analysis_Data/sm_profile_analysis", 1),
    "surface_temperature": ("Analysis_Data/surface_temp_analysis", 1),
}


def check(found, values):
    assert found["count"] == values.size
    assert found["min"] == pytest.approx(values.min(), rel=1e-6)
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-6)
    assert found["max"] == pytest.approx(values.max(), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "short_name", "version", "day", "fill", "variables"),
    [
        *(
            (name, "NLDAS_FORA0125_H", "002", day, 1e20, NLDAS_VARIABLES)
            for name, day in zip(NLDAS, ("2000-01-01", "2000-01-01", "2023-01-01"), strict=True)
        ),
        (GLDAS, "GLDAS_NOAH025_3H", "2.1", "2015-01-01", -9999, GLDAS_VARIABLES),
        (LAND_MASK, "GLDASp4_landmask_025d", "p4", None, -9999, {"land_mask": ("GLDAS_mask", 1)}),
        (
            IMERG,
            "GPM_3IMERGHH",
            "V03D",
            "2016-01-01",
            -9999.9,
            {"precipitation": ("Grid/precipitationCal", 24)},
        ),
        (SMAP_L2, "SPL2SMP_NRT", "105", "2019-08-22", -9999, SMAP_L2_VARIABLES),
        (SMAP_L3, "SPL3SMP", "003", "2015-04-01", -9999, SMAP_L3_VARIABLES),
        (AUP, "SPL4SMAU", "004", "2020-01-28", -9999, AUP_VARIABLES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_summary_equals_an_independent_reading(
    real_data, name, short_name, version, day, fill, variables
):
    path = real_data / "granules" / name
    summary = summarise(path)
    assert (summary["product"], summary["version"]) == (short_name, version)
    assert summary["day"] == day
    for canonical, (original, factor) in variables.items():
        with h5py.File(path) as file:
            values = file[original][...].astype(np.float64)
        check(
            summary["variables"][canonical], factor * values[values != np.float64(np.float32(fill))]
        )
    if variables in (GLDAS_VARIABLES, AUP_VARIABLES):
        assert set(summary["variables"]) == set(variables)


@pytest.mark.parametrize("name", NLDAS)
def test_wind_speed_of_nldas_is_derived_from_its_components(real_data, name):
    path = real_data / "granules" / name
    variables = summarise(path)["variables"]
    with h5py.File(path) as file:
        east, north = file["UGRD"][...].astype(float), file["VGRD"][...].astype(float)
    check(variables["wind_speed"], np.hypot(east, north)[east < 1e19])
    assert variables["precipitation"]["units"] == "mm day-1"
    assert set(variables) == {*NLDAS_VARIABLES, "wind_speed"}


def test_time_of_nldas_is_its_hour(real_data):
    reading = product("NLDAS_FORA0125_H", "002").read(real_data / "granules" / NLDAS[1])
    assert reading.time == datetime(2000, 1, 1, 1, tzinfo=UTC)


def test_summary_of_smap_l3_is_not_masked(real_data):
    """The file has values far beyond its own valid_max."""
    summary = summarise(real_data / "granules" / SMAP_L3)
    assert summary["variables"]["soil_moisture"]["max"] > 0.9


def test_gldas_means_are_of_the_hours_before_their_time(real_data):
    with h5py.File(real_data / "granules" / GLDAS) as file:
        bounds, time = file["time_bnds"][0], file["time"][0]
        assert list(time - bounds) == [180, 0]  # minutes
        for variable in product("GLDAS_NOAH025_3H", "2.1").layout.variables:
            methods = file[variable.path].attrs["cell_methods"]
            expected = b"time: mean" if variable.time == "mean_before" else b"time: point"
            assert methods == expected


def test_land_mask_of_gldas_is_where_gldas_has_values(real_data):
    folder = real_data / "granules"
    land = product("GLDASp4_landmask_025d", "p4").read(folder / LAND_MASK).fields["land_mask"] == 1
    model = product("GLDAS_NOAH025_3H", "2.1").read(folder / GLDAS)
    np.testing.assert_array_equal(land, np.isfinite(model.fields["air_temperature"]))


def test_half_hour_of_imerg_is_transposed(real_data):
    path = real_data / "granules" / IMERG
    field = product("GPM_3IMERGHH", "03").read(path).fields["precipitation"]
    with h5py.File(path) as file:
        original = file["Grid/precipitationCal"][...]
        lat = file["Grid/lat"][...]
    assert field.shape == (1800, 3600)
    np.testing.assert_array_equal(np.isfinite(field), (original != np.float32(-9999.9)).T)
    # Transposed wrongly, the rows without a value would not be those poleward of 60 degrees.
    np.testing.assert_array_equal(np.isfinite(field).any(axis=1), np.abs(lat) < 60)


def test_half_orbit_is_placed_on_its_grid(real_data):
    path = real_data / "granules" / SMAP_L2
    reading = product("SPL2SMP_NRT", "107").read(path)
    assert reading.time == datetime(2019, 8, 22, 22, 48, 58, tzinfo=UTC)
    soil_moisture = reading.fields["soil_moisture"]
    assert soil_moisture.shape == (406, 964)
    with h5py.File(path) as file:
        lat, lon, value, flag = (
            file[RETRIEVALS + name][...]
            for name in ("latitude", "longitude", "soil_moisture", "retrieval_qual_flag")
        )
    # The cell of each value by its latitude and longitude.
    row, col = M36.rowcol(lat, lon)
    expected = np.full((406, 964), np.nan, np.float32)
    expected[row, col] = np.where(value == -9999, np.nan, value)
    np.testing.assert_array_equal(soil_moisture, expected)
    quality = reading.fields["retrieval_qual_flag"]
    np.testing.assert_array_equal(quality[row, col], flag)
    # Cells off the track were not observed.
    assert (quality == 65534).sum() == 406 * 964 - lat.size


def test_subset_of_spl4smau_is_placed_by_its_axes(real_data):
    path = real_data / "granules" / AUP
    reading = product("SPL4SMAU", "008").read(path)
    assert reading.time == datetime(2020, 1, 28, 15, tzinfo=UTC)
    field = reading.fields["soil_moisture_surface"]
    assert field.shape == (1624, 3856)
    with h5py.File(path) as file:
        column, x, y = file["cell_column"][0], file["x"][...], file["y"][...]
        value = file["Analysis_Data/sm_surface_analysis"][...]
    # The file's own column numbers, and the grid's formula for its projected rows.
    row, _ = M09.rowcol(unproject(np.zeros_like(y), y)[0], np.zeros_like(y))
    assert (row[0], row[-1], column[0], column[-1]) == (40, 547, 87, 1209)
    assert np.abs(M09.x[column] - x).max() < 1
    np.testing.assert_array_equal(
        field[np.ix_(row, column)], np.where(value == -9999, np.nan, value).astype(np.float32)
    )
    assert np.isfinite(field).sum() == (value != -9999).sum()


REFUSED = {
    "EASE2_M09km_axes.mat": "",
    "EASE2_M36km.lats.964x406x1.double": "cannot be opened as NetCDF or HDF5",
    "EASE2_M36km.lons.964x406x1.double": "cannot be opened as NetCDF or HDF5",
    "M2T1NXSLV_temporal.nc4": "M2T1NXSLV 5.12.4 but has no T2M, QV2M: it is a subset",
    "NLDAS_FORA0125_H.A20230101.0000.002.grb": "is GRIB, which msm does not read: use the NetCDF",
    SMAP_L3_SUBSET: "SPL3SMP_E 006 .*Soil_Moisture_Retrieval_Data_AM/soil_moisture.* a subset",
}
READ = {*NLDAS, GLDAS, LAND_MASK, IMERG, SMAP_L2, SMAP_L3, AUP}


def test_every_real_file_is_tested(real_data):
    assert {file.name for file in (real_data / "granules").iterdir()} == {*REFUSED, *READ}


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_other_real_files_are_refused_by_name_with_the_reason(real_data, name, reason):
    with pytest.raises(GranuleError, match=f"{name}.*{reason}") as refusal:
        summarise(real_data / "granules" / name)
    assert isinstance(refusal.value, LayoutError) == ("subset" in reason)


def test_unknown_product_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["rain"] = np.zeros((2, 2))
    with pytest.raises(LayoutError, match="layout of no product that msm reads"):
        summarise(tmp_path / "other.h5")


def test_renamed_granule_is_identified_by_its_content(real_data, tmp_path):
    renamed = tmp_path / "whatever.nc"
    renamed.symlink_to(real_data / "granules" / NLDAS[0])
    assert identify(renamed).id == "NLDAS_FORA0125_H 002"


def test_granule_with_the_name_of_another_hour_is_refused(real_data, tmp_path):
    renamed = tmp_path / NLDAS[0].replace("20000101.0000", "20000101.0500")
    renamed.symlink_to(real_data / "granules" / NLDAS[0])
    with pytest.raises(GranuleError, match="not the time in its name"):
        summarise(renamed)


@pytest.mark.parametrize("known", PRODUCTS, ids=lambda p: p.id)
def test_products_are_found_by_name_and_version(known):
    assert product(known.layout.product, known.layout.version) is known
