"""Scores of a prediction with its uncertainty, and of one prediction beside another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from msm.training.metrics import (
    AnomalyRules,
    Counts,
    Days,
    Values,
    anomaly_r,
    median,
    on_common_days,
    site_mean,
    site_metrics,
)

FAIR_COVERAGE_90 = (0.80, 0.97)
"""Coverage of the 90 % interval that a site may have; it names `share_sites_80_97`."""


@dataclass(frozen=True)
class UncertaintyScores:
    """How a normal distribution about the prediction stands against the truth.

    Attributes
    ----------
    n : ndarray of int, shape (n_site,)
        Days with a prediction, an uncertainty and a truth.
    crps : ndarray, shape (n_site,)
        Mean continuous ranked probability score, in units of the input; NaN without a day.
    coverage50, coverage90 : ndarray, shape (n_site,)
        Share of days whose truth lies inside the central 50 and 90 % interval.
    """

    n: Counts
    crps: Values
    coverage50: Values
    coverage90: Values

    def pooled(self, coverage: Values) -> float:
        """Return the coverage over all days of all sites; NaN where there is none."""
        there = self.n > 0
        return float(np.average(coverage[there], weights=self.n[there])) if there.any() else np.nan


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a figure between two predictions at the same sites.

    Attributes
    ----------
    n_sites : int
        Sites where both predictions have the figure.
    median : float
        Median over the sites of (first - second).
    low, high : float
        Bootstrap interval of the median.
    """

    n_sites: int
    median: float
    low: float
    high: float


def normal_crps(mean: npt.ArrayLike, sigma: npt.ArrayLike, value: npt.ArrayLike) -> Values:
    """Return the continuous ranked probability score of a normal distribution.

    sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)) with z = (value - mean) / sigma (Gneiting et
    al. 2005, doi:10.1175/MWR2904.1); without a spread it is the absolute error. Units of the input.
    """
    spread = np.asarray(sigma, np.float64)
    error = np.asarray(value, np.float64) - np.asarray(mean, np.float64)
    wide = spread > 0
    z = error / np.where(wide, spread, 1.0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    score = spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(wide, score, np.abs(error))


def uncertainty_scores(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, sigma: npt.ArrayLike
) -> UncertaintyScores:
    """Score a prediction's standard deviation site by site.

    Parameters
    ----------
    prediction, truth : array_like, shape (n_site, n_day)
        NaN where there is none.
    sigma : array_like, broadcastable to (n_site, n_day)
        Standard deviation of the error, units of the prediction; NaN where there is none.
    """
    p, t, spread, there = _with_spread(prediction, truth, sigma)
    coverage50, coverage90 = coverage(prediction, truth, sigma, (0.5, 0.9))
    return UncertaintyScores(
        n=there.sum(axis=1),
        crps=site_mean(normal_crps(p, spread, t), there),
        coverage50=coverage50,
        coverage90=coverage90,
    )


def coverage(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, sigma: npt.ArrayLike, levels: Sequence[float]
) -> Values:
    """Return the share of days whose truth lies inside the central interval of each level.

    Parameters
    ----------
    prediction, truth : array_like, shape (n_site, n_day)
        NaN where there is none.
    sigma : array_like, broadcastable to (n_site, n_day)
        Standard deviation of the error, units of the prediction; NaN where there is none.
    levels : sequence of float
        What each interval is said to hold, between 0 and 1.

    Returns
    -------
    ndarray, shape (n_level, n_site)
        NaN for a site without a day.
    """
    p, t, spread, there = _with_spread(prediction, truth, sigma)
    error = np.abs(t - p)
    inside = (error <= ndtri((1 + level) / 2) * spread for level in levels)
    return np.stack([site_mean(days.astype(np.float64), there) for days in inside])


def share_within(figure: Values, low: float, high: float) -> float:
    """Return the share of the sites having the figure where it lies in [low, high]."""
    there = figure[np.isfinite(figure)]
    return float(((there >= low) & (there <= high)).mean()) if there.size else np.nan


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, *, resamples: int, seed: int, level: float = 0.95
) -> PairedDifference:
    """Bootstrap the median over sites of the difference of a figure between two predictions.

    Sites are drawn with replacement, each with its two figures; the interval is that of the
    percentiles. It takes sites for independent, so between neighbours it is too narrow.

    Parameters
    ----------
    first, second : array_like, shape (n_site,)
        The figure at each site, as R of `site_metrics`; NaN where a site has none.
    resamples : int
        Bootstrap samples.
    seed : int
    level : float
        Share of the samples inside the interval.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"figures {a.shape} and {b.shape} must be (n_site,)")
    difference = (a - b)[np.isfinite(a) & np.isfinite(b)]
    n = difference.size
    if n == 0:
        return PairedDifference(0, np.nan, np.nan, np.nan)
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    medians = np.median(difference[drawn], axis=1)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(n, float(np.median(difference)), float(low), float(high))


def evaluation(
    names: Sequence[str],
    prediction: npt.ArrayLike,
    truth: npt.ArrayLike,
    days: Days,
    sigma: npt.ArrayLike | None,
    *,
    min_days: int,
    anomalies: AnomalyRules,
) -> dict[str, Any]:
    """Evaluate a prediction at named sites, as `msm evaluate` writes it.

    Parameters
    ----------
    names : sequence of str, length n_site
    prediction, truth : array_like, shape (n_site, n_day)
        m3 m-3, NaN where there is none.
    days : ndarray of datetime64, shape (n_day,)
    sigma : array_like, broadcastable to (n_site, n_day), or None
        Standard deviation of the prediction's error, m3 m-3.
    min_days : int
        A site with fewer days that have both values is left out, of the list too.
    anomalies : AnomalyRules

    Returns
    -------
    dict
        ``n_sites``; ``median`` over the sites of R, RMSE, ubRMSE, bias, KGE and R_anomaly;
        ``coverage90`` over all days of all sites; ``share_sites_80_97``, the share of sites with a
        coverage90 of 0.80 to 0.97; ``sites``, a list of the figures of each. It is ready for JSON:
        None stands for a figure that cannot be had.
    """
    p, t, both = on_common_days(prediction, truth)
    if len(names) != len(p):
        raise ValueError(f"{len(names)} names for {len(p)} sites")
    kept = both.sum(axis=1) >= max(min_days, 1)
    p, t = (np.where(both, values, np.nan)[kept] for values in (p, t))
    found = site_metrics(p, t)
    figures = {
        "R": found.r,
        "RMSE": found.rmse,
        "ubRMSE": found.ubrmse,
        "bias": found.bias,
        "KGE": found.kge,
        "R_anomaly": anomaly_r(p, t, days, anomalies),
    }
    spread = np.nan if sigma is None else np.broadcast_to(sigma, both.shape)[kept]
    scores = uncertainty_scores(p, t, spread)
    columns = figures | {
        "CRPS": scores.crps,
        "coverage50": scores.coverage50,
        "coverage90": scores.coverage90,
    }
    kept_names = [name for name, keep in zip(names, kept, strict=True) if keep]
    return {
        "n_sites": len(kept_names),
        "median": {name: _number(median(figure)) for name, figure in figures.items()},
        "coverage90": _number(scores.pooled(scores.coverage90)),
        "share_sites_80_97": _number(share_within(scores.coverage90, *FAIR_COVERAGE_90)),
        "sites": [
            {"name": name, "n": int(found.n[site])}
            | {column: _number(figure[site]) for column, figure in columns.items()}
            for site, name in enumerate(kept_names)
        ],
    }


def _with_spread(
    prediction: npt.ArrayLike, truth: npt.ArrayLike, sigma: npt.ArrayLike
) -> tuple[Values, Values, Values, npt.NDArray[np.bool_]]:
    """Return prediction, truth and spread, 0 where one is missing, and where all are there."""
    p, t, both = on_common_days(prediction, truth)
    spread = np.broadcast_to(np.asarray(sigma, np.float64), p.shape)
    if (spread < 0).any():
        raise ValueError("a standard deviation is negative")
    there = both & np.isfinite(spread)
    return p, t, np.where(there, spread, 0.0), there


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
