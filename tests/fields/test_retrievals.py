from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from msm.fields.cell_fields import CellFields
from msm.fields.retrievals import UNITS, newest_of_day, newest_retrievals

NAN = np.float32(np.nan)


@st.composite
def stacks(draw):
    """Draw retrievals of some days and cells, some missing, and their quality."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    value = st.sampled_from([NAN, *np.float32([0.02, 0.1, 0.25, 0.5])])
    values = draw(arrays.arrays(np.float32, shape, elements=value))
    quality = draw(arrays.arrays(np.float32, shape, elements=st.sampled_from([0.0, 1.0])))
    return values, np.where(np.isnan(values), NAN, quality)


def newest(values, quality, lag_days, window_days, day, cell):
    """Search the available days one by one."""
    for age in range(lag_days, lag_days + window_days):
        if day - age >= 0 and np.isfinite(values[day - age, cell]):
            return values[day - age, cell], age, quality[day - age, cell]
    return NAN, NAN, NAN


@given(stack=stacks(), lag_days=st.integers(1, 11), window_days=st.integers(1, 11))
def test_every_day_has_its_newest_available_retrieval(stack, lag_days, window_days):
    values, quality = stack
    before = values.copy()
    found = newest_retrievals(values, lag_days, window_days, quality)
    assert list(found) == list(UNITS)
    for day, cell in np.ndindex(*values.shape):
        expected = newest(values, quality, lag_days, window_days, day, cell)
        np.testing.assert_array_equal([field[day, cell] for field in found.values()], expected)
    assert {(field.shape, field.dtype) for field in found.values()} == {
        (values.shape, np.dtype(np.float32))
    }
    np.testing.assert_array_equal(values, before)
    without = newest_retrievals(values, lag_days, window_days)
    assert list(without) == ["retrieval", "retrieval_age"]
    for name, field in without.items():
        np.testing.assert_array_equal(field, found[name])


@given(stack=stacks(), lag_days=st.integers(1, 4))
def test_one_day_equals_the_same_day_of_all(stack, lag_days):
    values, quality = stack
    window_days = len(values)
    later = np.full((lag_days, values.shape[1]), NAN)
    of_all = newest_retrievals(
        np.concatenate([values, later]), lag_days, window_days, np.concatenate([quality, later])
    )
    alone = newest_of_day(
        [stored(*of_day) for of_day in zip(values, quality, strict=True)][::-1], lag_days
    )
    for name, field in alone.items():
        np.testing.assert_array_equal(field, of_all[name][-1])


def stored(values, quality):
    unflagged = np.zeros(values.size, bool)
    fields = {"retrieval": values, "retrieval_quality": quality}
    return CellFields("", date(2016, 6, 1), fields, UNITS, unflagged, (), unflagged)
