"""Predictions of a checkpoint at the places and days of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from msm.model.card import Card
from msm.model.checkpoint import Checkpoint
from msm.model.level import Level, add_level_, level
from msm.model.network import network_of
from msm.model.scaling import Scaling
from msm.training.data.datasets import select_inputs
from msm.training.data.samples import Floats, Samples
from msm.training.fitting.fit import channels

S = TypeVar("S", bound=Samples)


@dataclass(frozen=True, eq=False)
class StationPrediction:
    """Soil moisture and the two parts of its uncertainty, m3 m-3, each (n_cell, n_day)."""

    soil_moisture: Floats
    aleatoric: Floats
    epistemic: Floats

    @property
    def uncertainty(self) -> Floats:
        """Standard deviation of the total error."""
        return np.hypot(self.aleatoric, self.epistemic)


def predict_stations(
    checkpoint: Checkpoint, samples: Samples, published: str | None = None
) -> StationPrediction:
    """Predict all days of stations or satellite cells, from a cold start before the first day.

    The state stays in float32 from day to day. The operational run rounds it to float16, which
    changes the soil moisture by about 1e-5 m3 m-3.

    Parameters
    ----------
    checkpoint
    samples
        With all inputs of the checkpoint that are not optional.
    published
        Name of the head; the published one of the card if not given.
    """
    card = checkpoint.card.model_copy(update={"published": published or checkpoint.card.published})
    samples = with_inputs(samples, card)
    flat = (
        member_outputs(checkpoint, samples)[..., card.published_outputs]
        .flatten(1, 2)
        .permute(2, 0, 1)
        .contiguous()
    )
    fields = Scaling(card, flat.device).prediction_(flat).reshape(3, *samples.target.shape)
    add_level_(level_of(card, samples), fields, card)
    return StationPrediction(*(field.numpy() for field in fields))


def level_of(card: Card, samples: Samples) -> Level:
    """Return the level of the places of samples; see `msm.model.level`."""
    statics = torch.zeros(samples.n_cell, len(card.statics))
    for column, spec in enumerate(card.statics):
        statics[:, column] = torch.from_numpy(samples.statics[spec.name])
    return level(card, statics)


def with_inputs(samples: S, card: Card) -> S:
    """Return samples with the inputs of a card; see `msm.training.data.datasets.select_inputs`."""
    return select_inputs(
        samples,
        [spec.name for spec in card.forcing],
        [spec.name for spec in card.statics],
        {spec.name for spec in card.inputs if spec.optional},
        card.retrievals.lag_days if card.retrievals else None,
    )


@torch.no_grad()
def member_outputs(checkpoint: Checkpoint, samples: Samples) -> Tensor:
    """Return the members' normalised outputs, shape (members, n_cell, n_day, n_outputs)."""
    x = channels(checkpoint.card, samples)
    return torch.stack([network_of(checkpoint, n)(x)[0] for n in range(checkpoint.card.members)])
