from datetime import date

import numpy as np
import pytest

from msm.training.data.samples import SamplesError
from tests.training.buckets import FIRST, cells, stations


def test_days_and_places_are_selected():
    whole = cells()
    part = whole.between(date(2014, 2, 1), date(2014, 2, 28)).at(np.array([3, 1]))
    assert part.n_cell == 2
    assert (part.days[0], part.days.size) == (FIRST + 31, 28)
    np.testing.assert_array_equal(part.lat, whole.lat[[3, 1]])
    np.testing.assert_array_equal(part.target, whole.target[[3, 1], 31:59])
    np.testing.assert_array_equal(part.statics["sand"], whole.statics["sand"][[3, 1]])
    for name, values in whole.forcing.items():
        np.testing.assert_array_equal(part.forcing[name], values[[3, 1], 31:59])


def test_attributes_of_stations_are_selected_too():
    whole = stations()
    part = whole.at(whole.state == "GA").between(date(2014, 1, 2), date(2014, 1, 3))
    assert part.names.tolist() == whole.names[2::3].tolist()
    assert part.observed.shape == part.target.shape == (10, 2)
    assert part.elevation.size == part.wban.size == 10


def test_days_outside_the_record_are_refused():
    with pytest.raises(SamplesError, match=r"contains 2014-01-01\.\..*, not all of 2013-12-31\.\."):
        cells().between(date(2013, 12, 31), date(2014, 1, 1))
