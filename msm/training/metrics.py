"""Figures of merit per site, over the days that have both a prediction and a truth."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]

Mask = npt.NDArray[np.bool_]

ROUNDING = 1e-12
"""A spread smaller than this share of a series' largest value is rounding, not a signal."""


def within(days: Days, first: date, last: date) -> Mask:
    """Return which of the days are from the first to the last, both included."""
    after: Mask = days >= np.datetime64(first)
    return after & (days <= np.datetime64(last))


@dataclass(frozen=True)
class SiteMetrics:
    """Figures per site; NaN where a site has too few days.

    Attributes
    ----------
    n : ndarray of int, shape (n_site,)
        Days with both values.
    r : ndarray, shape (n_site,)
        Pearson correlation over time; needs two days and a spread in both series.
    rmse, ubrmse, bias : ndarray, shape (n_site,)
        Units of the input. bias = mean(p - t), rmse = sqrt(mean((p - t)^2)) and
        ubrmse = sqrt(rmse^2 - bias^2), computed as the root-mean-square of the difference without
        its mean (Entekhabi et al. 2010, doi:10.1175/2010JHM1223.1).
    kge : ndarray, shape (n_site,)
        Kling-Gupta efficiency, 1 - sqrt((r - 1)^2 + (a - 1)^2 + (b - 1)^2) with a = std(p) / std(t)
        and b = mean(p) / mean(t) (Gupta et al. 2009, doi:10.1016/j.jhydrol.2009.08.003); needs `r`
        and a mean of the truth other than 0.
    """

    n: Counts
    r: Values
    rmse: Values
    ubrmse: Values
    bias: Values
    kge: Values

    def medians(self) -> dict[str, float]:
        """Return the median over the sites that have the figure, by its name."""
        return {
            name: median(getattr(self, name)) for name in ("r", "rmse", "ubrmse", "bias", "kge")
        }


@dataclass(frozen=True)
class AnomalyRules:
    """How a site's mean year is taken, and which sites have enough days for one.

    Attributes
    ----------
    window_days : int
        Width of the moving average over the mean year; odd, so that it is centred.
    min_years : int
        Calendar years that a site needs ...
    min_days_per_year : int
        ... with so many days that have both a prediction and a truth.
    """

    window_days: int
    min_years: int
    min_days_per_year: int

    def __post_init__(self) -> None:
        if self.window_days % 2 == 0 or not 1 <= self.window_days <= 365:
            raise ValueError(f"window of {self.window_days} days must be odd and within a year")


def median(figure: Values) -> float:
    """Return the median over the sites that have the figure; NaN where none has."""
    there = figure[np.isfinite(figure)]
    return float(np.median(there)) if there.size else float("nan")


def site_metrics(prediction: npt.ArrayLike, truth: npt.ArrayLike) -> SiteMetrics:
    """Compare two records site by site.

    Parameters
    ----------
    prediction, truth : array_like, shape (n_site, n_day)
        NaN where there is none; a day counts only where both are there.
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


def anomaly_r(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, days: Days, rules: AnomalyRules
) -> Values:
    """Correlate what is left of both records without their mean year.

    A record's mean year is its own mean for each calendar day, smoothed by a moving average that
    runs from December into January. It is taken over the days that have both values, so that a
    gap in one record does not give the two different years (Gruber et al. 2020,
    doi:10.1016/j.rse.2020.111806). 29 February counts as a 28 February: every other date keeps its
    place in all years.

    Parameters
    ----------
    prediction, truth : array_like, shape (n_site, n_day)
        NaN where there is none.
    days : ndarray of datetime64, shape (n_day,)
    rules : AnomalyRules

    Returns
    -------
    ndarray, shape (n_site,)
        NaN where a site has too few years or one of the anomalies has no spread.
    """
    p, t, both = on_common_days(prediction, truth)
    dates = days.astype("datetime64[D]")
    if dates.shape != p.shape[1:]:
        raise ValueError(f"days {dates.shape} must be ({p.shape[1]},)")
    years = dates.astype("datetime64[Y]")
    per_year = np.array([both[:, years == year].sum(axis=1) for year in np.unique(years)])
    enough = (per_year >= rules.min_days_per_year).sum(axis=0) >= rules.min_years
    p, t, both = p[enough], t[enough], both[enough]
    calendar = calendar_day(dates)
    departures = []
    for series in (p, t):
        departure = series - _mean_year(series, both, calendar, rules.window_days)[:, calendar]
        departure = np.where(both, departure - site_mean(departure, both)[:, None], 0.0)
        departures.append(_without_rounding(departure, series))
    r = np.full(enough.size, np.nan)
    r[enough] = _correlation(*departures)
    return r


def calendar_day(days: Days) -> Counts:
    """Return the place of each day in a year of 365, from 0; 29 February has that of the 28th."""
    years = days.astype("datetime64[Y]")
    first = years.astype("datetime64[D]")
    place = (days - first).astype(np.int64)
    leap = ((years + 1).astype("datetime64[D]") - first).astype(np.int64) == 366
    return place - (leap & (place >= 59))


def on_common_days(
    prediction: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[Values, Values, npt.NDArray[np.bool_]]:
    """Return both records with 0 where one of them has no value, and where both have one."""
    p = np.array(prediction, np.float64)
    t = np.array(truth, np.float64)
    if p.shape != t.shape or p.ndim != 2:
        raise ValueError(f"prediction {p.shape} and truth {t.shape} must be (n_site, n_day)")
    both = np.isfinite(p) & np.isfinite(t)
    return np.where(both, p, 0.0), np.where(both, t, 0.0), both


def site_mean(values: Values, where: npt.NDArray[np.bool_]) -> Values:
    """Return the mean of each row over the days of `where`; NaN for a row that has none."""
    n = where.sum(axis=1)
    total = np.where(where, values, 0.0).sum(axis=1)
    return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)


def _without_rounding(departure: Values, series: Values) -> Values:
    """Return departures from a mean, exactly 0 where they are its rounding: 0.1 has no spread."""
    largest = np.abs(series).max(axis=1, initial=0.0, keepdims=True)
    return np.where(np.abs(departure) > ROUNDING * largest, departure, 0.0)


def _correlation(p_anomaly: Values, t_anomaly: Values) -> Values:
    """Correlate rows without their means; NaN where one has no spread."""
    spread = np.sqrt((p_anomaly**2).sum(axis=1) * (t_anomaly**2).sum(axis=1))
    together = (p_anomaly * t_anomaly).sum(axis=1)
    return np.divide(together, spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def _mean_year(
    series: Values, where: npt.NDArray[np.bool_], calendar: Counts, window_days: int
) -> Values:
    """Return each site's smoothed mean year, shape (n_site, 365).

    The average of a window is over the calendar days that have a mean; NaN where none has.
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
