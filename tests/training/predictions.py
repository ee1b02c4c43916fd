"""Predictions of made-up places, for the tests of what is done with them."""

import numpy as np

from msm.training.evaluation.crossval import Predicted


def predicted(n_site: int = 12, noise: float = 0.03, seed: int = 0) -> Predicted:
    """Say something of places in the first half of the scored years, with its true uncertainty.

    The truth is the same for every seed; it has gaps, and the first is a level jumper. Sites
    farther on in the list are predicted less well.
    """
    days = np.arange(np.datetime64("2012-01-01"), np.datetime64("2017-12-31"))
    rng = np.random.default_rng(1)
    season = 0.25 + 0.08 * np.cos(2 * np.pi * np.arange(days.size) / 365.25)
    truth = season + rng.normal(0, 0.03, (n_site, days.size))
    truth[rng.random(truth.shape) < 0.3] = np.nan
    sigma = noise * (1 + np.arange(n_site))[:, None] / 2
    error = np.random.default_rng(seed).normal(0, 1, truth.shape) * sigma
    whole = np.where(np.isfinite(truth), truth, season)
    return Predicted(
        names=("GA_Newton_8_W", *(f"XX_Site_{n}_N" for n in range(1, n_site))),
        part=tuple(f"fold {n % 3 + 1}" for n in range(n_site)),
        lat=np.linspace(30, 45, n_site),
        lon=np.linspace(-120, -80, n_site),
        days=days,
        truth=truth.astype(np.float32),
        soil_moisture=(whole + error).astype(np.float32),
        uncertainty=np.broadcast_to(sigma, truth.shape).astype(np.float32),
    )
