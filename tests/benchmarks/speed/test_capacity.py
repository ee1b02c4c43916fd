from dataclasses import replace

import pytest

from benchmarks.speed.capacity import Costs, Link, capacity, kept, most_workers
from msm.settings import Settings

COSTS = Costs(forcing=1.0, run=4.0, serial=0.25, step=2.0, files=24, size=48e6)


def test_workers_share_all_but_the_serial_part():
    hours = {n: capacity(COSTS, 3600, n).hours for n in (1, 2, 4, 1000)}
    assert hours == pytest.approx({1: 5.0, 2: 3.0, 4: 2.0, 1000: 1.004})


def test_doubling_the_most_workers_leaves_80_percent_of_the_time():
    most = most_workers(COSTS)
    once, twice = (1.0 + 4.0 / n for n in (most, 2 * most))
    assert twice / once == pytest.approx(0.8)
    assert most_workers(replace(COSTS, serial=0.0)) == float("inf")


def test_the_slower_resource_is_the_limit():
    slow = Link(megabits=64, connections=8, seconds_a_file=1.0)
    assert capacity(COSTS, 3600, 1, slow).bound == "fetch"
    assert capacity(COSTS, 3600, 1, slow).hours == pytest.approx(6.0)
    waiting = replace(slow, megabits=1e6)
    assert waiting.seconds(COSTS.files, COSTS.size) == pytest.approx(3.0)
    assert capacity(COSTS, 3600, 1, waiting).bound == "workers"


def test_retention_follows_the_settings():
    sizes = dict.fromkeys(("forcing", "snapshot", "record", "prediction", "map"), 1.0)
    settings = Settings(state_days=14, anchor_days=32, granule_days=30)
    assert kept(sizes, 2.0, 365, settings) == {
        "granules": 62.0,
        "forcing": 365.0,
        "snapshot": 15.0 + 10.0,
        "record": 365.0,
        "prediction": 15.0,
        "map": 365.0,
    }
    few = settings.model_copy(update={"forcing_days": 60})
    assert kept(sizes, 2.0, 365, few)["forcing"] == 61.0
    assert kept(sizes, 2.0, 3, settings)["granules"] == 6.0
