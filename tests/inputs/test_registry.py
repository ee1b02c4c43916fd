"""Every real file of these products, beside an independent reading by h5py."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.inputs.product import GranuleError, LayoutError
from msm.inputs.registry import PRODUCTS, identify, inspect, product

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


@pytest.mark.parametrize(
    "name",
    ["GLDASp4_landmask_025d.nc4", "SMAP_L2_SM_P_NRT_24342_A_20190822T224858_N16023_002.h5"],
)
def test_a_product_that_msm_does_not_read_is_refused(real_data, name):
    with pytest.raises(LayoutError, match="layout of no product that msm reads"):
        inspect(real_data / "granules" / name)


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
