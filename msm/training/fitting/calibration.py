"""Calibration of an ensemble on the stations that its members left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from msm.model.card import Card, LevelTerm, Uncertainty
from msm.model.checkpoint import Checkpoint
from msm.training.data.stations import Stations
from msm.training.fitting.predict_stations import level_of, member_outputs

COVERAGE = 0.9
"""Coverage that the published 90 % interval is calibrated to."""
STATIONS_PER_TERM = 10
"""A regression with fewer stations per attribute would not generalise to other places."""

Floats = NDArray[np.floating]


def calibrate(checkpoint: Checkpoint, ground: Stations, left_out: NDArray[np.intp]) -> Card:
    """Fit the level regression and the factor on the aleatoric uncertainty.

    Each station was left out by one member. The error of that member there is the error of a
    single network at an unseen place.

    Parameters
    ----------
    checkpoint
        An ensemble whose published head has a log-variance.
    ground
        The stations that it was trained on.
    left_out
        Shape (n_station,). Number of the member that left each station out.

    Returns
    -------
    Card
        The card of the checkpoint with `level` and `uncertainty`.
    """
    first = _Errors(checkpoint, ground, left_out)
    terms = _level(checkpoint.card, ground, first.error)
    card = checkpoint.card.model_copy(update={"level": terms})
    found = {"aleatoric": _factor(first, level_of(card, ground).offset.numpy())}
    if terms:
        missing = {term.name: np.full(ground.n_cell, np.nan, np.float32) for term in terms}
        bare = replace(ground, statics=ground.statics | missing)
        without = _factor(_Errors(checkpoint, bare, left_out), np.zeros(ground.n_cell))
        found["without_level"] = without / found["aleatoric"]
    return card.model_copy(update={"uncertainty": Uncertainty(**found)})


class _Errors:
    """Errors of each member at the stations that it left out, (n_station, n_day).

    Attributes
    ----------
    error, expected
        Prediction minus truth, m3 m-3, and its predicted variance.
    between
        Variance between the members' means.
    members
    """

    def __init__(
        self, checkpoint: Checkpoint, ground: Stations, left_out: NDArray[np.intp]
    ) -> None:
        card = checkpoint.card
        output = member_outputs(checkpoint, ground)[..., card.published_outputs].numpy()
        mean = output[..., 0] * card.head.std + card.head.mean
        each = np.arange(ground.n_cell)
        self.error = mean[left_out, each] - ground.target
        self.expected = np.exp(output[left_out, each, :, 1]) * card.head.std**2
        self.between = mean.var(axis=0, ddof=1)
        self.members = card.members


def _level(card: Card, ground: Stations, error: Floats) -> tuple[LevelTerm, ...]:
    """Regress the mean error of stations on their static attributes, by least squares.

    The intercept is dropped: it would have to apply to places with missing attributes as well.
    """
    known = np.isfinite(error).any(axis=1)
    columns = {}
    for spec in card.statics:
        values = ground.statics[spec.name].astype(np.float64)
        # Attributes that only satellite cells have are not used.
        if np.isfinite(values).any():
            values = np.log1p(values) if spec.transform == "log1p" else values
            columns[spec.name] = (values - spec.mean) / spec.std
            known &= np.isfinite(values)
    if not columns or known.sum() < STATIONS_PER_TERM * len(columns):
        return ()
    missing = -np.nanmean(error[known], axis=1, dtype=np.float64)
    design = np.stack([*columns.values(), np.ones(ground.n_cell)], axis=1)[known]
    *slopes, _ = np.linalg.lstsq(design, missing, rcond=None)[0].tolist()
    return tuple(
        LevelTerm(name=name, slope=slope) for name, slope in zip(columns, slopes, strict=True)
    )


def _factor(found: _Errors, offset: Floats) -> float:
    """Return the factor on the aleatoric part with which the 90 % interval has 90 % coverage.

    The mean of M members has a smaller error than a single member, since part of the variance v
    between the members averages out. The error variance of a single member is
    a^2 s^2 + v + v (M - 1) / M; that of the mean is a^2 s^2 + v, which the product states with an
    epistemic factor of 1. Here s is the predicted standard deviation. The factor a is found by
    bisection over all days of all stations, after the offset is added to their predictions.
    """
    error = found.error + offset[:, None]
    between = found.between * (2 * found.members - 1) / found.members
    known = np.isfinite(error)
    squared, expected, between = (values[known] for values in (error**2, found.expected, between))
    width = ndtri((1 + COVERAGE) / 2) ** 2

    def coverage(factor: float) -> float:
        return float((squared <= width * (factor**2 * expected + between)).mean())

    low, high = 0.01, 20.0
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if coverage(middle) < COVERAGE else (low, middle)
    return float(high)
