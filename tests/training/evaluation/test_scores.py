import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from msm.training.evaluation.scores import (
    coverage,
    evaluation,
    normal_crps,
    paired_difference,
    share_within,
    uncertainty_scores,
)
from msm.training.metrics import AnomalyRules, anomaly_r, site_metrics

NAN = np.nan
RULES = AnomalyRules(window_days=31, min_years=2, min_days_per_year=60)


@pytest.mark.parametrize(
    ("mean", "sigma", "value"), [(0.2, 0.05, 0.2), (0.2, 0.05, 0.33), (0.3, 0.01, 0.1)]
)
def test_the_score_is_the_integral_of_its_definition(mean: float, sigma: float, value: float):
    below = quad(lambda x: norm.cdf(x, mean, sigma) ** 2, mean - 12 * sigma, value, limit=200)[0]
    above = quad(lambda x: norm.sf(x, mean, sigma) ** 2, value, mean + 12 * sigma, limit=200)[0]
    if value < mean - 12 * sigma:  # nothing lies below, and all of the gap above counts
        below = 0.0
    assert normal_crps(mean, sigma, value) == pytest.approx(below + above, rel=1e-6)


def test_a_certain_prediction_scores_its_absolute_error():
    np.testing.assert_allclose(normal_crps([0.1, 0.2], 0.0, [0.3, 0.2]), [0.2, 0.0])
    assert normal_crps(0.1, 1e-12, 0.3) == pytest.approx(0.2)


def test_scores_against_a_plain_loop_with_gaps():
    rng = np.random.default_rng(0)
    prediction, truth = rng.normal(0.25, 0.08, (2, 4, 50))
    sigma = rng.uniform(0.02, 0.12, (4, 50))
    for values in (prediction, truth, sigma):
        values[rng.random(values.shape) < 0.2] = NAN
    sigma[3] = NAN
    found = uncertainty_scores(prediction, truth, sigma)
    inside: dict[float, list[bool]] = {0.5: [], 0.9: []}
    for site in range(3):
        crps: list[float] = []
        hits: dict[float, list[bool]] = {0.5: [], 0.9: []}
        for p, t, s in zip(prediction[site], truth[site], sigma[site], strict=True):
            if np.isfinite([p, t, s]).all():
                crps.append(float(normal_crps(p, s, t)))
                for level, hit in hits.items():
                    low, high = norm.interval(level, p, s)
                    hit.append(bool(low <= t <= high))
        assert found.n[site] == len(crps)
        assert found.crps[site] == pytest.approx(np.mean(crps))
        assert found.coverage50[site] == pytest.approx(np.mean(hits[0.5]))
        assert found.coverage90[site] == pytest.approx(np.mean(hits[0.9]))
        for level in inside:
            inside[level] += hits[level]
    assert found.n[3] == 0
    assert np.isnan([found.crps[3], found.coverage50[3], found.coverage90[3]]).all()
    assert found.pooled(found.coverage50) == pytest.approx(np.mean(inside[0.5]))
    assert found.pooled(found.coverage90) == pytest.approx(np.mean(inside[0.9]))


def test_a_correct_sigma_has_nominal_coverage():
    rng = np.random.default_rng(1)
    prediction = np.full((20, 2000), 0.2)
    found = uncertainty_scores(prediction, rng.normal(0.2, 0.04, prediction.shape), 0.04)
    assert found.pooled(found.coverage50) == pytest.approx(0.5, abs=0.01)
    assert found.pooled(found.coverage90) == pytest.approx(0.9, abs=0.01)
    # The mean score of a calibrated normal is sigma / sqrt(pi).
    assert found.crps.mean() == pytest.approx(0.04 / np.sqrt(np.pi), rel=0.02)


def test_coverage_of_any_level_is_that_of_the_scores():
    rng = np.random.default_rng(4)
    truth, sigma = rng.normal(0, 1, (3, 4000)), np.array([[0.5], [1.0], [2.0]])
    truth[0, :100] = np.nan
    found = coverage(np.zeros_like(truth), truth, sigma, (0.5, 0.7, 0.9))
    scores = uncertainty_scores(np.zeros_like(truth), truth, sigma)
    np.testing.assert_array_equal(found[0], scores.coverage50)
    np.testing.assert_array_equal(found[2], scores.coverage90)
    expected = 2 * norm.cdf(norm.ppf(0.85) * sigma[:, 0]) - 1
    np.testing.assert_allclose(found[1], expected, atol=0.03)


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="negative"):
        uncertainty_scores(np.ones((1, 2)), np.ones((1, 2)), [[0.1, -0.1]])


def test_the_share_of_sites_counts_the_edges_and_only_sites_with_the_figure():
    assert share_within(np.array([0.8, 0.97, 0.799, 0.98, NAN]), 0.80, 0.97) == 0.5
    assert np.isnan(share_within(np.array([NAN]), 0.80, 0.97))


def test_the_paired_interval_against_a_plain_bootstrap():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.8, 0.1, (2, 40))
    first[3], second[7] = NAN, NAN
    found = paired_difference(first, second, resamples=2000, seed=4)
    difference = np.delete(first - second, [3, 7])
    assert found.n_sites == 38
    assert found.median == pytest.approx(np.median(difference))
    draw = np.random.default_rng(5)
    plain = [np.median(draw.choice(difference, 38)) for _ in range(2000)]
    np.testing.assert_allclose(
        (found.low, found.high), np.quantile(plain, [0.025, 0.975]), atol=0.02
    )
    assert found == paired_difference(first, second, resamples=2000, seed=4)
    assert found != paired_difference(first, second, resamples=2000, seed=5)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.floats(-1, 1))
def test_a_constant_difference_has_no_interval(values: list[float], shift: float):
    first = np.array(values)
    found = paired_difference(first + shift, first, resamples=50, seed=0)
    np.testing.assert_allclose([found.low, found.median, found.high], shift, atol=1e-12)


def test_no_site_has_no_difference():
    found = paired_difference([NAN, 1.0], [1.0, NAN], resamples=10, seed=0)
    assert found.n_sites == 0
    assert np.isnan([found.median, found.low, found.high]).all()
    with pytest.raises(ValueError, match="n_site"):
        paired_difference([1.0], [1.0, 2.0], resamples=10, seed=0)


@pytest.fixture
def records() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four sites over three years; the third has one year, the last four days."""
    days = np.datetime64("2018-01-01") + np.arange(3 * 365)
    rng = np.random.default_rng(6)
    truth = rng.uniform(0.1, 0.4, (4, len(days)))
    prediction = truth + rng.normal(0.01, 0.04, truth.shape)
    truth[2, 365:] = NAN
    truth[3, 4:] = NAN
    return prediction, truth, days


def test_an_evaluation_has_the_figures_of_its_sites(records):
    prediction, truth, days = records
    sigma = np.full(truth.shape, 0.04)
    sigma[0] = 0.01
    found = evaluation(
        ["a", "b", "c", "d"], prediction, truth, days, sigma, min_days=30, anomalies=RULES
    )
    assert list(found) == ["n_sites", "median", "coverage90", "share_sites_80_97", "sites"]
    assert list(found["median"]) == ["R", "RMSE", "ubRMSE", "bias", "KGE", "R_anomaly"]
    assert found["n_sites"] == 3
    assert [site["name"] for site in found["sites"]] == ["a", "b", "c"]
    assert [site["n"] for site in found["sites"]] == [1095, 1095, 365]
    metrics = site_metrics(prediction[:3], truth[:3])
    assert found["median"]["R"] == np.median(metrics.r)
    assert found["median"]["KGE"] == np.median(metrics.kge)
    for site in range(3):
        assert found["sites"][site]["RMSE"] == metrics.rmse[site]
        assert found["sites"][site]["ubRMSE"] == metrics.ubrmse[site]
        assert found["sites"][site]["bias"] == metrics.bias[site]
    anomalies = anomaly_r(prediction[:2], truth[:2], days, RULES)
    assert found["median"]["R_anomaly"] == np.median(anomalies)
    assert found["sites"][2]["R_anomaly"] is None
    scores = uncertainty_scores(prediction[:3], truth[:3], sigma[:3])
    assert found["sites"][1]["coverage90"] == scores.coverage90[1]
    assert found["sites"][1]["CRPS"] == scores.crps[1]
    assert found["coverage90"] == scores.pooled(scores.coverage90)
    assert found["share_sites_80_97"] == pytest.approx(2 / 3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_evaluation_without_uncertainty_or_sites_has_none_values(records):
    prediction, truth, days = records
    names = ["a", "b", "c", "d"]
    found = evaluation(names, prediction, truth, days, None, min_days=30, anomalies=RULES)
    assert found["coverage90"] is None
    assert found["share_sites_80_97"] is None
    assert found["sites"][0]["CRPS"] is None
    assert found["median"]["R"] > 0.8
    empty = evaluation(
        names, prediction, np.full_like(truth, NAN), days, 0.04, min_days=0, anomalies=RULES
    )
    assert empty["n_sites"] == 0
    assert empty["sites"] == []
    assert set(empty["median"].values()) == {None}
    json.dumps(empty, allow_nan=False)
    with pytest.raises(ValueError, match="names"):
        evaluation(["a"], prediction, truth, days, None, min_days=1, anomalies=RULES)
