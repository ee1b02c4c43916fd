"""The level of a place, as far as its static attributes tell more of it than the networks learned.

The networks see tens of soils and thousands of days of each: they learn much of the days, and of
the soils less than a straight line tells (`msm.training.calibration`). What the line adds is one
number for a place, the same on every day.
"""

import torch
from torch import Tensor

from msm.model.card import Card


def offsets(card: Card, statics: Tensor) -> Tensor:
    """Return what is added to the soil moisture of places.

    Parameters
    ----------
    card : Card
    statics : Tensor, shape (..., n_static)
        Raw, in the order of ``card.statics``; NaN where one is missing, which then adds nothing.

    Returns
    -------
    Tensor, shape (...)
        m3 m-3.
    """
    names = [spec.name for spec in card.statics]
    total = statics.new_zeros(statics.shape[:-1])
    for term in card.level:
        column = names.index(term.name)
        spec, values = card.statics[column], statics[..., column]
        if spec.transform == "log1p":
            values = values.log1p()
        normalised = (values - spec.mean) / spec.std
        total += term.slope * torch.where(normalised.isnan(), 0.0, normalised)
    return total


def shift_(soil_moisture: Tensor, offset: Tensor, card: Card) -> Tensor:
    """Add offsets to soil moisture, m3 m-3, within the physical bounds of the card."""
    return soil_moisture.add_(offset).clamp_(card.target.minimum, card.target.maximum)
