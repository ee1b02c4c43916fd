"""Figures of merit per site, over the days that have both a prediction and a truth."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


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
    """

    n: npt.NDArray[np.int64]
    r: Values
    rmse: Values
    ubrmse: Values
    bias: Values

    def medians(self) -> dict[str, float]:
        """Return the median over the sites that have the figure, by its name."""
        return {
            name: float(np.nanmedian(getattr(self, name)))
            if np.isfinite(getattr(self, name)).any()
            else float("nan")
            for name in ("r", "rmse", "ubrmse", "bias")
        }


def site_metrics(prediction: npt.ArrayLike, truth: npt.ArrayLike) -> SiteMetrics:
    """Compare two records site by site.

    Parameters
    ----------
    prediction, truth : array_like, shape (n_site, n_day)
        NaN where there is none; a day counts only where both are there.
    """
    p = np.array(prediction, np.float64)
    t = np.array(truth, np.float64)
    if p.shape != t.shape or p.ndim != 2:
        raise ValueError(f"prediction {p.shape} and truth {t.shape} must be (n_site, n_day)")
    both = np.isfinite(p) & np.isfinite(t)
    n = both.sum(axis=1)

    def mean(values: Values) -> Values:
        total = np.where(both, values, 0.0).sum(axis=1)
        return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)

    p_anomaly = np.where(both, p - mean(p)[:, None], 0.0)
    t_anomaly = np.where(both, t - mean(t)[:, None], 0.0)
    difference = np.where(both, p - t, 0.0)
    bias = mean(difference)
    spread = np.sqrt((p_anomaly**2).sum(axis=1) * (t_anomaly**2).sum(axis=1))
    r = np.divide(
        (p_anomaly * t_anomaly).sum(axis=1),
        spread,
        out=np.full(n.shape, np.nan),
        where=(n > 1) & (spread > 0),
    )
    return SiteMetrics(
        n=n,
        r=r,
        rmse=np.sqrt(mean(difference**2)),
        ubrmse=np.sqrt(mean((p_anomaly - t_anomaly) ** 2)),
        bias=bias,
    )
