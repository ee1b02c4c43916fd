"""Conversion between the card's units and the network's normalised numbers, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from msm.model.card import Card


class Scaling:
    """The card's transforms, means, standard deviations, bounds and factors, on a device."""

    def __init__(self, card: Card, device: torch.device) -> None:
        self.log = [i for i, spec in enumerate(card.inputs) if spec.transform == "log1p"]
        optional = [i for i, spec in enumerate(card.inputs) if spec.optional]
        self.optional = torch.tensor(optional, dtype=torch.int64, device=device)
        self.mean = torch.tensor([spec.mean for spec in card.inputs], device=device)
        self.std = torch.tensor([spec.std for spec in card.inputs], device=device)
        self.head, self.bounds = card.head, (card.target.minimum, card.target.maximum)
        self.factors = card.uncertainty

    def channels_(self, x: Tensor) -> Tensor:
        """Convert raw inputs to channels: normalised inputs, then the masks of optional ones.

        Parameters
        ----------
        x
            Shape (..., n_inputs). Overwritten. A missing value of an optional input is NaN.

        Returns
        -------
        Tensor, shape (..., n_channels)
        """
        missing = x[..., self.optional].isnan()
        for column in self.log:
            x[..., column].log1p_()
        x.sub_(self.mean).div_(self.std)
        x[..., self.optional] = x[..., self.optional].masked_fill(missing, 0.0)
        return torch.cat([x, missing], dim=-1)

    def prediction_(self, outputs: Tensor) -> Tensor:
        """Combine the members' outputs of the published head.

        Parameters
        ----------
        outputs
            Shape (1 or 2, members, n_cell). The head's mean and, where it has no constant error,
            log-variance; overwritten.

        Returns
        -------
        Tensor, shape (3, n_cell)
            The fields of `msm.model.prediction.Prediction`.
        """
        low, high = self.bounds
        means = outputs[0].mul_(self.head.std).add_(self.head.mean).clamp_(low, high)
        soil_moisture = means.mean(dim=0)
        if self.head.error is None:
            aleatoric = outputs[1].exp_().mean(dim=0).sqrt_().mul_(self.head.std)
        else:
            aleatoric = torch.full_like(soil_moisture, self.head.error)
        epistemic = means.std(dim=0) if len(means) > 1 else torch.zeros_like(soil_moisture)
        # Truth and prediction both lie within the bounds, so no error exceeds their distance. The
        # limit keeps a single cell with an extreme log-variance from invalidating the map.
        aleatoric.mul_(self.factors.aleatoric).clamp_(max=high - low)
        epistemic.mul_(self.factors.epistemic).clamp_(max=high - low)
        return torch.stack([soil_moisture, aleatoric, epistemic])
