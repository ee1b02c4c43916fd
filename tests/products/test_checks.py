"""What a variable says of its numbers has to be what its layout says."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.products.product import GranuleError, LayoutError
from msm.products.registry import product
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import NORTH_AMERICA

NLDAS = product("NLDAS_FORA0125_H", "2.0")
STAMP = datetime(2016, 4, 1, tzinfo=UTC)
WINDOW = slice(10, 20), slice(30, 45)


@pytest.fixture
def granule(tmp_path):
    path = tmp_path / NLDAS.layout.file_name.format(time=STAMP)
    field = np.full((224, 464), 280.0)
    field[12, 34] = np.nan
    write_granule(path, NLDAS.layout, STAMP, {"air_temperature": field}, NORTH_AMERICA)
    return path


def read(path):
    return NLDAS.read(path, ["air_temperature"], WINDOW).fields["air_temperature"]


def replaced(path, **created):
    with h5py.File(path, "a") as file:
        values = file["Tair"][...]
        del file["Tair"]
        file.create_dataset("Tair", **{"shape": values.shape, "dtype": "f4"} | created)
        return values


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("_FillValue", -999.0, "states _FillValue -999, where .* has -9999"),
        ("missing_value", "none", "states missing_value nan, where .* has -9999"),
        ("scale_factor", 0.01, "states scale_factor 0.01, where .* has 1"),
        ("add_offset", [0.0, 0.0], "states add_offset nan, where .* has 0"),
    ],
)
def test_other_numbers_than_the_layout_states_are_refused(granule, name, value, told):
    with h5py.File(granule, "a") as file:
        file["Tair"].attrs[name] = value
    with pytest.raises(LayoutError, match=f"Tair {told}: its layout file"):
        read(granule)


def test_the_same_said_in_another_type_is_the_same(granule):
    right = read(granule)
    with h5py.File(granule, "a") as file:
        said = {"_FillValue": [-9999], "missing_value": -9999.0, "scale_factor": 1}
        file["Tair"].attrs.update(said)
    np.testing.assert_array_equal(read(granule), right)


def test_a_fill_is_the_same_in_double_precision(tmp_path):
    """-9999.9, made in single precision and widened, is not -9999.9."""
    rain = product("GPM_3IMERGDF", "07")
    name = rain.layout.file_name.format(time=STAMP, release="V07B")
    write_granule(tmp_path / name, rain.layout, STAMP, {}, NORTH_AMERICA)
    with h5py.File(tmp_path / name, "a") as file:
        del file["precipitation"]
        fill = np.float64(np.float32(-9999.9))
        file.create_dataset(
            "precipitation", (1, 3600, 1800), "f8", chunks=(1, 9, 9), fillvalue=fill
        )
    assert np.isnan(rain.read(tmp_path / name, window=WINDOW).fields["precipitation"]).all()


def test_half_precision_is_refused(granule):
    replaced(granule, dtype="f2")
    with pytest.raises(LayoutError, match="Tair is stored as float16, where NLDAS_FORA0125_H"):
        read(granule)


def test_values_in_another_file_are_refused(granule, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(4 * 224 * 464))
    replaced(granule, external=str(other))
    with pytest.raises(GranuleError, match="the values of Tair lie in another file"):
        read(granule)


def test_a_chunk_that_fills_the_memory_is_refused(granule):
    replaced(granule, chunks=(1, 2**14, 2**14), maxshape=(None, None, None))
    with pytest.raises(GranuleError, match="Tair comes in chunks of 1073741824 bytes"):
        read(granule)


def test_a_file_that_states_another_product_is_refused(tmp_path):
    smap = product("SPL3SMP", "009")
    path = tmp_path / smap.layout.file_name.format(time=STAMP, release="R19240", counter="001")
    write_granule(path, smap.layout, STAMP, {}, NORTH_AMERICA)
    with h5py.File(path, "a") as file:
        file["Metadata/DatasetIdentification"].attrs["shortName"] = "SPL3FTP"
    with pytest.raises(LayoutError, match="states that it is SPL3FTP, not SPL3SMP 009"):
        smap.read(path)
