"""What a linear regression knows of a satellite cell: its own retrievals against its own weather.

A network that all cells share has to learn what is peculiar to each from a few static attributes.
A regression of one cell's retrievals on what its weather has left behind knows that cell only, and
little else; given to the network, the two know more than either.
"""

from datetime import date

import numpy as np
import numpy.typing as npt

from msm.training.data.samples import Floats, Samples
from msm.training.metrics import within

Values = npt.NDArray[np.float64]

RECESSIONS = (0.6, 0.9, 0.98)
"""Shares of yesterday's antecedent precipitation index, whose square roots are regressors."""

MEAN_DAYS = 20
"""Time in which the mean of other weather forgets, which is a regressor each."""
WEATHER = ("air_temperature", "specific_humidity", "shortwave_down")

PENALTY = 10.0
"""Of the squared coefficients of standardised regressors (ridge regression)."""

BLOCK_DAYS = 45
"""Days of the year learned from that are predicted together, without their own retrievals."""

MIN_DAYS = 30
"""Fewest retrievals of a regression; with fewer the mean of the cell is said."""


def local_retrieval(cells: Samples, first: date, last: date) -> Floats:
    """Predict each cell's retrievals from its own weather, by what the days given teach.

    Days from `first` to `last` are said by a regression that has not seen their retrievals nor
    those of the days about them, all others by one that has seen all of `first` to `last`. So the
    prediction is as good on days that a network learns from as on days that it is tested on.

    Parameters
    ----------
    cells : Samples
    first, last : date
        Days whose retrievals are learned from.

    Returns
    -------
    ndarray of float32, shape (n_cell, n_day)
        m3 m-3; NaN where a cell has no retrieval at all on the days learned from.
    """
    learned = within(cells.days, first, last)
    block = np.where(learned, np.arange(cells.days.size) // BLOCK_DAYS, -1)
    regressors = _regressors(cells)
    said = np.empty(cells.target.shape)
    for cell, (weather, target) in enumerate(zip(regressors, cells.target, strict=True)):
        known = learned & np.isfinite(target)
        for number in np.unique(block):
            days = block == number
            said[cell, days] = _regression(weather, target, known & ~days, days)
    return said.astype(np.float32)


def _regression(
    weather: Values, target: Floats, known: npt.NDArray[np.bool_], days: npt.NDArray[np.bool_]
) -> Values:
    """Learn from the days known, and predict others."""
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
    """Return what the weather leaves behind, standardised, shape (n_cell, n_day, n_regressor)."""
    rain = cells.forcing["precipitation"]
    columns = [np.sqrt(_fading(rain, recession)) for recession in RECESSIONS]
    columns += [_fading(cells.forcing[name], 1 - 1 / MEAN_DAYS) for name in WEATHER]
    found = np.stack(columns, axis=-1)
    spread = found.std(axis=(0, 1))
    return np.asarray((found - found.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1.0))


def _fading(values: Floats, recession: float) -> Values:
    """Return the mean of a day and all before it, each day counting less than the one after."""
    found = np.empty(values.shape)
    mean = values[:, : round(1 / (1 - recession))].mean(axis=1, dtype=np.float64)
    for day in range(values.shape[1]):
        mean = recession * mean + (1 - recession) * values[:, day]
        found[:, day] = mean
    return found
