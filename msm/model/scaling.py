"""Between the card's units and the network's numbers, on any device."""

import torch
from torch import Tensor

from msm.model.checkpoint import Card


class Scaling:
    """The card's transforms, means, deviations and bounds as tensors of a device."""

    def __init__(self, card: Card, device: torch.device) -> None:
        self.log = [i for i, spec in enumerate(card.inputs) if spec.transform == "log1p"]
        self.mean = torch.tensor([spec.mean for spec in card.inputs], device=device)
        self.std = torch.tensor([spec.std for spec in card.inputs], device=device)
        self.target = card.target

    def normalise_(self, x: Tensor) -> Tensor:
        """Normalise raw inputs (n_cell, n_inputs) in place."""
        for column in self.log:
            x[:, column].log1p_()
        return x.sub_(self.mean).div_(self.std)

    def soil_moisture_(self, y: Tensor) -> Tensor:
        """Turn the network's numbers (n_cell,) into m3 m-3 within the physical bounds, in place."""
        target = self.target
        return y.mul_(target.std).add_(target.mean).clamp_(target.minimum, target.maximum)
