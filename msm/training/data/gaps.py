"""Filling of gaps in the weather of stations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BRIDGED_DAYS = 3
"""Longest gap that is interpolated between its neighbours."""

SEASONAL_DAYS = 30
"""Longest gap after which the modelled soil moisture is still usable, filled by climatology."""

SMOOTHING_DAYS = 31
"""Width of the centred window of the seasonal mean, days of the year."""


def fill_gaps(
    values: Floats, days: NDArray[np.datetime64], bridge: bool
) -> tuple[Floats, dict[str, Mask]]:
    """Fill missing values.

    Parameters
    ----------
    values
        Shape (n_station, n_day). NaN in the gaps; at least one value of each station.
    days
        Shape (n_day,). Consecutive.
    bridge
        Whether gaps of up to `BRIDGED_DAYS` are filled on a straight line between their neighbours.
        Precipitation is not: of gaps of three days cut into the USCRN, the mean of the season gave
        the totals back to 14 mm (root mean square), neighbours to 20 mm and nothing at all to 17
        mm, and nothing would take from the soil all that fell.

    Returns
    -------
    filled : ndarray of float32, shape (n_station, n_day)
    gaps : dict of str to ndarray of bool, shape (n_station, n_day)
        Days that were filled by the rules ``interpolated``, ``climatology`` and ``long gap``.
    """
    missing = np.isnan(values)
    filled = np.where(missing, season_means(values, days), values)
    gaps = {rule: np.zeros_like(missing) for rule in ("interpolated", "climatology", "long gap")}
    for row, gone in enumerate(missing):
        edges = np.flatnonzero(np.diff(gone, prepend=False, append=False))
        for start, stop in edges.reshape(-1, 2):
            if stop - start > SEASONAL_DAYS:
                rule = "long gap"
            elif not bridge or stop - start > BRIDGED_DAYS or start == 0 or stop == days.size:
                rule = "climatology"
            else:
                rule = "interpolated"
                line = np.linspace(values[row, start - 1], values[row, stop], stop - start + 2)
                filled[row, start:stop] = line[1:-1]
            gaps[rule][row, start:stop] = True
    return filled, gaps


def season_means(values: Floats, days: NDArray[np.datetime64]) -> Floats:
    """Return each station's own mean of the season, over all its years.

    Parameters
    ----------
    values
        Shape (n_station, n_day).
    days
        Shape (n_day,).

    Returns
    -------
    ndarray of float32, shape (n_station, n_day)
        Mean over the `SMOOTHING_DAYS` days of the year about each day; where none of them was
        ever measured, on a line between the nearest that were.
    """
    of_year = (days - days.astype("datetime64[Y]")).astype(np.intp)
    year = np.arange(366)
    is_day = (of_year[:, None] == year).astype(np.float64)
    known = np.isfinite(values)
    half = SMOOTHING_DAYS // 2
    total, count = (
        np.lib.stride_tricks.sliding_window_view(
            np.pad(found @ is_day, ((0, 0), (half, half)), mode="wrap"), SMOOTHING_DAYS, axis=1
        ).sum(axis=-1)
        for found in (np.where(known, values, 0), known)
    )
    means = np.empty(values.shape, np.float32)
    for row in range(len(values)):
        there = count[row] > 0
        mean = total[row, there] / count[row, there]
        means[row] = np.interp(year, year[there], mean, period=year.size)[of_year]
    return means
