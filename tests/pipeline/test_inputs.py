from datetime import UTC, date, datetime

import pytest

from msm.pipeline.inputs import due_day


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        # NLDAS-2 is due four days after its day has ended.
        (datetime(2026, 11, 23, 14, 30, tzinfo=UTC), date(2026, 11, 18)),
        (datetime(2024, 3, 5, 0, 0, tzinfo=UTC), date(2024, 2, 29)),
    ],
)
def test_the_day_that_is_due_follows_from_the_moment(moment, day):
    assert due_day(moment) == day
