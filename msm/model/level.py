"""The level of a place, as far as its static attributes tell more of it than the networks learned.

The networks see tens of soils and thousands of days of each: they learn much of the days, and of
the soils less than a linear regression tells (`msm.training.fitting.calibration`). The regression
adds one number to a place, the same on every day. Where an attribute of it is missing, nothing is
added and the error is wider.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from msm.model.card import Card


class Level(NamedTuple):
    """What the calibration of the level comes to at places, each of shape (n_cell,)."""

    offset: Tensor
    """Added to the soil moisture, m3 m-3."""
    widening: Tensor
    """Factor on the aleatoric part."""

    def at(self, cells: slice) -> "Level":
        """Return that of some of the cells."""
        return Level(self.offset[cells], self.widening[cells])


def level(card: Card, statics: Tensor) -> Level:
    """Return the level of places.

    Parameters
    ----------
    card : Card
    statics : Tensor, shape (n_cell, n_static)
        Raw, in the order of ``card.statics``; NaN where one is missing.
    """
    names = [spec.name for spec in card.statics]
    offset = statics.new_zeros(len(statics))
    known = torch.ones_like(offset, dtype=torch.bool)
    for term in card.level:
        column = names.index(term.name)
        spec, values = card.statics[column], statics[:, column]
        if spec.transform == "log1p":
            values = values.log1p()
        offset += term.slope * (values - spec.mean) / spec.std
        known &= ~values.isnan()
    unknown = torch.full_like(offset, card.uncertainty.without_level)
    return Level(torch.where(known, offset, 0.0), torch.where(known, 1.0, unknown))


def apply_(level: Level, prediction: Tensor, card: Card) -> None:
    """Apply the level of cells to the fields of a `Prediction`, shape (3, n_cell, ...)."""
    low, high = card.target.minimum, card.target.maximum
    shape = (-1, *(1,) * (prediction.ndim - 2))
    prediction[0].add_(level.offset.view(shape)).clamp_(low, high)
    prediction[1].mul_(level.widening.view(shape)).clamp_(max=high - low)
