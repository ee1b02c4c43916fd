from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr

from msm.training.metrics import AnomalyRules, anomaly_r, calendar_day, site_metrics

NAN = np.nan
RULES = AnomalyRules(window_days=31, min_years=2, min_days_per_year=60)


def test_figures_worked_out_by_hand():
    prediction = [[1.0, 2.0, 3.0, 9.0], [2.0, 2.0, 2.0, NAN], [NAN, 1.0, NAN, 1.0]]
    truth = [[2.0, 2.0, 5.0, NAN], [1.0, 2.0, 3.0, 4.0], [1.0, NAN, 2.0, NAN]]
    metrics = site_metrics(prediction, truth)
    np.testing.assert_array_equal(metrics.n, [3, 3, 0])
    # Site 0: differences -1, 0, -2; anomalies (-1, 0, 1) and (-1, -1, 2).
    np.testing.assert_allclose(metrics.bias, [-1.0, 0.0, NAN])
    np.testing.assert_allclose(metrics.rmse, [np.sqrt(5 / 3), np.sqrt(2 / 3), NAN])
    np.testing.assert_allclose(metrics.ubrmse, [np.sqrt(2 / 3), np.sqrt(2 / 3), NAN])
    # 3 / sqrt(2 * 6); a constant prediction has no correlation.
    r = 3 / np.sqrt(12)
    np.testing.assert_allclose(metrics.r, [r, NAN, NAN])
    # Spreads sqrt(2) and sqrt(6), means 2 and 3.
    kge = 1 - np.sqrt((r - 1) ** 2 + (np.sqrt(1 / 3) - 1) ** 2 + (2 / 3 - 1) ** 2)
    np.testing.assert_allclose(metrics.kge, [kge, NAN, NAN])
    medians = metrics.medians()
    assert medians["bias"] == -0.5
    assert medians["r"] == pytest.approx(r)
    assert medians["kge"] == pytest.approx(kge)


def test_no_common_days_give_nan():
    medians = site_metrics(np.full((2, 3), NAN), np.ones((2, 3))).medians()
    assert all(np.isnan(value) for value in medians.values())


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="must be"):
        site_metrics(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="Days"):
        anomaly_r(np.ones((2, 3)), np.ones((2, 3)), _array([date(2020, 1, 1)]), RULES)


def test_the_rounding_of_a_constant_is_no_spread():
    """The mean of many 0.1 is not quite 0.1; what is left must not correlate with the truth."""
    truth = np.random.default_rng(3).uniform(0.1, 0.4, (1, 1000))
    for constant in (0.1, 0.3, 1e-9, 12345.678):
        metrics = site_metrics(np.full_like(truth, constant), truth)
        assert np.isnan(metrics.r[0])
        assert np.isnan(metrics.kge[0])


def test_kge_is_one_for_the_truth_and_nan_for_a_truth_with_mean_zero():
    truth = np.array([[0.1, 0.2, 0.4], [-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(site_metrics(truth, truth).kge, [1.0, NAN])


@given(arrays(np.float64, (2, 2, 12), elements=st.floats(0, 1)))
def test_the_figures_hang_together(values: np.ndarray):
    prediction, truth = values
    metrics = site_metrics(prediction, truth)
    np.testing.assert_allclose(metrics.rmse**2, metrics.ubrmse**2 + metrics.bias**2, atol=1e-12)
    for site in range(2):
        if np.isfinite(metrics.r[site]) and min(prediction[site].std(), truth[site].std()) > 1e-6:
            expected = np.corrcoef(prediction[site], truth[site])[0, 1]
            assert metrics.r[site] == pytest.approx(expected, abs=1e-6)
    shifted = site_metrics(prediction + 0.5, truth)
    np.testing.assert_allclose(shifted.ubrmse, metrics.ubrmse, atol=1e-12)
    np.testing.assert_allclose(shifted.bias, metrics.bias + 0.5, atol=1e-12)


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _array(days: list[date]) -> np.ndarray:
    return np.array(days, "datetime64[D]")


def _records(days: list[date], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two sites with a season, noise that both records share, and gaps of their own."""
    rng = np.random.default_rng(seed)
    season = 0.1 * np.sin(2 * np.pi * np.arange(len(days)) / 365.25)
    shared = rng.normal(0, 0.03, (2, len(days)))
    truth = 0.25 + season + shared
    prediction = 0.2 + 1.3 * season + shared + rng.normal(0, 0.03, shared.shape)
    truth[rng.random(truth.shape) < 0.3] = NAN
    prediction[rng.random(truth.shape) < 0.2] = NAN
    return prediction, truth


def _slow_anomalies(values: np.ndarray, days: list[date], window: int) -> np.ndarray:
    """Anomalies of one record without gaps but for days that are not there at all."""
    place = [
        (date(2001, d.month, min(d.day, 28) if d.month == 2 else d.day) - date(2001, 1, 1)).days
        for d in days
    ]
    of_day = {
        p: np.mean([v for v, q in zip(values, place, strict=True) if q == p]) for p in set(place)
    }
    half = window // 2
    out = []
    for value, p in zip(values, place, strict=True):
        around = [(p + k) % 365 for k in range(-half, half + 1)]
        out.append(value - np.mean([of_day[q] for q in around if q in of_day]))
    return np.array(out)


@pytest.mark.parametrize("window", [1, 31])
def test_anomalies_against_a_plain_loop(window: int):
    days = _dates(date(2019, 2, 1), date(2021, 11, 30))
    prediction, truth = _records(days)
    truth[1, 100:160] = NAN
    found = anomaly_r(prediction, truth, _array(days), AnomalyRules(window, 2, 60))
    for site in range(2):
        both = np.isfinite(prediction[site]) & np.isfinite(truth[site])
        there = [d for d, b in zip(days, both, strict=True) if b]
        p, t = (_slow_anomalies(v[site][both], there, window) for v in (prediction, truth))
        assert found[site] == pytest.approx(pearsonr(p, t).statistic, abs=1e-9)


def test_a_season_alone_has_no_anomaly_and_a_shared_one_does_not_help():
    days = _dates(date(2015, 1, 1), date(2020, 12, 31))
    calendar = calendar_day(_array(days))
    rng = np.random.default_rng(1)
    season = 0.1 * np.sin(2 * np.pi * calendar / 365)
    truth = 0.25 + season + rng.normal(0, 0.02, (3, len(days)))
    prediction = np.stack(
        [np.full(len(days), 0.1), 0.25 + season + rng.normal(0, 0.02, len(days)), truth[2] * 2 + 1]
    )
    assert site_metrics(prediction, truth).r[1] > 0.9
    found = anomaly_r(prediction, truth, _array(days), RULES)
    assert np.isnan(found[0])
    assert abs(found[1]) < 0.1
    assert found[2] == pytest.approx(1)


def test_only_sites_with_enough_full_years_have_anomalies():
    days = _dates(date(2017, 6, 1), date(2019, 5, 31))
    truth = np.random.default_rng(2).uniform(0.1, 0.4, (4, len(days)))
    year = np.array([d.year for d in days])
    prediction = truth.copy()
    prediction[1, year == 2017] = NAN
    prediction[2, np.flatnonzero(year == 2019)[60:]] = NAN
    prediction[3, np.flatnonzero(year == 2019)[59:]] = NAN
    found = anomaly_r(prediction, truth, _array(days), AnomalyRules(31, 3, 60))
    np.testing.assert_allclose(found, [1, NAN, 1, NAN])


def test_a_leap_day_shares_the_place_of_the_day_before():
    common = ["2019-01-01", "2019-02-28", "2019-03-01", "2019-12-31", "1968-03-01"]
    leap = ["2020-01-01", "2020-02-28", "2020-02-29", "2020-03-01", "2020-12-31"]
    places = calendar_day(np.array([*common, *leap], "datetime64[D]"))
    np.testing.assert_array_equal(places, [0, 58, 59, 364, 59, 0, 58, 58, 59, 364])


@pytest.mark.parametrize("window", [0, 30, 367])
def test_a_window_that_has_no_middle_or_no_place_is_refused(window: int):
    with pytest.raises(ValueError, match="must be odd"):
        AnomalyRules(window, 5, 60)
