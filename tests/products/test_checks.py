"""A variable whose attributes or storage differ from its layout is refused."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from msm.products.definitions import GPM_3IMERGDF_07 as IMERG
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.product import GranuleError, LayoutError
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import NORTH_AMERICA

TIME = datetime(2016, 4, 1, tzinfo=UTC)
WINDOW = slice(10, 20), slice(30, 45)


@pytest.fixture
def granule(tmp_path):
    path = tmp_path / NLDAS.layout.file_name.format(time=TIME)
    field = np.full((224, 464), 280.0)
    field[12, 34] = np.nan
    write_granule(path, NLDAS.layout, TIME, {"air_temperature": field}, NORTH_AMERICA)
    return path


def read(path):
    return NLDAS.read(path, ["air_temperature"], WINDOW).fields["air_temperature"]


@pytest.mark.parametrize(
    ("name", "value", "difference"),
    [
        ("_FillValue", -999.0, "states _FillValue -999, where .* has -9999"),
        ("missing_value", "none", "states missing_value nan, where .* has -9999"),
        ("scale_factor", 0.01, "states scale_factor 0.01, where .* has 1"),
        ("add_offset", [0.0, 0.0], "states add_offset nan, where .* has 0"),
    ],
)
def test_attribute_that_differs_from_the_layout_is_refused(granule, name, value, difference):
    with h5py.File(granule, "a") as file:
        file["Tair"].attrs[name] = value
    with pytest.raises(LayoutError, match=f"Tair {difference}: its layout file"):
        read(granule)


def test_equal_attribute_of_another_type_is_accepted(granule):
    expected = read(granule)
    with h5py.File(granule, "a") as file:
        equal = {"_FillValue": [-9999], "missing_value": -9999.0, "scale_factor": 1}
        file["Tair"].attrs.update(equal)
    np.testing.assert_array_equal(read(granule), expected)


def test_fill_in_double_precision_is_recognised(tmp_path):
    """-9999.9 in single precision, widened, differs from -9999.9 in double precision."""
    path = tmp_path / IMERG.layout.file_name.format(time=TIME, release="V07B")
    write_granule(path, IMERG.layout, TIME, {}, NORTH_AMERICA)
    with h5py.File(path, "a") as file:
        del file["precipitation"]
        fill = np.float64(np.float32(-9999.9))
        file.create_dataset(
            "precipitation", (1, 3600, 1800), "f8", chunks=(1, 9, 9), fillvalue=fill
        )
    assert np.isnan(IMERG.read(path, window=WINDOW).fields["precipitation"]).all()


@pytest.mark.parametrize(
    ("storage", "error", "message"),
    [
        ({"dtype": "f2"}, LayoutError, "Tair is stored as float16, where NLDAS_FORA0125_H"),
        ({"external": "other.bin"}, GranuleError, "the values of Tair are in another file"),
        (
            {"chunks": (1, 2**14, 2**14), "maxshape": (None, None, None)},
            GranuleError,
            "Tair has chunks of 1073741824 bytes",
        ),
    ],
    ids=["half precision", "external", "large chunks"],
)
def test_storage_that_differs_from_the_layout_is_refused(
    granule, storage, error, message, monkeypatch
):
    monkeypatch.chdir(granule.parent)
    (granule.parent / "other.bin").write_bytes(bytes(4 * 224 * 464))
    with h5py.File(granule, "a") as file:
        shape = file["Tair"].shape
        del file["Tair"]
        file.create_dataset("Tair", **{"shape": shape, "dtype": "f4"} | storage)
    with pytest.raises(error, match=message):
        read(granule)
