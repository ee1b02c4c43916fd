from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from msm.training.data.local import BLOCK_DAYS, local_retrieval
from msm.training.data.samples import Samples
from tests.training.buckets import cells

FIRST, LAST = date(2014, 1, 1), date(2014, 12, 31)
YEAR = 365


@pytest.fixture(scope="module")
def buckets() -> Samples:
    return cells()


def _with(samples: Samples, cell: int, days: slice, value: float) -> Samples:
    target = samples.target.copy()
    target[cell, days] = value
    return replace(samples, target=target)


def test_a_cell_is_known_by_its_own_weather(buckets: Samples):
    """Unseen days are as well predicted as those of the year that is learned from."""
    said = local_retrieval(buckets, FIRST, LAST)
    error = said - buckets.target
    spread = np.nanstd(buckets.target - np.nanmean(buckets.target, axis=1, keepdims=True))
    learned, unseen = (np.sqrt(np.nanmean(error[:, days] ** 2)) for days in _spans())
    assert learned < 0.6 * spread
    assert unseen == pytest.approx(learned, rel=0.3)


def _spans() -> tuple[slice, slice]:
    return slice(0, YEAR), slice(YEAR, None)


def test_no_day_is_told_its_own_retrieval(buckets: Samples):
    before = local_retrieval(buckets, FIRST, LAST)
    block = slice(BLOCK_DAYS, 2 * BLOCK_DAYS)
    after = local_retrieval(_with(buckets, 3, block, 0.4), FIRST, LAST)
    np.testing.assert_array_equal(after[3, block], before[3, block])
    assert np.abs(after[3] - before[3]).max() > 0.01
    others = np.arange(buckets.n_cell) != 3
    np.testing.assert_array_equal(after[others], before[others])


def test_days_outside_teach_nothing(buckets: Samples):
    before = local_retrieval(buckets, FIRST, LAST)
    after = local_retrieval(_with(buckets, 3, slice(YEAR, None), 0.4), FIRST, LAST)
    np.testing.assert_array_equal(after, before)


def test_a_cell_with_few_retrievals_has_their_mean_and_one_with_none_nothing(buckets: Samples):
    few = _with(buckets, 3, slice(0, YEAR), np.nan)
    few.target[3, :5] = 0.31
    said = local_retrieval(_with(few, 4, slice(0, YEAR), np.nan), FIRST, LAST)
    np.testing.assert_allclose(said[3, BLOCK_DAYS:], 0.31, rtol=1e-6)
    assert np.isnan(said[4]).all()
    assert np.isfinite(said[5]).all()
