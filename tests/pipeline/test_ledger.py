"""Stale, outdated and final are functions of the facts of a day alone."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from msm.fields.cell_fields import Label
from msm.lineage import InputGranule
from msm.model.chain import DayRecord
from msm.pipeline.ledger import DayFacts, final_from, may_change, outdated, stale

DAY = date(2016, 6, 2)
GRANULE = InputGranule(
    product="NLDAS_FORA0125_H",
    version="2.0",
    granule="NLDAS_FORA0125_H.A20160602.0000.020.nc",
    size=1,
    checksum="sha256:0",
    role="forcing",
)
INPUTS = Label("forcing", (GRANULE,), ())


def record(day=DAY, **changes):
    known = {
        "chain_id": "chain",
        "day": day,
        "content_hash": f"state {day}",
        "hash_before": f"state {day - timedelta(days=1)}",
        "forcing_fingerprint": "forcing",
        "spin_up_age": 9,
        "prediction_sha256": "prediction",
    }
    return DayRecord(**known | changes)


def facts(day=DAY, **changes):
    known = {
        "day": day,
        "record": record(day),
        "has_prediction": True,
        "inputs": INPUTS,
        "published": SimpleNamespace(fingerprint="map"),
        "problem": None,
    }
    return DayFacts(**known | changes)


BEFORE = facts(DAY - timedelta(days=1))


@pytest.mark.parametrize(
    ("changes", "before", "why"),
    [
        ({}, BEFORE, None),
        ({"record": None}, BEFORE, None),
        ({"problem": "it is damaged"}, BEFORE, "it is damaged"),
        ({"inputs": Label("other", (), ())}, BEFORE, "its forcing has changed"),
        # Of inputs that were pruned nothing new can be known.
        ({"inputs": None}, BEFORE, None),
        (
            {"record": record(hash_before="another state")},
            BEFORE,
            "2016-06-01 has another state by now",
        ),
        ({}, facts(BEFORE.day, record=None), "the record of 2016-06-01 is missing"),
        ({}, facts(BEFORE.day, record=None, problem="it is damaged"), "it is damaged"),
        # The first day of a chain starts from zeros, whatever lies before it.
        ({"record": record(spin_up_age=1)}, facts(BEFORE.day, record=None), None),
    ],
)
def test_a_day_is_stale_where_it_does_not_follow_from_its_inputs(changes, before, why):
    assert stale(facts(**changes), before) == why


@pytest.mark.parametrize(
    ("changes", "fingerprint", "expected"),
    [
        ({}, "map", False),
        ({}, "another map", True),
        ({}, None, False),
        ({"published": None}, "map", True),
        ({"published": None}, None, True),
        ({"published": None, "record": None}, "map", False),
        ({"published": None, "record": record(prediction_sha256=None)}, "map", False),
    ],
)
def test_a_day_is_outdated_where_its_map_is_not_the_one_of_the_chain(
    changes, fingerprint, expected
):
    assert outdated(facts(**changes), fingerprint) is expected


def test_a_day_is_run_where_its_prediction_is_stored():
    assert facts().is_run
    assert not facts(has_prediction=False).is_run
    assert not facts(record=None).is_run


def test_a_map_is_final_when_no_provider_revises_its_inputs_any_more():
    final = final_from(DAY, INPUTS, knows_retrievals=False)
    assert datetime(2016, 6, 3, tzinfo=UTC) < final < datetime(2016, 9, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert may_change(DAY, INPUTS, final - second, knows_retrievals=False)
    assert not may_change(DAY, INPUTS, final, knows_retrievals=False)


def test_a_map_is_not_final_while_a_better_source_is_awaited():
    awaiting = Label("forcing", (GRANULE,), ("NLDAS_FORA0125_H 2.0",))
    assert final_from(DAY, awaiting, knows_retrievals=False) is None
    assert may_change(DAY, awaiting, datetime(2099, 1, 1, tzinfo=UTC), knows_retrievals=False)
