"""Scores of a prediction with its uncertainty, and paired differences of two predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
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
"""Acceptable coverage of a site's 90 % interval, as counted by `share_sites_80_97`."""


@dataclass(frozen=True)
class UncertaintyScores:
    """Scores of a normal distribution around the prediction.

    Attributes
    ----------
    n
        Shape (n_site,). Days with a prediction, an uncertainty and a truth.
    crps
        Shape (n_site,). Mean continuous ranked probability score, in units of the input; NaN
        without a day.
    coverage50, coverage90
        Shape (n_site,). Share of days whose truth lies inside the central 50 and 90 % interval.
    """

    n: Counts
    crps: Values
    coverage50: Values
    coverage90: Values

    def pooled(self, coverage: Values) -> float:
        """Return the coverage over all days of all sites; NaN without a day."""
        scored = self.n > 0
        return (
            float(np.average(coverage[scored], weights=self.n[scored])) if scored.any() else np.nan
        )


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a metric between two predictions at the same sites.

    Attributes
    ----------
    n_sites
        Sites where both predictions have the metric.
    median
        Median over the sites of (first - second).
    low, high
        Bootstrap interval of the median.
    """

    n_sites: int
    median: float
    low: float
    high: float


def normal_crps(mean: ArrayLike, sigma: ArrayLike, value: ArrayLike) -> Values:
    """Return the continuous ranked probability score of a normal distribution.

    sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)) with z = (value - mean) / sigma (Gneiting et
    al. 2005, doi:10.1175/MWR2904.1); with sigma = 0 it is the absolute error. Units of the input.
    """
    spread = np.asarray(sigma, np.float64)
    error = np.asarray(value, np.float64) - np.asarray(mean, np.float64)
    wide = spread > 0
    z = error / np.where(wide, spread, 1.0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    score = spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(wide, score, np.abs(error))


def uncertainty_scores(
    prediction: ArrayLike, truth: ArrayLike, sigma: ArrayLike
) -> UncertaintyScores:
    """Score the predicted standard deviation of the error, site by site.

    Parameters
    ----------
    prediction, truth
        Shape (n_site, n_day). NaN where there is none.
    sigma
        Broadcastable to (n_site, n_day). Standard deviation of the error, units of the prediction;
        NaN where there is none.
    """
    p, t, spread, known = _with_sigma(prediction, truth, sigma)
    coverage50, coverage90 = coverage(prediction, truth, sigma, (0.5, 0.9))
    return UncertaintyScores(
        n=known.sum(axis=1),
        crps=site_mean(normal_crps(p, spread, t), known),
        coverage50=coverage50,
        coverage90=coverage90,
    )


def coverage(
    prediction: ArrayLike, truth: ArrayLike, sigma: ArrayLike, levels: Sequence[float]
) -> Values:
    """Return the share of days whose truth lies inside the central interval of each level.

    Parameters
    ----------
    prediction, truth
        Shape (n_site, n_day). NaN where there is none.
    sigma
        Broadcastable to (n_site, n_day). Standard deviation of the error, units of the prediction;
        NaN where there is none.
    levels
        Nominal coverages of the intervals, between 0 and 1.

    Returns
    -------
    ndarray, shape (n_level, n_site)
        NaN for a site without a day.
    """
    p, t, spread, known = _with_sigma(prediction, truth, sigma)
    error = np.abs(t - p)
    inside = (error <= ndtri((1 + level) / 2) * spread for level in levels)
    return np.stack([site_mean(days.astype(np.float64), known) for days in inside])


def share_within(values: Values, low: float, high: float) -> float:
    """Return the share of the sites with a finite value for which it lies in [low, high]."""
    known = values[np.isfinite(values)]
    return float(((known >= low) & (known <= high)).mean()) if known.size else np.nan


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, resamples: int, seed: int, level: float = 0.95
) -> PairedDifference:
    """Bootstrap the median over sites of the difference of a metric between two predictions.

    Sites are drawn with replacement, each with its two values; the interval is a percentile
    interval. It assumes independent sites, so correlated neighbours make it too narrow.

    Parameters
    ----------
    first, second
        Shape (n_site,). The metric at each site, such as R; NaN where a site has none.
    resamples
        Number of bootstrap samples.
    seed
    level
        Share of the bootstrap samples inside the interval.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"Metrics {a.shape} and {b.shape} must be (n_site,).")
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
    prediction: ArrayLike,
    truth: ArrayLike,
    days: Days,
    sigma: ArrayLike | None,
    *,
    min_days: int,
    anomalies: AnomalyRules,
) -> dict[str, Any]:
    """Evaluate a prediction at named sites, as `msm evaluate` writes it.

    Parameters
    ----------
    names
        Of the n_site sites.
    prediction, truth
        Shape (n_site, n_day). m3 m-3, NaN where there is none.
    days
        Shape (n_day,).
    sigma
        Broadcastable to (n_site, n_day), or None. Standard deviation of the prediction's error, m3
        m-3.
    min_days
        Sites with fewer days that have both values are left out, also of ``sites``.
    anomalies

    Returns
    -------
    dict
        ``n_sites``; ``median`` over the sites of R, RMSE, ubRMSE, bias, KGE and R_anomaly;
        ``coverage90`` over all days of all sites; ``share_sites_80_97``, the share of sites with a
        coverage90 of 0.80 to 0.97; ``sites``, the metrics of each site. It can be written as
        JSON: None stands for a value that cannot be computed.
    """
    p, t, both = on_common_days(prediction, truth)
    if len(names) != len(p):
        raise ValueError(f"There are {len(names)} names for {len(p)} sites.")
    kept = both.sum(axis=1) >= max(min_days, 1)
    p, t = (np.where(both, values, np.nan)[kept] for values in (p, t))
    found = site_metrics(p, t)
    metrics = {
        "R": found.r,
        "RMSE": found.rmse,
        "ubRMSE": found.ubrmse,
        "bias": found.bias,
        "KGE": found.kge,
        "R_anomaly": anomaly_r(p, t, days, anomalies),
    }
    spread = np.nan if sigma is None else np.broadcast_to(sigma, both.shape)[kept]
    scores = uncertainty_scores(p, t, spread)
    columns = metrics | {
        "CRPS": scores.crps,
        "coverage50": scores.coverage50,
        "coverage90": scores.coverage90,
    }
    kept_names = [name for name, keep in zip(names, kept, strict=True) if keep]
    return {
        "n_sites": len(kept_names),
        "median": {name: _number(median(values)) for name, values in metrics.items()},
        "coverage90": _number(scores.pooled(scores.coverage90)),
        "share_sites_80_97": _number(share_within(scores.coverage90, *FAIR_COVERAGE_90)),
        "sites": [
            {"name": name, "n": int(found.n[site])}
            | {column: _number(values[site]) for column, values in columns.items()}
            for site, name in enumerate(kept_names)
        ],
    }


def _with_sigma(
    prediction: ArrayLike, truth: ArrayLike, sigma: ArrayLike
) -> tuple[Values, Values, Values, NDArray[np.bool_]]:
    """Return prediction, truth and spread, 0 where one is missing, and the mask of all three."""
    p, t, both = on_common_days(prediction, truth)
    spread = np.broadcast_to(np.asarray(sigma, np.float64), p.shape)
    if (spread < 0).any():
        raise ValueError("A standard deviation is negative.")
    known = both & np.isfinite(spread)
    return p, t, np.where(known, spread, 0.0), known


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
