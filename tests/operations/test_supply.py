"""A version that has ended is told from one that is late."""

from datetime import UTC, date, datetime, timedelta

from msm.operations.supply import discontinued
from msm.products.registry import product
from msm.sources.granule import Granule

NLDAS = product("NLDAS_FORA0125_H", "2.0")
FIRST = date(2016, 6, 1)
ENDS = datetime(2016, 6, 1, tzinfo=UTC) + timedelta(days=1 + NLDAS.layout.latency.retry_days)
"""When waiting for the first day ends."""


def offered(*hours):
    """Granules of hours."""
    return [Granule("NLDAS_FORA0125_H", "2.0", f"{hour:%Y%m%d%H}.nc", hour) for hour in hours]


def test_silence_is_latency_as_long_as_a_day_is_waited_for():
    assert discontinued(NLDAS, [], FIRST, ENDS) is None
    late = discontinued(NLDAS, [], FIRST, ENDS + timedelta(hours=1))
    assert late == "nothing has come since 2016-06-01"


def test_the_newest_granule_counts_and_not_a_hole_before_it():
    found = offered(datetime(2016, 6, 1, tzinfo=UTC), datetime(2016, 6, 5, 23, tzinfo=UTC))
    assert discontinued(NLDAS, found, FIRST, ENDS + timedelta(days=5)) is None
    assert discontinued(NLDAS, found, FIRST, ENDS + timedelta(days=5, hours=1)) == (
        "nothing has come after 2016-06-05"
    )
