from dataclasses import replace

import numpy as np
import pytest

from benchmarks.skill.comparison import by_part, differences, on_common_days
from msm.training.evaluation.crossval import score
from msm.training.split import Split
from tests.training.predictions import predicted


def test_predictions_are_scored_on_common_days():
    whole, gappy = predicted(), predicted(seed=1)
    gappy.soil_moisture[:, ::2] = np.nan
    found = on_common_days({"whole": whole, "gappy": gappy})
    there = np.isfinite(whole.truth) & np.isfinite(gappy.soil_moisture)
    for each in found.values():
        np.testing.assert_array_equal(np.isfinite(each.truth), there)
    n = {tuple(s["n"] for s in score(each, Split.folds)["sites"]) for each in found.values()}
    assert n == {tuple(there.sum(axis=1).tolist())}


def test_other_sites_or_days_are_refused():
    one = predicted()
    for other in (
        one.at(np.arange(12) < 6),
        replace(one, days=one.days + np.timedelta64(1, "D")),
    ):
        with pytest.raises(ValueError, match="same sites and days"):
            on_common_days({"one": one, "other": other})


def test_differences_are_paired_with_and_without_level_jumpers():
    good, poor = (score(predicted(noise=noise), Split.folds) for noise in (0.01, 0.05))
    found = differences(good, poor)
    assert set(found) == {"R", "R_anomaly", "RMSE", "ubRMSE"}
    assert found["R"]["low"] > 0
    assert found["RMSE"]["high"] < 0
    assert found["R"]["n_sites"] == 12
    assert found["R"]["without_jumpers"]["n_sites"] == 11
    by_hand = [a["R"] - b["R"] for a, b in zip(good["sites"], poor["sites"], strict=True)]
    assert found["R"]["median"] == pytest.approx(np.median(by_hand))
    assert found["R"]["without_jumpers"]["median"] == pytest.approx(np.median(by_hand[1:]))


def test_a_figure_that_no_site_has_is_left_out():
    results = [score(predicted(seed=seed), Split.folds) for seed in (0, 1)]
    for site in results[0]["sites"]:
        site["R_anomaly"] = None
    assert set(differences(*results)) == {"R", "RMSE", "ubRMSE"}


def test_parts_have_their_own_medians():
    result = score(predicted(), Split.folds)
    found = by_part(result)
    assert list(found) == ["fold 1", "fold 2", "fold 3"]
    assert [row["n_sites"] for row in found.values()] == [4, 4, 4]
    r = [site["R"] for site in result["sites"] if site["part"] == "fold 2"]
    assert found["fold 2"]["R"] == pytest.approx(np.median(r))
