"""The random events of a soak test."""

from datetime import timedelta

import pytest

from benchmarks.operation.season import season
from benchmarks.operation.soak import FIRST
from msm.products.definitions import PRODUCTS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_same_seed_gives_the_same_season(seed):
    events = season(seed, FIRST, 60)
    assert events == season(seed, FIRST, 60)
    assert events != season(seed + 1, FIRST, 60)
    assert [event.moment for event in events] == sorted(event.moment for event in events)


def test_two_months_have_every_kind_of_event():
    kinds = {event.kind for event in season(1, FIRST, 60)}
    assert kinds == {
        *("late", "lost", "revised", "touched", "late satellite", "server", "killed"),
    }


def test_late_granules_arrive_within_the_waiting_time():
    for event in season(4, FIRST, 60):
        if event.kind == "late":
            assert event.until - event.moment < timedelta(days=11)
        for name in event.names:
            assert any(product.layout.matches(name) for product in PRODUCTS), name
