"""Calibrate an ensemble on the stations that its members have left out."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from msm.model.card import Uncertainty
from msm.model.checkpoint import Checkpoint
from msm.training.hindcast import outputs
from msm.training.stations import Stations

LEVEL = 0.9
"""Coverage that the published uncertainty is to have."""


def calibrated(
    checkpoint: Checkpoint, ground: Stations, left_out: npt.NDArray[np.intp]
) -> Uncertainty:
    """Find the factor on the aleatoric part with which 90 % of the errors are inside 90 %.

    At a station, one member has never seen it: its error there is that of a single network at an
    unseen place. The mean of M members errs less, by the part of the variance between them that
    averages out. With v that variance, a single error has the variance a^2 s^2 + v + v (M - 1) / M
    where the mean's is a^2 s^2 + v, which is what the product states with a factor of 1 on the
    spread; s is the standard deviation that the network expects. The factor a is chosen by
    bisection over all days of all stations.

    Parameters
    ----------
    checkpoint : Checkpoint
        An ensemble whose published head has a variance.
    ground : Stations
        Those that it learned from.
    left_out : ndarray of int, shape (n_station,)
        The member that has not seen each.
    """
    card = checkpoint.card
    said = outputs(checkpoint, ground)[..., card.published_outputs].numpy()
    mean = said[..., 0] * card.head.std + card.head.mean
    each = np.arange(ground.n_cell)
    error = mean[left_out, each] - ground.target
    expected = np.exp(said[left_out, each, :, 1]) * card.head.std**2
    between = mean.var(axis=0, ddof=1) * (2 * card.members - 1) / card.members
    there = np.isfinite(error)
    squared, expected, between = (values[there] for values in (error**2, expected, between))
    width = ndtri((1 + LEVEL) / 2) ** 2

    def coverage(factor: float) -> float:
        return float((squared <= width * (factor**2 * expected + between)).mean())

    low, high = 0.01, 20.0
    for _ in range(40):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if coverage(middle) < LEVEL else (low, middle)
    return Uncertainty(aleatoric=float(high))
