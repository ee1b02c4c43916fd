from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.skill.peers import HYDRODL, cell_baselines, station_baseline
from msm.training.data.datasets import Data, read_data
from msm.training.data.samples import SamplesError
from msm.training.evaluation.crossval import score
from msm.training.split import Split


@pytest.fixture(scope="module")
def data(real_data: Path) -> Data:
    return read_data(real_data)


def test_station_is_predicted_from_the_other_folds_only(data: Data):
    few = replace(data, ground=data.ground.at(np.arange(0, 94, 6)))
    before = station_baseline("climatology", few, Split.folds)
    assert before.truth.shape == before.soil_moisture.shape == (16, 4018)
    assert np.isfinite(before.soil_moisture).all()
    assert np.isnan(before.uncertainty).all()

    held_out = np.array(before.part) == "fold 1"
    target = few.ground.target.copy()
    target[held_out] += 0.1
    changed = replace(few, ground=replace(few.ground, target=target))
    after = station_baseline("climatology", changed, Split.folds)
    np.testing.assert_array_equal(after.soil_moisture[held_out], before.soil_moisture[held_out])
    assert (after.soil_moisture[~held_out] != before.soil_moisture[~held_out]).mean() > 0.9


def test_hydrodl_has_its_known_scores(real_data: Path, data: Data):
    found = cell_baselines(real_data, data)
    for task, r, rmse in (("single", 0.841, 0.0332), ("multi", 0.8556, 0.0307)):
        median = score(found[f"hydroDL, {task} task"], Split.satellite)["median"]
        assert median["R"] == pytest.approx(r, abs=5e-4)
        assert median["RMSE"] == pytest.approx(rmse, abs=5e-5)


def test_cell_baselines_use_no_later_retrieval(real_data: Path, data: Data):
    before = cell_baselines(real_data, data)
    day = np.datetime64("2016-08-15")
    known = data.satellite.days < day
    later = np.where(known, data.satellite.target, np.float32(0.5))
    changed = replace(data, satellite=replace(data.satellite, target=later))
    after = cell_baselines(real_data, changed)
    for name, age in ((f"persistence, {age} d or older", age) for age in (1, 2, 3)):
        until = before[name].days < day + age
        one, other = (each[name].soil_moisture for each in (before, after))
        np.testing.assert_array_equal(one[:, until], other[:, until])
        assert (other[:, ~until] == 0.5).all()
    season = "climatology of the training year"
    np.testing.assert_array_equal(before[season].soil_moisture, after[season].soil_moisture)


def test_error_names_missing_predictions(data: Data, tmp_path: Path):
    with pytest.raises(SamplesError, match=HYDRODL):
        cell_baselines(tmp_path, data)
