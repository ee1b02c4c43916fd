"""Offset of a place's mean soil moisture, from a linear regression on its static attributes.

The networks see about a hundred soils and thousands of days of each, so they learn the effect of
static attributes less well than a linear regression (`msm.training.fitting.calibration`). The
regression adds one constant to the soil moisture of a place. Where a static attribute of the
regression is missing, the offset is 0 and the uncertainty is larger.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from msm.model.card import Card


class Level(NamedTuple):
    """Offset and uncertainty factor of places, each of shape (n_cell,)."""

    offset: Tensor
    """Added to the soil moisture, m3 m-3."""
    widening: Tensor
    """Factor on the aleatoric part."""

    def at(self, cells: slice) -> Level:
        """Return the level of a block of cells."""
        return Level(self.offset[cells], self.widening[cells])


def level(card: Card, statics: Tensor) -> Level:
    """Return the level of places.

    Parameters
    ----------
    card
    statics
        Shape (n_cell, n_static). Raw, in the order of ``card.statics``; NaN where one is missing.
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


def add_level_(level: Level, prediction: Tensor, card: Card) -> None:
    """Add the level of cells, in place, to the fields of a `Prediction`, (3, n_cell, ...)."""
    low, high = card.target.minimum, card.target.maximum
    shape = (-1, *(1,) * (prediction.ndim - 2))
    prediction[0].add_(level.offset.view(shape)).clamp_(low, high)
    prediction[1].mul_(level.widening.view(shape)).clamp_(max=high - low)
