from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msm.training.data.datasets import prepared, read_data, with_map, with_past
from msm.training.data.samples import SamplesError
from tests.training.buckets import cells, stations


def test_stations_are_given_the_map_of_the_nearest_cell_that_has_it():
    ground, satellite = stations(n=2), cells(n=3)
    satellite.lat[:], satellite.lon[:] = (30.0, 30.1, 45.0), (-120.0, -117.1, -80.0)
    bare = replace(satellite, statics={"sand": np.array([np.nan, 0.3, 0.6], np.float32)})
    found = with_map(replace(ground, statics={"measured_sand": ground.statics["sand"]}), bare)
    np.testing.assert_array_equal(found.statics["sand"], np.float32([0.3, 0.3]))
    np.testing.assert_array_equal(found.statics["measured_sand"], ground.statics["sand"])


def test_the_past_of_a_cell_is_the_training_year_alone():
    days = np.datetime64("2015-03-31") + np.arange(400)
    satellite = replace(cells(n=2, n_day=400), days=days)
    learned = (days >= np.datetime64("2015-04-01")) & (days <= np.datetime64("2016-03-31"))
    target = satellite.target.copy()
    target[1] = np.nan
    found = with_past(replace(satellite, target=target)).statics
    expected = target[0, learned]
    assert found["retrieval_mean"][0] == pytest.approx(np.nanmean(expected), rel=1e-5)
    assert found["retrieval_std"][0] == pytest.approx(np.nanstd(expected), rel=1e-4)
    assert np.isnan([found["retrieval_mean"][1], found["retrieval_std"][1]]).all()
    later = np.where(learned, target, 0.0).astype(np.float32)
    again = with_past(replace(satellite, target=later)).statics
    assert again["retrieval_mean"][0] == found["retrieval_mean"][0]


def test_what_is_missing_may_be_missing_where_that_is_said():
    samples = cells()
    found = prepared(samples, ["precipitation", "wind_speed"], ["sand"], {"wind_speed"}, None)
    assert list(found.forcing) == ["precipitation", "wind_speed"]
    assert np.isnan(found.forcing["wind_speed"]).all()
    with pytest.raises(SamplesError, match="the samples have no wind_speed"):
        prepared(samples, ["precipitation", "wind_speed"], ["sand"], set(), None)


def test_a_folder_of_real_data(real_data: Path):
    data = read_data(real_data)
    assert (data.ground.n_cell, data.satellite.n_cell) == (93, 412)
    assert len(data.sha256) == 64
    assert {"measured_sand", "sand", "retrieval_mean"} <= data.ground.statics.keys()
    assert np.isfinite(data.ground.statics["sand"]).all()
