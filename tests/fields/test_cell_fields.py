from datetime import date

import netCDF4
import numpy as np
import pytest

from msm.errors import MsmError
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.grid.domain import load_domain

BOX = load_domain("box:38,39,-98.5,-97")
ONES = np.ones(BOX.n_cell)


def cells(day=date(2016, 4, 1), **fields):
    return CellFields(
        mask_sha256=BOX.mask_sha256,
        day=day,
        fields={name: np.asarray(values, np.float32) for name, values in fields.items()},
        units=dict.fromkeys(fields, "K"),
        filled=np.zeros(BOX.n_cell, bool),
        inputs=(),
        lower_tier=np.arange(BOX.n_cell) % 3 == 0,
        origins=dict.fromkeys(fields, "NLDAS_FORA0125_H 2.0"),
        awaited=("SPL4SMGP 008", "GPM_3IMERGDL 07"),
    )


@pytest.fixture
def path(tmp_path):
    """A stored file with one field of ones."""
    cell_fields.write(tmp_path / "f.nc", cells(air_temperature=ONES))
    return tmp_path / "f.nc"


@pytest.mark.parametrize("day", [date(2016, 4, 1), None])
def test_stored_fields_are_read_back(tmp_path, day):
    values = np.random.default_rng(0).normal(size=BOX.n_cell)
    values[3] = np.nan
    stored = cells(day, air_temperature=values)
    cell_fields.write(tmp_path / "f.nc", stored)
    again = cell_fields.read(tmp_path / "f.nc", BOX)
    np.testing.assert_array_equal(again.fields["air_temperature"], np.float32(values))
    np.testing.assert_array_equal(again.lower_tier, stored.lower_tier)
    for name in ("sha256", "day", "units", "origins", "awaited"):
        assert getattr(again, name) == getattr(stored, name)
    assert [p.name for p in tmp_path.iterdir()] == ["f.nc"]


def test_damaged_file_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(MsmError, match="is damaged: remove it; the next run creates it again"):
        cell_fields.read(path, BOX)


def test_changed_value_is_detected_by_the_hash(path):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["air_temperature"][0] = 2
    with pytest.raises(MsmError, match="has changed since it was written"):
        cell_fields.read(path, BOX)


def test_fields_of_other_cells_are_refused(path):
    with pytest.raises(MsmError, match="has another mask"):
        cell_fields.read(path, load_domain("box:40,41,-98,-97"))


def test_hash_depends_on_names_and_values():
    assert cells(a=ONES).sha256 == cells(a=ONES).sha256
    assert cells(a=ONES).sha256 != cells(b=ONES).sha256
    assert cells(a=ONES).sha256 != cells(a=2 * ONES).sha256


def test_absent_field_is_refused_or_nan():
    fields = cells(a=ONES)
    with pytest.raises(MsmError, match="needs wind_speed, which no available source has"):
        fields.columns(["a", "wind_speed"])
    columns = fields.columns(["wind_speed", "a"], {"wind_speed", "longwave_down"})
    assert (columns.shape, columns.dtype) == ((BOX.n_cell, 2), np.float32)
    assert np.isnan(columns[:, 0]).all()
    assert (columns[:, 1] == 1).all()
