from datetime import date

import numpy as np
import pytest

from msm.errors import MsmError
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields, fill_from_neighbours
from msm.grid.domain import load_domain

BOX = load_domain("box:38,39,-98.5,-97")


def made(day=date(2016, 4, 1), **fields):
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


def test_what_is_written_is_read(tmp_path):
    values = np.random.default_rng(0).normal(size=BOX.n_cell)
    values[3] = np.nan
    kept = made(air_temperature=values)
    cell_fields.write(tmp_path / "f.nc", kept)
    again = cell_fields.read(tmp_path / "f.nc", BOX)
    np.testing.assert_array_equal(again.fields["air_temperature"], np.float32(values))
    np.testing.assert_array_equal(again.lower_tier, kept.lower_tier)
    for name in ("sha256", "day", "units", "origins", "awaited"):
        assert getattr(again, name) == getattr(kept, name)
    assert [p.name for p in tmp_path.iterdir()] == ["f.nc"]


def test_statics_have_no_day(tmp_path):
    cell_fields.write(tmp_path / "s.nc", made(day=None, sand=np.zeros(BOX.n_cell)))
    assert cell_fields.read(tmp_path / "s.nc", BOX).day is None


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "f.nc"
    cell_fields.write(path, made(air_temperature=np.random.default_rng(0).normal(size=BOX.n_cell)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MsmError, match="is damaged: remove it, and it is made anew"):
        cell_fields.read(path, BOX)


def test_a_changed_value_is_found_by_the_hash(tmp_path):
    import netCDF4

    path = tmp_path / "f.nc"
    cell_fields.write(path, made(air_temperature=np.ones(BOX.n_cell)))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["air_temperature"][0] = 2
    with pytest.raises(MsmError, match="does not hold what was written"):
        cell_fields.read(path, BOX)


def test_fields_of_other_cells_are_refused(tmp_path):
    cell_fields.write(tmp_path / "f.nc", made(air_temperature=np.ones(BOX.n_cell)))
    with pytest.raises(MsmError, match="is of another mask"):
        cell_fields.read(tmp_path / "f.nc", load_domain("box:40,41,-98,-97"))


def test_the_hash_is_of_the_values():
    one = np.ones(BOX.n_cell)
    assert made(a=one).sha256 == made(a=one).sha256
    assert made(a=one).sha256 != made(b=one).sha256
    assert made(a=one).sha256 != made(a=2 * one).sha256


def test_a_field_that_no_source_gives_is_told():
    with pytest.raises(MsmError, match="asks for wind_speed, which no source at hand gives"):
        made(a=np.ones(BOX.n_cell)).columns(["a", "wind_speed"])


def test_a_field_that_may_be_absent_is_nan():
    fields = made(a=np.ones(BOX.n_cell))
    columns = fields.columns(["wind_speed", "a"], {"wind_speed", "longwave_down"})
    assert (columns.shape, columns.dtype) == ((BOX.n_cell, 2), np.float32)
    assert np.isnan(columns[:, 0]).all()
    assert (columns[:, 1] == 1).all()


def test_an_empty_cell_takes_all_its_values_from_one_neighbour():
    number = np.arange(BOX.n_cell, dtype=np.float32)
    holed = number.copy()
    holed[40] = np.nan
    fields, filled = fill_from_neighbours(BOX, {"a": holed, "b": 10 * number})
    assert list(np.flatnonzero(filled)) == [40]
    assert fields["b"][40] == 10 * fields["a"][40] != 400
    taken = int(fields["a"][40])
    assert abs(BOX.row[taken] - BOX.row[40]) + abs(BOX.col[taken] - BOX.col[40]) == 1


def test_nothing_is_taken_from_farther_than_the_reach():
    values = np.where(BOX.col == BOX.col.min(), 1.0, np.nan).astype(np.float32)
    fields, filled = fill_from_neighbours(BOX, {"a": values})
    away = BOX.col - BOX.col.min()
    np.testing.assert_array_equal(np.isfinite(fields["a"]), away <= cell_fields.FILL_REACH)
    np.testing.assert_array_equal(filled, (away > 0) & (away <= cell_fields.FILL_REACH))
    nowhere = {"a": np.full(BOX.n_cell, np.nan, np.float32)}
    assert not fill_from_neighbours(BOX, nowhere)[1].any()
