"""What a network has to beat at stations it has not seen, on the same days.

Each baseline learns from training stations and predicts others from what is known of them; none
sees a target of the others.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from msm.training.data.gaps import season_means
from msm.training.data.stations import Stations

Values = npt.NDArray[np.float64]

RECESSIONS = (0.80, 0.84, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98)
"""Shares of yesterday's index that are tried; the training stations choose."""

TOTAL_DAYS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180)
"""Days over which the boosted trees are given the rain."""

MEAN_DAYS = (1, 3, 7, 15, 30, 60, 120)
"""Days over which they are given the mean of the other forcing."""

TREE_EVERY = 3
"""One training day in so many grows the trees: neighbouring days say the same."""


def climatology(training: Stations, others: Stations) -> Values:
    """Predict the mean of the training stations for the season.

    Parameters
    ----------
    training, others : Stations
        On the same days.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    mean = np.nanmean(season_means(training.target, training.days), axis=0)
    return np.broadcast_to(mean, others.target.shape).astype(np.float64)


def antecedent_precipitation(training: Stations, others: Stations) -> Values:
    """Predict from the antecedent precipitation index and the temperature of the day.

    The index is what is left of the rain of all days before: I(t) = k I(t - 1) + P(t) (Kohler &
    Linsley 1951). Its logarithm and the temperature enter a linear regression.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    there = np.isfinite(training.target)
    truth = training.target[there].astype(np.float64)
    best: tuple[float, float, Values] | None = None
    for recession in RECESSIONS:
        columns = _index_columns(training, recession)[there]
        coefficients = np.asarray(np.linalg.lstsq(columns, truth, rcond=None)[0], np.float64)
        error = float(np.mean((columns @ coefficients - truth) ** 2))
        if best is None or error < best[0]:
            best = error, recession, coefficients
    assert best is not None
    _, recession, coefficients = best
    return np.asarray(_index_columns(others, recession) @ coefficients)


def boosted_trees(training: Stations, others: Stations, seed: int) -> Values:
    """Predict by gradient boosting on rain and weather of the days before, and the soil.

    Returns
    -------
    ndarray, shape (n_others, n_day)
        m3 m-3.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    there = np.isfinite(training.target)
    there[:, np.arange(there.shape[1]) % TREE_EVERY != 0] = False
    trees = HistGradientBoostingRegressor(
        max_iter=400,
        learning_rate=0.05,
        max_leaf_nodes=31,
        l2_regularization=1.0,
        random_state=seed,
    )
    trees.fit(_lagged(training)[there], training.target[there])
    lagged = _lagged(others)
    flat: Values = trees.predict(lagged.reshape(-1, lagged.shape[-1]))
    return flat.reshape(others.target.shape)


def with_land_surface_model(prediction: npt.ArrayLike, model: npt.ArrayLike) -> Values:
    """Average a prediction with the series of any land-surface model.

    The mean of the two has often less error than either (Fang, Pan & Shen 2019, IEEE Transactions
    on Geoscience and Remote Sensing 57(4), 2221-2233).

    Parameters
    ----------
    prediction, model : array_like, shape (n_site, n_day)
        m3 m-3 over the same depth; where only one of them is there, it stands alone.
    """
    both = np.stack([np.asarray(prediction, np.float64), np.asarray(model, np.float64)])
    count = np.isfinite(both).sum(axis=0)
    total = np.nansum(both, axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _index_columns(stations: Stations, recession: float) -> Values:
    """Return a one, the logarithm of the index and the temperature, shape (n, n_day, 3)."""
    rain = stations.forcing["precipitation"].astype(np.float64)
    index = np.empty_like(rain)
    # It starts where it would be after the mean rain of all days.
    left = rain.mean(axis=1) / (1 - recession)
    for day in range(rain.shape[1]):
        left = recession * left + rain[:, day]
        index[:, day] = left
    temperature = stations.forcing["air_temperature"].astype(np.float64)
    return np.stack([np.ones_like(index), np.log1p(index), temperature - 285.0], axis=-1)


def _lagged(stations: Stations) -> npt.NDArray[np.float32]:
    """Return what the trees are given, shape (n, n_day, n_column)."""
    columns = [_over_days(np.log1p, stations.forcing["precipitation"], n) for n in TOTAL_DAYS]
    for name in ("air_temperature", "specific_humidity", "shortwave_down"):
        columns += [_over_days(None, stations.forcing[name], n) / n for n in MEAN_DAYS]
    shape = stations.target.shape
    columns += [np.broadcast_to(soil[:, None], shape) for soil in stations.statics.values()]
    return np.stack(columns, axis=-1).astype(np.float32)


def _over_days(
    transform: Callable[[Values], Values] | None, values: npt.NDArray[np.float32], days: int
) -> Values:
    """Return the total of the days up to each, of fewer where there are not so many."""
    total = np.cumsum(values, axis=1, dtype=np.float64)
    total[:, days:] -= total[:, :-days].copy()
    return transform(total) if transform else total
