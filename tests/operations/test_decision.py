"""What is done for a day follows from its facts, whichever run asks."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from msm.operations.decision import decide
from msm.pipeline.ledger import Ledger
from tests.pipeline.test_ledger import facts

DAYS = [date(2016, 6, day) for day in range(1, 5)]
NOW = datetime(2016, 6, 8, tzinfo=UTC)
CHAIN = SimpleNamespace(root=SimpleNamespace(chain_id="chain"))


@dataclass(frozen=True)
class KnownFacts(Ledger):
    """A ledger of given facts."""

    known: dict = field(default_factory=dict)
    knows_retrievals = False

    def facts(self, day):
        return self.known.get(day) or facts(day, record=None, inputs=None, published=None)

    def stale(self, days):
        return {day: "stale" for day in days if self.facts(day).problem}

    def fingerprint(self, facts):
        return "map"


def published(**changes):
    known = {"fingerprint": "map", "chain_id": "chain", "status": "final"}
    return SimpleNamespace(**known | changes)


def ledger(*days):
    return KnownFacts(None, CHAIN, dict(zip(DAYS, days, strict=False)))


def of(day, **changes):
    return replace(facts(day, published=published()), **changes)


UP_TO_DATE = [of(day) for day in DAYS]


@pytest.mark.parametrize("replaced", ["missing", "changed"])
def test_nothing_is_done_for_days_that_are_up_to_date(replaced):
    assert decide(ledger(*UP_TO_DATE), DAYS, replaced, NOW).why == {}


def test_all_days_are_run_where_all_are_wanted():
    assert list(decide(ledger(*UP_TO_DATE), DAYS, "all", NOW).run) == DAYS


@pytest.mark.parametrize("replaced", ["missing", "changed"])
def test_a_day_without_a_map_is_run_only_where_its_prediction_is_not_stored(replaced):
    run, not_run = of(DAYS[0], published=None), of(DAYS[1], published=None, record=None)
    plan = decide(ledger(run, not_run), DAYS[:2], replaced, NOW)
    assert plan.publish == {DAYS[0]: "it is not published"}
    assert plan.run == {DAYS[1]: "it is not published"}


@pytest.mark.parametrize(
    ("changes", "step", "why"),
    [
        ({"problem": "damaged"}, "run", "stale"),
        ({"published": published(chain_id="other")}, "publish", "it was made by another chain"),
        (
            {"published": published(chain_id="other"), "record": None},
            "run",
            "it was made by another chain",
        ),
        ({"published": published(fingerprint="old")}, "publish", "its map is not the one"),
    ],
)
def test_a_changed_day_is_made_again_only_where_changes_are_asked_for(changes, step, why):
    known = ledger(of(DAYS[0], **changes))
    plan = decide(known, DAYS[:1], "changed", NOW)
    assert getattr(plan, step)[DAYS[0]].startswith(why)
    assert plan.why.keys() == {DAYS[0]}
    assert decide(known, DAYS[:1], "missing", NOW).why == {}


def test_a_provisional_map_is_published_again_when_it_becomes_final():
    known = ledger(of(DAYS[0], published=published(status="provisional")))
    assert decide(known, DAYS[:1], "changed", NOW).why == {}
    later = NOW + timedelta(days=400)
    assert decide(known, DAYS[:1], "changed", later).publish == {DAYS[0]: "it has become final"}


def test_a_missing_map_of_a_stale_day_is_run_and_not_published_as_it_was():
    known = ledger(of(DAYS[0], published=None, problem="damaged"))
    assert decide(known, DAYS[:1], "missing", NOW).run == {DAYS[0]: "it is not published"}
