"""The season that a soak goes through."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.soak import FIRST, RUN_HOURS, moments, season
from msm.inputs.registry import PRODUCTS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_seed_gives_the_same_season(seed):
    events = season(seed, FIRST, 60)
    assert events == season(seed, FIRST, 60)
    assert events != season(seed + 1, FIRST, 60)
    assert [event.moment for event in events] == sorted(event.moment for event in events)


def test_everything_happens_in_two_months():
    kinds = {event.kind for event in season(1, FIRST, 60)}
    assert kinds == {
        *("late", "lost", "revised", "touched", "late satellite", "server", "killed"),
    }


def test_what_is_late_comes_while_it_is_waited_for():
    for event in season(4, FIRST, 60):
        if event.kind == "late":
            assert event.until - event.moment < timedelta(days=11)
        for name in event.names:
            assert any(product.layout.matches(name) for product in PRODUCTS), name


def test_the_flow_is_scheduled_at_the_hours_of_each_day():
    first = datetime(2016, 6, 6, 3, tzinfo=UTC)
    found = list(moments(first, first + timedelta(days=2)))
    assert found[0] == datetime(2016, 6, 6, RUN_HOURS[1], tzinfo=UTC)
    assert [moment.hour for moment in found] == [14, 2, 14, 2]
