"""Linear regression of each satellite cell's retrievals on its own weather.

A network shared by all cells learns what is specific to a cell from a few static attributes only. A
regression per cell uses that cell's own record. Its prediction as an input makes the network better
than either alone.
"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from msm.training.data.samples import Floats, Samples
from msm.training.metrics import within

Values = NDArray[np.float64]

RECESSIONS = (0.6, 0.9, 0.98)
"""Daily recession constants of the antecedent precipitation indices, whose square roots are
regressors."""

MEAN_DAYS = 20
"""Memory of the exponential means of `WEATHER`, which are regressors."""
WEATHER = ("air_temperature", "specific_humidity", "shortwave_down")

PENALTY = 10.0
"""Penalty on the squared coefficients of the standardised regressors (ridge regression)."""

BLOCK_DAYS = 45
"""Length of the blocks of training days that are predicted without their own retrievals."""

MIN_DAYS = 30
"""Fewest retrievals of a regression; with fewer the mean of the cell is the prediction."""


def local_retrieval(cells: Samples, first: date, last: date) -> Floats:
    """Predict each cell's retrievals from its weather by a regression over the training days.

    Training days, from `first` to `last`, are predicted in blocks by regressions without the
    retrievals of the block (cross-validation); all other days by the regression over all training
    days. The input is therefore as accurate during training as during tests.

    Parameters
    ----------
    cells
    first, last
        First and last training day.

    Returns
    -------
    ndarray of float32, shape (n_cell, n_day)
        m3 m-3; NaN where a cell has no retrieval on the training days.
    """
    training = within(cells.days, first, last)
    block = np.where(training, np.arange(cells.days.size) // BLOCK_DAYS, -1)
    regressors = _regressors(cells)
    predicted = np.empty(cells.target.shape)
    for cell, (weather, target) in enumerate(zip(regressors, cells.target, strict=True)):
        known = training & np.isfinite(target)
        for number in np.unique(block):
            days = block == number
            predicted[cell, days] = _regression(weather, target, known & ~days, days)
    return predicted.astype(np.float32)


def _regression(
    weather: Values, target: Floats, known: NDArray[np.bool_], days: NDArray[np.bool_]
) -> Values:
    """Fit the regression to the days `known` and predict `days`."""
    if not known.any():
        return np.full(days.sum(), np.nan)
    mean = target[known].mean(dtype=np.float64)
    if known.sum() < MIN_DAYS:
        return np.full(days.sum(), mean)
    middle = weather[known].mean(axis=0)
    columns = weather[known] - middle
    penalty = PENALTY * np.eye(columns.shape[1])
    slope = np.linalg.solve(columns.T @ columns + penalty, columns.T @ (target[known] - mean))
    return np.asarray(mean + (weather[days] - middle) @ slope)


def _regressors(cells: Samples) -> Values:
    """Return the standardised regressors, shape (n_cell, n_day, n_regressor)."""
    rain = cells.forcing["precipitation"]
    columns = [np.sqrt(_exponential_mean(rain, recession)) for recession in RECESSIONS]
    columns += [_exponential_mean(cells.forcing[name], 1 - 1 / MEAN_DAYS) for name in WEATHER]
    found = np.stack(columns, axis=-1)
    spread = found.std(axis=(0, 1))
    return np.asarray((found - found.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1.0))


def _exponential_mean(values: Floats, recession: float) -> Values:
    """Return the exponentially weighted mean of each day and all days before it."""
    found = np.empty(values.shape)
    mean = values[:, : round(1 / (1 - recession))].mean(axis=1, dtype=np.float64)
    for day in range(values.shape[1]):
        mean = recession * mean + (1 - recession) * values[:, day]
        found[:, day] = mean
    return found
