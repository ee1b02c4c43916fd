"""Calibrate an ensemble on the stations that its members have left out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from msm.model.card import Card, LevelTerm, Uncertainty
from msm.model.checkpoint import Checkpoint
from msm.training.data.stations import Stations
from msm.training.fitting.predict_stations import level_of, outputs

COVERAGE = 0.9
"""What the published uncertainty is to hold."""
STATIONS_A_TERM = 10
"""Fewer stations tell nothing of the level that would hold elsewhere."""

Floats = npt.NDArray[np.floating]


def calibrated(checkpoint: Checkpoint, ground: Stations, left_out: npt.NDArray[np.intp]) -> Card:
    """Find what the static attributes add to the level of a place, and how wide errors are.

    At a station, one member has never seen it: its error there is that of a single network at an
    unseen place.

    Parameters
    ----------
    checkpoint : Checkpoint
        An ensemble whose published head has a variance.
    ground : Stations
        Those that it learned from.
    left_out : ndarray of int, shape (n_station,)
        The member that has not seen each.

    Returns
    -------
    Card
        That of the checkpoint with `level` and `uncertainty`.
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
    """What each member errs at the stations that it left out, and expects to, (n_station, n_day).

    Attributes
    ----------
    error, expected : ndarray
        Prediction minus truth, m3 m-3, and the variance that the member expects of it.
    between : ndarray
        Variance between the members.
    members : int
    """

    def __init__(
        self, checkpoint: Checkpoint, ground: Stations, left_out: npt.NDArray[np.intp]
    ) -> None:
        card = checkpoint.card
        said = outputs(checkpoint, ground)[..., card.published_outputs].numpy()
        mean = said[..., 0] * card.head.std + card.head.mean
        each = np.arange(ground.n_cell)
        self.error = mean[left_out, each] - ground.target
        self.expected = np.exp(said[left_out, each, :, 1]) * card.head.std**2
        self.between = mean.var(axis=0, ddof=1)
        self.members = card.members


def _level(card: Card, ground: Stations, error: Floats) -> tuple[LevelTerm, ...]:
    """Regress the mean error of stations on their static attributes, by least squares.

    The constant of the regression is not kept: a place whose attributes are not known would have
    to have it too.
    """
    known = np.isfinite(error).any(axis=1)
    columns = {}
    for spec in card.statics:
        values = ground.statics[spec.name].astype(np.float64)
        # What only the satellite's cells have tells nothing here.
        if np.isfinite(values).any():
            values = np.log1p(values) if spec.transform == "log1p" else values
            columns[spec.name] = (values - spec.mean) / spec.std
            known &= np.isfinite(values)
    if not columns or known.sum() < STATIONS_A_TERM * len(columns):
        return ()
    lacking = -np.nanmean(error[known], axis=1, dtype=np.float64)
    design = np.stack([*columns.values(), np.ones(ground.n_cell)], axis=1)[known]
    *slopes, _ = np.linalg.lstsq(design, lacking, rcond=None)[0].tolist()
    return tuple(
        LevelTerm(name=name, slope=slope) for name, slope in zip(columns, slopes, strict=True)
    )


def _factor(made: _Errors, offset: Floats) -> float:
    """Find the factor on the aleatoric part with which 90 % of the errors are inside 90 %.

    The mean of M members errs less than one of them, by the part of the variance between them that
    averages out. With v that variance, a single error has the variance a^2 s^2 + v + v (M - 1) / M
    where the mean's is a^2 s^2 + v, which is what the product states with a factor of 1 on the
    spread; s is the standard deviation that the network expects. The factor a is chosen by
    bisection over all days of all stations, to whose predictions an offset is added.
    """
    error = made.error + offset[:, None]
    between = made.between * (2 * made.members - 1) / made.members
    there = np.isfinite(error)
    squared, expected, between = (values[there] for values in (error**2, made.expected, between))
    width = ndtri((1 + COVERAGE) / 2) ** 2

    def coverage(factor: float) -> float:
        return float((squared <= width * (factor**2 * expected + between)).mean())

    low, high = 0.01, 20.0
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if coverage(middle) < COVERAGE else (low, middle)
    return float(high)
