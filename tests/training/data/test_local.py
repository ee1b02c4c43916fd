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


def test_unseen_days_are_predicted_as_well_as_training_days(buckets: Samples):
    """Unseen days are as well predicted as those of the year that is training from."""
    predicted = local_retrieval(buckets, FIRST, LAST)
    error = predicted - buckets.target
    spread = np.nanstd(buckets.target - np.nanmean(buckets.target, axis=1, keepdims=True))
    training, unseen = (np.sqrt(np.nanmean(error[:, days] ** 2)) for days in _spans())
    assert training < 0.6 * spread
    assert unseen == pytest.approx(training, rel=0.3)


def _spans() -> tuple[slice, slice]:
    return slice(0, YEAR), slice(YEAR, None)


def test_a_block_is_predicted_without_its_own_retrievals(buckets: Samples):
    before = local_retrieval(buckets, FIRST, LAST)
    block = slice(BLOCK_DAYS, 2 * BLOCK_DAYS)
    after = local_retrieval(_with(buckets, 3, block, 0.4), FIRST, LAST)
    np.testing.assert_array_equal(after[3, block], before[3, block])
    assert np.abs(after[3] - before[3]).max() > 0.01
    others = np.arange(buckets.n_cell) != 3
    np.testing.assert_array_equal(after[others], before[others])


def test_days_outside_the_training_period_are_not_used(buckets: Samples):
    before = local_retrieval(buckets, FIRST, LAST)
    after = local_retrieval(_with(buckets, 3, slice(YEAR, None), 0.4), FIRST, LAST)
    np.testing.assert_array_equal(after, before)


def test_few_retrievals_give_their_mean_and_none_gives_nan(buckets: Samples):
    few = _with(buckets, 3, slice(0, YEAR), np.nan)
    few.target[3, :5] = 0.31
    predicted = local_retrieval(_with(few, 4, slice(0, YEAR), np.nan), FIRST, LAST)
    np.testing.assert_allclose(predicted[3, BLOCK_DAYS:], 0.31, rtol=1e-6)
    assert np.isnan(predicted[4]).all()
    assert np.isfinite(predicted[5]).all()
