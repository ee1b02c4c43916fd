"""Withheld stations predicted from their own inputs and from those of the product."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.skill.serving import FIRST, LAST, SCORED, compared, predicted
from msm.training.evaluation.crossval import fit_parts
from msm.training.fitting.predict_stations import predict_stations
from msm.training.metrics import within
from msm.training.split import Split
from tests.training.buckets import GROUND_ONLY, data, recipe, weather

SHIFT = np.datetime64("2015-04-01") - np.datetime64("2014-01-01")


@pytest.fixture(scope="module")
def stations():
    """Synthetic stations on the days of the product, with a measurement on every day."""
    found = data()
    forcing, sand, water = weather(found.ground.n_cell, found.ground.days.size, 0, seen=1.0)
    ground = replace(
        found.ground,
        days=found.ground.days + SHIFT,
        forcing=forcing,
        statics={"measured_sand": sand},
        target=water,
    )
    return replace(found, ground=ground)


@pytest.fixture(scope="module")
def fitted(stations, tmp_path_factory):
    asked = recipe(
        **GROUND_ONLY | {"optional": ["measured_sand"]},
        statics=["measured_sand"],
        steps=40,
        ground={"first": FIRST, "last": stations.ground.days[-1].item()},
    )
    return fit_parts(asked, stations, Split.folds, tmp_path_factory.mktemp("fits"), 1)


def test_each_station_is_predicted_by_a_network_trained_without_it(stations, fitted):
    some = stations.ground.at(np.array([7, 2, 20]))
    found = predicted(fitted, stations, some)
    assert found.names == tuple(some.names)
    for part, checkpoint in fitted:
        here = np.isin(some.names, stations.ground.names[part.held_out])
        assert not set(some.names[here]) & set(checkpoint.card.training.stations)
        if here.any():
            expected = predict_stations(checkpoint, some.at(here)).soil_moisture
            days = np.isin(some.days, found.days)
            np.testing.assert_array_equal(found.soil_moisture[here], expected[:, days])


def test_ways_are_scored_on_the_same_days(stations, fitted):
    """The precipitation of the product is a week late: the only difference of the third way."""
    late = dict(stations.ground.forcing)
    late["precipitation"] = np.roll(late["precipitation"], 7, axis=1)
    some = np.array([n for n in range(stations.ground.n_cell) if n != 4])
    served = replace(stations.ground, forcing=late).at(some)
    result = compared({"one": fitted, "twin": fitted}, stations, served)
    assert result["n_sites"] == served.n_cell
    assert result["site_days"] == served.n_cell * within(served.days, SCORED, LAST).sum()
    figures = [each["median"] for each in result["scores"].values()]
    measured, without, product = figures[:3]
    assert measured["R"] != without["R"]
    assert product["R"] < without["R"] - 0.1
    assert figures[3:] == figures[:3]


def test_ways_and_recipes_are_paired(stations, fitted):
    result = compared({"one": fitted, "twin": fitted}, stations, stations.ground)
    pairs = [(pair["first"], pair["second"]) for pair in result["differences"]]
    assert pairs[0] == (
        "one: own gauge, the product's statics",
        "one: own gauge, soil measured on the spot",
    )
    assert pairs[-1] == (
        "one: replayed NLDAS-2, the product's statics",
        "twin: replayed NLDAS-2, the product's statics",
    )
    assert len(pairs) == 5
    assert result["differences"][0]["figures"]["R"]["median"] != 0
    assert result["differences"][-1]["figures"]["R"]["median"] == 0
