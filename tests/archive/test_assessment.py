from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from msm.archive import store
from msm.archive.assessment import (
    Comparison,
    Verdict,
    assessment_path,
    compare_maps,
    read_assessment,
)
from msm.archive.naming import domain_folder
from msm.errors import MsmError
from tests.archive.conftest import BOX, MapMaker, make_assessment

DAYS = [date(2016, 4, day) for day in (1, 2, 3)]


def other(bias: float = 0.0, ubrmse: float = 0.01, correlation: float | None = 0.9) -> Comparison:
    return Comparison(cells=5000, bias=bias, ubrmse=ubrmse, correlation=correlation)


@pytest.mark.parametrize(
    ("changes", "verdict", "exceeded"),
    [
        ({}, Verdict.good, ()),
        ({"yesterday": other(), "satellite": other(0.05)}, Verdict.good, ()),
        ({"valid_fraction": 0.5}, Verdict.withheld, ("valid_fraction",)),
        ({"outside_training": 0.3}, Verdict.flagged, ("outside_training",)),
        ({"yesterday": other(0.05, 0.05)}, Verdict.flagged, ("step",)),
        ({"satellite": other(-0.11)}, Verdict.flagged, ("satellite_bias",)),
        (
            {"satellite": other(0.0, 0.2, None)},
            Verdict.flagged,
            ("satellite_ubrmse", "satellite_correlation"),
        ),
        (
            {"valid_fraction": 0.5, "outside_training": 0.3},
            Verdict.withheld,
            ("valid_fraction", "outside_training"),
        ),
    ],
)
def test_limits_flag_a_map_or_withhold_it(changes, verdict, exceeded):
    judged = make_assessment(DAYS[0], **changes)
    assert (judged.verdict, judged.exceeded) == (verdict, exceeded)


def test_a_comparison_over_few_cells_exceeds_no_limit():
    few = Comparison(cells=10, bias=0.3, ubrmse=0.3, correlation=-1.0)
    assert make_assessment(DAYS[0], satellite=few).verdict == Verdict.good


def test_two_maps_are_compared_where_both_have_a_value():
    one = np.array([0.1, 0.2, 0.4, np.nan], np.float32)
    two = np.array([0.0, 0.2, 0.1, 0.3], np.float32)
    found = compare_maps(one, two)
    assert found.cells == 3
    assert found.bias == pytest.approx((0.1 + 0.0 + 0.3) / 3)
    assert found.ubrmse == pytest.approx(np.std([0.1, 0.0, 0.3]), rel=1e-6)
    assert found.correlation == pytest.approx(np.corrcoef(one[:3], two[:3])[0, 1])
    assert compare_maps(one, np.full(4, 0.2, np.float32)).correlation is None
    assert compare_maps(one, np.array([0.1, np.nan, np.nan, np.nan], np.float32)) is None


def test_a_withheld_map_is_published_and_does_not_become_the_latest(
    make_map: MapMaker, tmp_path: Path
):
    def latest() -> str:
        return json.loads((domain_folder(tmp_path, BOX) / "latest.json").read_text())["day"]

    store.publish(tmp_path, make_map(DAYS[0], 1), make_assessment(DAYS[0], valid_fraction=0.1))
    # It is the only map.
    assert latest() == "2016-04-01"
    store.publish(tmp_path, make_map(DAYS[1], 2), make_assessment(DAYS[1]))
    record = store.publish(
        tmp_path, make_map(DAYS[2], 3), make_assessment(DAYS[2], valid_fraction=0.1)
    )
    assert record.path.is_file()
    assert record.verdict == "withheld"
    assert latest() == "2016-04-02"
    (better,) = store.assess(tmp_path, BOX, [make_assessment(DAYS[2])])
    assert better.verdict == "good"
    assert better.sha256 == record.sha256
    assert latest() == "2016-04-03"


def test_the_item_states_the_assessment_of_its_map(make_map: MapMaker, tmp_path: Path):
    record = store.publish(
        tmp_path,
        make_map(DAYS[0], 1),
        make_assessment(DAYS[0], satellite=other(0.02), unflagged=0.75),
    )
    item = json.loads(record.item.read_text())
    quality = item["properties"]["msm:quality"]
    assert quality["verdict"] == "good"
    assert quality["unflagged"] == 0.75
    assert quality["satellite"]["bias"] == 0.02
    assert item["assets"]["quality"]["href"] == f"./{assessment_path(record.path).name}"
    # The assessment of the replaced file does not describe the new one.
    again = store.publish(tmp_path, make_map(DAYS[0], 9))
    assert again.verdict is None
    assert "quality" not in json.loads(again.item.read_text())["assets"]


def test_a_damaged_assessment_and_an_unpublished_day_are_refused(
    make_map: MapMaker, tmp_path: Path
):
    record = store.publish(tmp_path, make_map(DAYS[0], 1))
    assert read_assessment(record.path) is None
    assessment_path(record.path).write_text("{")
    with pytest.raises(MsmError, match="is damaged: remove it"):
        read_assessment(record.path)
    with pytest.raises(MsmError, match="2016-04-03 is not published"):
        store.assess(tmp_path, BOX, [make_assessment(DAYS[2])])
