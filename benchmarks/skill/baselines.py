"""Baselines at stations withheld from training.

Each baseline is trained on the training stations and predicts others from their weather and soil.
None uses a target of the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from msm.training.data.gaps import season_means
from msm.training.data.stations import Stations

Values = NDArray[np.float64]

RECESSIONS = (0.80, 0.84, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98)
"""Candidate recession factors of the index; the training stations select one."""

TOTAL_DAYS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180)
"""Windows of the precipitation totals in the inputs of the boosted trees, days."""

MEAN_DAYS = (1, 3, 7, 15, 30, 60, 120)
"""Windows of the means of the other forcing, days."""

TREE_EVERY = 3
"""The trees are trained on every so many days: consecutive days are strongly correlated."""


def climatology(training: Stations, others: Stations) -> Values:
    """Predict the seasonal mean of the training stations.

    Parameters
    ----------
    training, others
        Stations with the same days.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    mean = np.nanmean(season_means(training.target, training.days), axis=0)
    return np.broadcast_to(mean, others.target.shape).astype(np.float64)


def antecedent_precipitation(training: Stations, others: Stations) -> Values:
    """Predict from the antecedent precipitation index and the temperature of the day.

    The index is a sum over all previous days that decays with their age:
    I(t) = k I(t - 1) + P(t) (Kohler & Linsley 1951). Its logarithm and the temperature are the
    predictors of a linear regression.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    available = np.isfinite(training.target)
    truth = training.target[available].astype(np.float64)
    best: tuple[float, float, Values] | None = None
    for recession in RECESSIONS:
        predictors = _index_predictors(training, recession)[available]
        coefficients = np.asarray(np.linalg.lstsq(predictors, truth, rcond=None)[0], np.float64)
        error = float(np.mean((predictors @ coefficients - truth) ** 2))
        if best is None or error < best[0]:
            best = error, recession, coefficients
    assert best is not None
    _, recession, coefficients = best
    return np.asarray(_index_predictors(others, recession) @ coefficients)


def boosted_trees(training: Stations, others: Stations, seed: int) -> Values:
    """Predict by gradient boosting on precipitation and weather of the days before, and soil.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    available = np.isfinite(training.target)
    available[:, np.arange(available.shape[1]) % TREE_EVERY != 0] = False
    trees = HistGradientBoostingRegressor(
        max_iter=400,
        learning_rate=0.05,
        max_leaf_nodes=31,
        l2_regularization=1.0,
        random_state=seed,
    )
    trees.fit(_lagged(training)[available], training.target[available])
    lagged = _lagged(others)
    flat: Values = trees.predict(lagged.reshape(-1, lagged.shape[-1]))
    return flat.reshape(others.target.shape)


def _index_predictors(stations: Stations, recession: float) -> Values:
    """Return a one, the logarithm of the index and the temperature, shape (n, n_day, 3)."""
    precipitation = stations.forcing["precipitation"].astype(np.float64)
    index = np.empty_like(precipitation)
    # The first value is the equilibrium with the mean precipitation of all days.
    value = precipitation.mean(axis=1) / (1 - recession)
    for day in range(precipitation.shape[1]):
        value = recession * value + precipitation[:, day]
        index[:, day] = value
    temperature = stations.forcing["air_temperature"].astype(np.float64)
    return np.stack([np.ones_like(index), np.log1p(index), temperature - 285.0], axis=-1)


def _lagged(stations: Stations) -> NDArray[np.float32]:
    """Return the inputs of the trees, shape (n, n_day, n_column)."""
    totals = [_total(stations.forcing["precipitation"], n) for n in TOTAL_DAYS]
    columns = [np.log1p(total) for total in totals]
    for name in ("air_temperature", "specific_humidity", "shortwave_down"):
        columns += [_total(stations.forcing[name], n) / n for n in MEAN_DAYS]
    shape = stations.target.shape
    columns += [np.broadcast_to(soil[:, None], shape) for soil in stations.statics.values()]
    return np.stack(columns, axis=-1).astype(np.float32)


def _total(values: NDArray[np.float32], days: int) -> Values:
    """Return the total over the days up to each day, over fewer at the start of the record."""
    total = np.cumsum(values, axis=1, dtype=np.float64)
    total[:, days:] -= total[:, :-days].copy()
    return total
