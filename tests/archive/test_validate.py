import re
import shutil
from datetime import date

import netCDF4
import numpy as np
import pytest

from msm.archive import store
from msm.archive.validate import validate

DAY = date(2016, 4, 1)


@pytest.fixture(scope="module")
def published(tmp_path_factory, make_map):
    return store.publish(tmp_path_factory.mktemp("archive"), make_map(DAY)).path


@pytest.fixture
def copy(published, tmp_path):
    """Copy of the published file without its side-cars."""
    return shutil.copy(published, tmp_path / published.name)


def test_a_published_file_is_valid(published, copy):
    assert validate(published) == []
    assert validate(copy) == []


LAND, LAKE = "land", "lake"


def set_value(name, where, value):
    """Return a change of one value: at an index, or at the first cell on land or on water."""

    def change(dataset):
        dataset.set_auto_maskandscale(False)
        on_land = dataset["quality_flag"][...] != 255
        at = {LAND: on_land, LAKE: ~on_land}.get(where) if isinstance(where, str) else None
        dataset[name][where if at is None else tuple(np.argwhere(at)[0])] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (set_value("soil_moisture", LAND, 1.5), r"outside 0\.0 to 1\.0 m3 m-3"),
        (set_value("soil_moisture", LAND, float("nan")), r"soil_moisture has values outside"),
        (set_value("quality_flag", LAND, 128), "bits without a meaning"),
        (set_value("quality_flag", LAND, 255), "does not cover exactly the land cells"),
        (set_value("quality_flag", LAKE, 0), "does not cover exactly the land cells"),
        (set_value("soil_moisture", LAKE, 0.2), "values where there is no land"),
        (set_value("soil_moisture", ..., -9999.0), "holds no value at all"),
        (set_value("x", 3, 0.0), "x does not hold the coordinates"),
        (set_value("lat", (0, 0), 0.0), "lat does not hold the coordinates"),
        (set_value("time", 0, 0.5), "time does not hold the coordinates"),
        (lambda d: d.renameVariable("crs", "projection"), "Variable crs is missing"),
        (lambda d: d.delncattr("license"), "attribute license is missing"),
        (lambda d: d.delncattr("checkpoint_sha256"), "lineage .* is invalid"),
        (lambda d: d.setncattr("fingerprint", "?"), "lineage .* is invalid"),
        (lambda d: d.delncattr("product_revision"), "not a readable map"),
    ],
)  # fmt: skip
def test_each_problem_is_reported(copy, change, problem):
    with netCDF4.Dataset(copy, "a") as dataset:
        change(dataset)
    assert any(re.search(problem, sentence) for sentence in validate(copy))


def test_a_file_that_is_cut_or_has_another_name_is_invalid(copy):
    wrong = shutil.copy(copy, copy.with_name(copy.name.replace("20160401", "20160402")))
    assert any("holds what" in problem for problem in validate(wrong))
    copy.write_bytes(copy.read_bytes()[:40_000])
    assert validate(copy)


def test_a_missing_file_and_another_format_are_invalid(tmp_path):
    assert validate(tmp_path / "none.nc") == [f"There is no file {tmp_path / 'none.nc'}."]
    (tmp_path / "page.nc").write_text("<html>")
    assert len(validate(tmp_path / "page.nc")) == 1
