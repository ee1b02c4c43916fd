from dataclasses import replace

import numpy as np
import pytest

from msm.training.data.datasets import (
    Data,
    add_map_statics,
    add_retrieval_statistics,
    select_inputs,
)
from msm.training.data.samples import SamplesError
from tests.training.buckets import cells, stations


def test_stations_get_the_map_statics_of_the_nearest_cell_with_a_value():
    ground, satellite = stations(n=2), cells(n=3)
    satellite.lat[:], satellite.lon[:] = (30.0, 30.1, 45.0), (-120.0, -117.1, -80.0)
    bare = replace(satellite, statics={"sand": np.array([np.nan, 0.3, 0.6], np.float32)})
    found = add_map_statics(
        replace(ground, statics={"measured_sand": ground.statics["sand"]}), bare
    )
    np.testing.assert_array_equal(found.statics["sand"], np.float32([0.3, 0.3]))
    np.testing.assert_array_equal(found.statics["measured_sand"], ground.statics["sand"])


def test_retrieval_statistics_are_of_the_training_year_only():
    days = np.datetime64("2015-03-31") + np.arange(400)
    satellite = replace(cells(n=2, n_day=400), days=days)
    in_year = (days >= np.datetime64("2015-04-01")) & (days <= np.datetime64("2016-03-31"))
    target = satellite.target.copy()
    target[1] = np.nan
    found = add_retrieval_statistics(replace(satellite, target=target)).statics
    expected = target[0, in_year]
    assert found["retrieval_mean"][0] == pytest.approx(np.nanmean(expected), rel=1e-5)
    assert found["retrieval_std"][0] == pytest.approx(np.nanstd(expected), rel=1e-4)
    assert np.isnan([found["retrieval_mean"][1], found["retrieval_std"][1]]).all()
    later = np.where(in_year, target, 0.0).astype(np.float32)
    again = add_retrieval_statistics(replace(satellite, target=later)).statics
    assert again["retrieval_mean"][0] == found["retrieval_mean"][0]


def test_only_optional_inputs_may_be_missing():
    samples = cells()
    found = select_inputs(samples, ["precipitation", "wind_speed"], ["sand"], {"wind_speed"}, None)
    assert list(found.forcing) == ["precipitation", "wind_speed"]
    assert np.isnan(found.forcing["wind_speed"]).all()
    with pytest.raises(SamplesError, match="The samples have no wind_speed"):
        select_inputs(samples, ["precipitation", "wind_speed"], ["sand"], set(), None)


def test_the_real_training_data(training_data: Data):
    data = training_data
    assert (data.ground.n_cell, data.satellite.n_cell) == (93, 412)
    assert len(data.sha256) == 64
    assert {"measured_sand", "sand", "retrieval_mean"} <= data.ground.statics.keys()
    assert np.isfinite(data.ground.statics["sand"]).all()
