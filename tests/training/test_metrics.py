import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from msm.training.metrics import site_metrics

NAN = np.nan


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
    np.testing.assert_allclose(metrics.r, [3 / np.sqrt(12), NAN, NAN])
    medians = metrics.medians()
    assert medians["bias"] == -0.5
    assert medians["r"] == pytest.approx(3 / np.sqrt(12))


def test_nothing_to_compare_gives_no_figure():
    medians = site_metrics(np.full((2, 3), NAN), np.ones((2, 3))).medians()
    assert all(np.isnan(value) for value in medians.values())


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="must be"):
        site_metrics(np.ones((2, 3)), np.ones((3, 2)))


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
