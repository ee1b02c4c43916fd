"""The season that a soak goes through."""

from datetime import timedelta

import pytest

from benchmarks.operation.season import season
from benchmarks.operation.soak import FIRST
from msm.products.definitions import PRODUCTS


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
