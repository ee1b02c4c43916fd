"""Metrics per site, over the days that have both a prediction and a truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Days = NDArray[np.datetime64]

Mask = NDArray[np.bool_]

ROUNDING = 1e-12
"""Departures smaller than this share of a series' largest value are rounding errors."""


def within(days: Days, first: date, last: date) -> Mask:
    """Return whether each day lies in first..last, both included."""
    after: Mask = days >= np.datetime64(first)
    return after & (days <= np.datetime64(last))


@dataclass(frozen=True)
class SiteMetrics:
    """Metrics per site; NaN where a site has too few days.

    Attributes
    ----------
    n
        Shape (n_site,). Days with both values.
    r
        Shape (n_site,). Pearson correlation over time; needs two days and two series that vary.
    rmse, ubrmse, bias
        Shape (n_site,). Units of the input. bias = mean(p - t), rmse = sqrt(mean((p - t)^2)) and
        ubrmse = sqrt(rmse^2 - bias^2), computed as the root-mean-square of the difference without
        its mean (Entekhabi et al. 2010, doi:10.1175/2010JHM1223.1).
    kge
        Shape (n_site,). Kling-Gupta efficiency, 1 - sqrt((r - 1)^2 + (a - 1)^2 + (b - 1)^2) with a
        = std(p) / std(t) and b = mean(p) / mean(t) (Gupta et al. 2009,
        doi:10.1016/j.jhydrol.2009.08.003); needs `r` and a mean of the truth other than 0.
    """

    n: Counts
    r: Values
    rmse: Values
    ubrmse: Values
    bias: Values
    kge: Values

    def medians(self) -> dict[str, float]:
        """Return the median of each metric over the sites that have it."""
        return {
            name: median(getattr(self, name)) for name in ("r", "rmse", "ubrmse", "bias", "kge")
        }


@dataclass(frozen=True)
class AnomalyRules:
    """Rules of a site's mean seasonal cycle, and of the days that it needs.

    Attributes
    ----------
    window_days
        Width of the moving average over the mean seasonal cycle; odd, so that it is centred.
    min_years
        Least number of calendar years with `min_days_per_year`.
    min_days_per_year
        Least number of days in a year that have both a prediction and a truth.
    """

    window_days: int
    min_years: int
    min_days_per_year: int

    def __post_init__(self) -> None:
        if self.window_days % 2 == 0 or not 1 <= self.window_days <= 365:
            raise ValueError(f"Window of {self.window_days} days must be odd and within a year.")


def median(values: Values) -> float:
    """Return the median over the sites with a finite value; NaN if there is none."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def site_metrics(prediction: ArrayLike, truth: ArrayLike) -> SiteMetrics:
    """Compare two records site by site.

    Parameters
    ----------
    prediction, truth
        Shape (n_site, n_day). NaN where there is none; a day counts only with both values.
    """
    p, t, both = on_common_days(prediction, truth)
    n = both.sum(axis=1)
    p_mean, t_mean = site_mean(p, both), site_mean(t, both)
    p_anomaly = _without_rounding(np.where(both, p - p_mean[:, None], 0.0), p)
    t_anomaly = _without_rounding(np.where(both, t - t_mean[:, None], 0.0), t)
    r = _correlation(p_anomaly, t_anomaly)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread_ratio = np.sqrt((p_anomaly**2).sum(axis=1) / (t_anomaly**2).sum(axis=1))
        mean_ratio = np.where(t_mean != 0, p_mean / t_mean, np.nan)
        kge = 1 - np.sqrt((r - 1) ** 2 + (spread_ratio - 1) ** 2 + (mean_ratio - 1) ** 2)
    return SiteMetrics(
        n=n,
        r=r,
        rmse=np.sqrt(site_mean((p - t) ** 2, both)),
        ubrmse=np.sqrt(site_mean((p_anomaly - t_anomaly) ** 2, both)),
        bias=site_mean(p - t, both),
        kge=kge,
    )


def anomaly_r(prediction: ArrayLike, truth: ArrayLike, days: Days, rules: AnomalyRules) -> Values:
    """Return the correlation of the anomalies from each record's mean seasonal cycle.

    The mean seasonal cycle is the record's mean for each calendar day, smoothed by a moving average
    that continues from December to January. It is computed over the days that have both values, so
    that a gap in one record does not make the two cycles differ (Gruber et al. 2020,
    doi:10.1016/j.rse.2020.111806). 29 February counts as a 28 February: every other date keeps its
    place in all years.

    Parameters
    ----------
    prediction, truth
        Shape (n_site, n_day). NaN where there is none.
    days
        Shape (n_day,).
    rules

    Returns
    -------
    ndarray, shape (n_site,)
        NaN where a site has too few years or one of the anomalies has no variance.
    """
    p, t, both = on_common_days(prediction, truth)
    dates = days.astype("datetime64[D]")
    if dates.shape != p.shape[1:]:
        raise ValueError(f"Days {dates.shape} must be ({p.shape[1]},).")
    years = dates.astype("datetime64[Y]")
    per_year = np.array([both[:, years == year].sum(axis=1) for year in np.unique(years)])
    enough = (per_year >= rules.min_days_per_year).sum(axis=0) >= rules.min_years
    p, t, both = p[enough], t[enough], both[enough]
    calendar = calendar_day(dates)
    departures = []
    for series in (p, t):
        departure = series - _seasonal_cycle(series, both, calendar, rules.window_days)[:, calendar]
        departure = np.where(both, departure - site_mean(departure, both)[:, None], 0.0)
        departures.append(_without_rounding(departure, series))
    r = np.full(enough.size, np.nan)
    r[enough] = _correlation(*departures)
    return r


def calendar_day(days: Days) -> Counts:
    """Return each day's position in a year of 365 days, from 0; 29 February counts as the 28th."""
    years = days.astype("datetime64[Y]")
    first = years.astype("datetime64[D]")
    place = (days - first).astype(np.int64)
    leap = ((years + 1).astype("datetime64[D]") - first).astype(np.int64) == 366
    return place - (leap & (place >= 59))


def on_common_days(
    prediction: ArrayLike, truth: ArrayLike
) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Return both records, 0 where either is missing, and the mask of days that have both."""
    p = np.array(prediction, np.float64)
    t = np.array(truth, np.float64)
    if p.shape != t.shape or p.ndim != 2:
        raise ValueError(f"Prediction {p.shape} and truth {t.shape} must be (n_site, n_day).")
    both = np.isfinite(p) & np.isfinite(t)
    return np.where(both, p, 0.0), np.where(both, t, 0.0), both


def site_mean(values: Values, where: NDArray[np.bool_]) -> Values:
    """Return the mean of each row over the days of `where`; NaN for a row that has none."""
    n = where.sum(axis=1)
    total = np.where(where, values, 0.0).sum(axis=1)
    return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)


def _without_rounding(departure: Values, series: Values) -> Values:
    """Return departures from a mean, 0 where they are rounding errors (of a constant series)."""
    largest = np.abs(series).max(axis=1, initial=0.0, keepdims=True)
    return np.where(np.abs(departure) > ROUNDING * largest, departure, 0.0)


def _correlation(p_anomaly: Values, t_anomaly: Values) -> Values:
    """Return the correlation of rows with mean 0; NaN where one has no variance."""
    spread = np.sqrt((p_anomaly**2).sum(axis=1) * (t_anomaly**2).sum(axis=1))
    together = (p_anomaly * t_anomaly).sum(axis=1)
    return np.divide(together, spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def _seasonal_cycle(
    series: Values, where: NDArray[np.bool_], calendar: Counts, window_days: int
) -> Values:
    """Return each site's smoothed mean seasonal cycle, shape (n_site, 365).

    The moving average takes the calendar days that have a mean; NaN where none has.
    """
    n_site = series.shape[0]
    place = (np.arange(n_site)[:, None] * 365 + calendar)[where]
    count = np.bincount(place, minlength=n_site * 365)
    total = np.bincount(place, weights=series[where], minlength=n_site * 365)
    mean = (total / np.maximum(count, 1)).reshape(n_site, 365)
    known = (count > 0).astype(np.float64).reshape(n_site, 365)
    half = window_days // 2

    def around(values: Values) -> Values:
        wrapped = np.pad(values, ((0, 0), (half, half)), mode="wrap")
        return np.lib.stride_tricks.sliding_window_view(wrapped, window_days, axis=1).sum(axis=-1)

    days_known = around(known)
    return np.divide(
        around(mean), days_known, out=np.full(mean.shape, np.nan), where=days_known > 0
    )
