from dataclasses import replace

import numpy as np
import pytest

from benchmarks.skill.baselines import antecedent_precipitation, boosted_trees, climatology
from msm.training.data.stations import Stations


@pytest.fixture(scope="module")
def buckets() -> Stations:
    """Places whose soil moisture depends on the logarithm of the index and on temperature."""
    rng = np.random.default_rng(0)
    n, n_day = 12, 1200
    days = np.arange(n_day) + np.datetime64("2015-01-01")
    rain = rng.exponential(8, (n, n_day)) * (rng.random((n, n_day)) < 0.25)
    warm = 285 + 10 * np.sin(2 * np.pi * np.arange(n_day) / 365.25) + rng.normal(0, 2, (n, n_day))
    level, left = np.empty((n, n_day)), rain.mean(axis=1) / 0.08
    for day in range(n_day):
        left = 0.92 * left + rain[:, day]
        level[:, day] = 0.05 + 0.06 * np.log1p(left) - 0.002 * (warm[:, day] - 285)
    level[rng.random((n, n_day)) < 0.3] = np.nan
    names = np.array([f"XX_{number}" for number in range(n)])
    return Stations(
        wban=names,
        names=names,
        state=np.full(n, "XX"),
        lat=np.linspace(30, 45, n),
        lon=np.linspace(-120, -80, n),
        elevation=np.zeros(n),
        days=days,
        forcing={
            "precipitation": rain.astype(np.float32),
            "air_temperature": warm.astype(np.float32),
            "specific_humidity": np.full((n, n_day), 0.008, np.float32),
            "shortwave_down": np.full((n, n_day), 200, np.float32),
        },
        observed=np.ones((n, n_day), bool),
        statics={
            "sand": np.full(n, 0.4, np.float32),
            "clay": np.where(np.arange(n) % 3, 0.2, np.nan).astype(np.float32),
        },
        target=level.astype(np.float32),
    )


def rmse(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean((prediction - truth) ** 2)))


def test_index_recovers_soil_moisture_that_depends_on_it(buckets: Stations):
    training, others = buckets.at(np.arange(8)), buckets.at(np.arange(8, 12))
    found = antecedent_precipitation(training, others)
    assert found.shape == others.target.shape
    assert rmse(found, others.target) < 1e-4


def test_trees_are_better_than_the_seasonal_mean(buckets: Stations):
    training, others = buckets.at(np.arange(8)), buckets.at(np.arange(8, 12))
    season = rmse(climatology(training, others), others.target)
    trees = rmse(boosted_trees(training, others, seed=0), others.target)
    assert trees < 0.3 * season


def test_baselines_do_not_use_targets_of_the_others(buckets: Stations):
    training, others = buckets.at(np.arange(8)), buckets.at(np.arange(8, 12))
    changed = replace(others, target=np.full_like(others.target, 0.5))
    for predict in (
        climatology,
        antecedent_precipitation,
        lambda known, unknown: boosted_trees(known, unknown, seed=0),
    ):
        np.testing.assert_array_equal(predict(training, others), predict(training, changed))
