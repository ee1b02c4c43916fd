"""What a checkpoint says of days for which there are samples."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from msm.model.card import Card
from msm.model.checkpoint import Checkpoint
from msm.model.level import Level, apply_, level
from msm.model.network import network_of
from msm.model.scaling import Scaling
from msm.training.data.datasets import prepared
from msm.training.data.samples import Floats, Samples
from msm.training.fitting.fit import channels

S = TypeVar("S", bound=Samples)


@dataclass(frozen=True, eq=False)
class Hindcast:
    """Soil moisture and the two parts of its uncertainty, m3 m-3, each (n_cell, n_day)."""

    soil_moisture: Floats
    aleatoric: Floats
    epistemic: Floats

    @property
    def uncertainty(self) -> Floats:
        """Standard deviation of the whole error."""
        return np.hypot(self.aleatoric, self.epistemic)


def hindcast(checkpoint: Checkpoint, samples: Samples, published: str | None = None) -> Hindcast:
    """Predict all days, from a cold start before the first.

    The state is carried from day to day as the service carries it, in float32 throughout: the
    service rounds it to float16, which moves the soil moisture by about 1e-5 m3 m-3.

    Parameters
    ----------
    checkpoint : Checkpoint
    samples : Samples
        With all inputs of the checkpoint that are not optional.
    published : str, optional
        The head that is used; the one that the product uses if not given.
    """
    card = checkpoint.card.model_copy(update={"published": published or checkpoint.card.published})
    samples = with_inputs(samples, card)
    flat = (
        outputs(checkpoint, samples)[..., card.published_outputs]
        .flatten(1, 2)
        .permute(2, 0, 1)
        .contiguous()
    )
    fields = Scaling(card, flat.device).prediction_(flat).reshape(3, *samples.target.shape)
    apply_(level_of(card, samples), fields, card)
    return Hindcast(*(field.numpy() for field in fields))


def level_of(card: Card, samples: Samples) -> Level:
    """Return what the calibration of the level comes to at places."""
    statics = torch.zeros(samples.n_cell, len(card.statics))
    for column, spec in enumerate(card.statics):
        statics[:, column] = torch.from_numpy(samples.statics[spec.name])
    return level(card, statics)


def with_inputs(samples: S, card: Card) -> S:
    """Give samples the inputs that a card asks for; see `msm.training.data.datasets.prepared`."""
    return prepared(
        samples,
        [spec.name for spec in card.forcing],
        [spec.name for spec in card.statics],
        {spec.name for spec in card.inputs if spec.optional},
        card.retrievals.lag_days if card.retrievals else None,
    )


@torch.no_grad()
def outputs(checkpoint: Checkpoint, samples: Samples) -> Tensor:
    """Return all that the members say, normalised, shape (members, n_cell, n_day, n_outputs)."""
    x = channels(checkpoint.card, samples)
    return torch.stack([network_of(checkpoint, n)(x)[0] for n in range(checkpoint.card.members)])
