"""Every real file of these products, beside an independent reading by h5py."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.cli.inspect import inspect
from msm.grid.ease import M09, M36, unproject
from msm.products.definitions import PRODUCTS
from msm.products.product import GranuleError, LayoutError
from msm.products.registry import identify, product

NLDAS = [
    "NLDAS_FORA0125_H.A20000101.0000.002.grb.SUB.nc4",
    "NLDAS_FORA0125_H.A20000101.0100.002.grb.SUB.nc4",
    "NLDAS_FORA0125_H.A20230101.0000.002.grb.SUB.nc4",
]
NLDAS_NAMES = {
    "air_temperature": ("TMP", 1),
    "specific_humidity": ("SPFH", 1),
    "surface_pressure": ("PRES", 1),
    "longwave_down": ("DLWRF", 1),
    "shortwave_down": ("DSWRF", 1),
    # An hour's total in kg m-2 is a rate of 24 times as many mm a day.
    "precipitation": ("APCP", 24),
}


def stored(path, name, fill):
    with h5py.File(path) as file:
        values = file[name][...].astype(np.float64)
    return values[values != np.float64(np.float32(fill))]


def check(found, values):
    assert found["count"] == values.size
    assert found["min"] == pytest.approx(values.min(), rel=1e-6)
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-6)
    assert found["max"] == pytest.approx(values.max(), rel=1e-6)


@pytest.mark.parametrize("name", NLDAS)
def test_nldas_as_it_was_before_2024(real_data, name):
    path = real_data / "granules" / name
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("NLDAS_FORA0125_H", "002")
    assert summary["day"] == f"{name[18:22]}-{name[22:24]}-{name[24:26]}"
    for canonical, (original, factor) in NLDAS_NAMES.items():
        check(summary["variables"][canonical], factor * stored(path, original, 1e20))
    with h5py.File(path) as file:
        east, north = file["UGRD"][...].astype(float), file["VGRD"][...].astype(float)
    check(summary["variables"]["wind_speed"], np.hypot(east, north)[east < 1e19])
    assert summary["variables"]["precipitation"]["units"] == "mm day-1"
    assert set(summary["variables"]) == {*NLDAS_NAMES, "wind_speed"}


def test_the_hour_before_new_years_noon_is_not_the_first_hour(real_data):
    reading = product("NLDAS_FORA0125_H", "002").read(real_data / "granules" / NLDAS[1])
    assert reading.time == datetime(2000, 1, 1, 1, tzinfo=UTC)


def test_smap_l3_in_its_early_layout(real_data):
    path = real_data / "granules" / "SMAP_L3_SM_P_20150401_R13080_001.h5"
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("SPL3SMP", "003")
    assert summary["day"] == "2015-04-01"
    group = "Soil_Moisture_Retrieval_Data/"
    check(summary["variables"]["soil_moisture"], stored(path, group + "soil_moisture", -9999))
    check(
        summary["variables"]["vegetation_water_content"],
        stored(path, group + "vegetation_water_content", -9999),
    )
    # As read before masking: values far beyond the product's own valid_max are in the file.
    assert summary["variables"]["soil_moisture"]["max"] > 0.9


def test_a_subset_by_a_service_is_refused_with_the_reason(real_data):
    path = real_data / "granules" / "SPL3SMP_E_006_conus_surface_flag_subset.nc4"
    with pytest.raises(LayoutError) as refusal:
        inspect(path)
    told = str(refusal.value)
    assert path.name in told
    assert "SPL3SMP_E 006" in told
    assert "Soil_Moisture_Retrieval_Data_AM/soil_moisture" in told
    assert "subset" in told


def test_a_subset_of_two_hours_is_refused_with_the_reason(real_data):
    with pytest.raises(LayoutError, match=r"M2T1NXSLV 5.12.4 but has no T2M, QV2M: it is a subset"):
        inspect(real_data / "granules" / "M2T1NXSLV_temporal.nc4")


def test_grib_is_refused_naming_the_edition_that_is_read(real_data):
    with pytest.raises(GranuleError, match="is GRIB, which msm does not read: take the netCDF"):
        inspect(real_data / "granules" / "NLDAS_FORA0125_H.A20230101.0000.002.grb")


GLDAS = "GLDAS_NOAH025_3H.A20150101.0000.021.nc4"
GLDAS_NAMES = {
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


def test_gldas(real_data):
    path = real_data / "granules" / GLDAS
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("GLDAS_NOAH025_3H", "2.1")
    assert summary["day"] == "2015-01-01"
    assert set(summary["variables"]) == set(GLDAS_NAMES)
    for canonical, (original, factor) in GLDAS_NAMES.items():
        check(summary["variables"][canonical], factor * stored(path, original, -9999))


def test_gldas_means_are_of_the_hours_before_its_stamp(real_data):
    with h5py.File(real_data / "granules" / GLDAS) as file:
        bounds, time = file["time_bnds"][0], file["time"][0]
        assert list(time - bounds) == [180, 0]  # minutes
        for variable in product("GLDAS_NOAH025_3H", "2.1").layout.variables:
            methods = file[variable.path].attrs["cell_methods"]
            expected = b"time: mean" if variable.time == "mean_before" else b"time: point"
            assert methods == expected


def test_the_land_mask_of_gldas_says_where_gldas_has_values(real_data):
    path = real_data / "granules" / "GLDASp4_landmask_025d.nc4"
    summary = inspect(path)
    assert (summary["product"], summary["day"]) == ("GLDASp4_landmask_025d", None)
    check(summary["variables"]["land_mask"], stored(path, "GLDAS_mask", -9999))
    land = product("GLDASp4_landmask_025d", "p4").read(path).fields["land_mask"] == 1
    model = product("GLDAS_NOAH025_3H", "2.1").read(real_data / "granules" / GLDAS)
    np.testing.assert_array_equal(land, np.isfinite(model.fields["air_temperature"]))


def test_half_an_hour_of_imerg_is_turned(real_data):
    name = "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5"
    path = real_data / "granules" / name
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("GPM_3IMERGHH", "V03D")
    assert summary["day"] == "2016-01-01"
    check(
        summary["variables"]["precipitation"], 24 * stored(path, "Grid/precipitationCal", -9999.9)
    )
    field = product("GPM_3IMERGHH", "03").read(path).fields["precipitation"]
    with h5py.File(path) as file:
        original = file["Grid/precipitationCal"][...]
        lat = file["Grid/lat"][...]
    assert field.shape == (1800, 3600)
    np.testing.assert_array_equal(np.isfinite(field), (original != np.float32(-9999.9)).T)
    # Turned the wrong way round, the rows without a value would not be those poleward of 60.
    np.testing.assert_array_equal(np.isfinite(field).any(axis=1), np.abs(lat) < 60)


def test_half_an_orbit_is_put_onto_its_grid(real_data):
    path = real_data / "granules" / "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5"
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("SPL2SMP_NRT", "105")
    assert summary["day"] == "2019-08-22"
    group = "Soil_Moisture_Retrieval_Data/"
    for name in ("soil_moisture", "vegetation_water_content", "surface_temperature"):
        check(summary["variables"][name], stored(path, group + name, -9999))
    reading = product("SPL2SMP_NRT", "107").read(path)
    assert reading.time == datetime(2019, 8, 22, 22, 48, 58, tzinfo=UTC)
    soil_moisture = reading.fields["soil_moisture"]
    assert soil_moisture.shape == (406, 964)
    with h5py.File(path) as file:
        lat, lon, value, flag = (
            file[group + name][...]
            for name in ("latitude", "longitude", "soil_moisture", "retrieval_qual_flag")
        )
    # By its latitude and longitude each value is in the cell that it was put into.
    row, col = M36.rowcol(lat, lon)
    expected = np.full((406, 964), np.nan, np.float32)
    expected[row, col] = np.where(value == -9999, np.nan, value)
    np.testing.assert_array_equal(soil_moisture, expected)
    quality = reading.fields["retrieval_qual_flag"]
    np.testing.assert_array_equal(quality[row, col], flag)
    # Cells off the track were not seen.
    assert (quality == 65534).sum() == 406 * 964 - lat.size


AUP = "SMAP_L4_SM_aup_20200128T150000_Vv4030_north_america_subset.h5"


def test_a_subset_of_spl4smau_is_placed_by_its_axes(real_data):
    path = real_data / "granules" / AUP
    summary = inspect(path)
    assert (summary["product"], summary["version"]) == ("SPL4SMAU", "004")
    assert summary["day"] == "2020-01-28"
    names = {
        "soil_moisture_surface": "sm_surface_analysis",
        "soil_moisture_profile": "sm_profile_analysis",
        "surface_temperature": "surface_temp_analysis",
    }
    assert set(summary["variables"]) == set(names)
    for canonical, original in names.items():
        check(summary["variables"][canonical], stored(path, "Analysis_Data/" + original, -9999))
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


OUTCOMES = {
    "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5": "GPM_3IMERGHH",
    "EASE2_M09km_axes.mat": None,
    "EASE2_M36km.lats.964x406x1.double": None,
    "EASE2_M36km.lons.964x406x1.double": None,
    GLDAS: "GLDAS_NOAH025_3H",
    "GLDASp4_landmask_025d.nc4": "GLDASp4_landmask_025d",
    "M2T1NXSLV_temporal.nc4": None,
    **dict.fromkeys(NLDAS, "NLDAS_FORA0125_H"),
    "NLDAS_FORA0125_H.A20230101.0000.002.grb": None,
    "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5": "SPL2SMP_NRT",
    "SMAP_L3_SM_P_20150401_R13080_001.h5": "SPL3SMP",
    AUP: "SPL4SMAU",
    "SPL3SMP_E_006_conus_surface_flag_subset.nc4": None,
}


def test_every_real_file_is_read_or_refused_by_name(real_data):
    files = sorted((real_data / "granules").iterdir())
    assert {file.name for file in files} == set(OUTCOMES)
    for file in files:
        if OUTCOMES[file.name]:
            assert inspect(file)["product"] == OUTCOMES[file.name]
        else:
            with pytest.raises(GranuleError, match=file.name):
                inspect(file)


def test_a_product_that_msm_does_not_read_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["rain"] = np.zeros((2, 2))
    with pytest.raises(LayoutError, match="layout of no product that msm reads"):
        inspect(tmp_path / "other.h5")


def test_a_file_that_is_no_hdf5_is_refused(real_data):
    with pytest.raises(GranuleError, match="cannot be opened as NetCDF or HDF5"):
        inspect(real_data / "granules" / "EASE2_M36km.lats.964x406x1.double")


def test_a_renamed_granule_is_known_by_its_content(real_data, tmp_path):
    renamed = tmp_path / "whatever.nc"
    renamed.symlink_to(real_data / "granules" / NLDAS[0])
    assert identify(renamed).id == "NLDAS_FORA0125_H 002"


def test_a_granule_under_the_name_of_another_hour_is_refused(real_data, tmp_path):
    renamed = tmp_path / NLDAS[0].replace("20000101.0000", "20000101.0500")
    renamed.symlink_to(real_data / "granules" / NLDAS[0])
    with pytest.raises(GranuleError, match="not the time in its name"):
        inspect(renamed)


@pytest.mark.parametrize("known", PRODUCTS, ids=lambda p: p.id)
def test_products_are_found_by_their_names(known):
    assert product(known.layout.product, known.layout.version) is known
