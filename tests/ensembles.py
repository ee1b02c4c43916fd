"""Small random networks that take and give what the shipped one does not, for every room."""

from typing import Any

import torch

from msm.model.card import Card
from msm.model.checkpoint import Checkpoint, make_checkpoint
from msm.model.network import SoilMoistureLSTM, weights_of
from msm.model.variables import FORCING_UNITS, STATIC_UNITS

OPTIONAL = {
    "forcing": {
        "wind_speed": ("identity", 4.0, 2.0, 0.0, 20.0),
        "longwave_down": ("identity", 330.0, 60.0, 80.0, 480.0),
    },
    "statics": {"vegetation_water_content": ("log1p", 1.0, 0.6, 0.0, 20.0)},
}
RETRIEVED = {
    "retrieval": ("identity", 0.2, 0.1, 0.02, 0.5),
    "retrieval_age": ("identity", 2.0, 1.0, 1.0, 10.0),
    "retrieval_quality": ("identity", 0.5, 0.5, 0.0, 1.0),
}
"""Transform, mean and std of the transformed values, range of the raw values."""

FIELDS = ("transform", "mean", "std", "minimum", "maximum")

Stated = dict[str, Any]


def ensemble_of(card: Card, members: int = 3, hidden_size: int = 16) -> Checkpoint:
    """Give a card optional inputs, two heads that know their error, and random networks.

    What is known of the places adds to their level.
    """
    stated = card.model_dump()
    for kind, inputs in OPTIONAL.items():
        stated[kind] += _optional(inputs)
    stated |= {
        "name": "ensemble",
        "heads": (
            {"name": "satellite", "mean": 0.2, "std": 0.1, "error": None},
            {"name": "ground", "mean": 0.25, "std": 0.08, "error": None},
        ),
        "published": "ground",
        "members": members,
        "hidden_size": hidden_size,
        "level": (
            {"name": "sand", "slope": -0.02},
            {"name": "vegetation_water_content", "slope": 0.01},
        ),
        "uncertainty": {"aleatoric": 0.7, "epistemic": 1.5, "without_level": 1.2},
    }
    return _random(stated)


def informed_of(card: Card, lag_days: int, window_days: int) -> Checkpoint:
    """Give a card the retrievals of SMAP as inputs, and a small random network."""
    stated = card.model_dump() | {
        "name": "informed",
        "retrievals": {"lag_days": lag_days, "window_days": window_days},
        "hidden_size": 16,
    }
    stated["forcing"] += _optional(RETRIEVED)
    return _random(stated)


def _optional(inputs: dict[str, tuple[str, float, float, float, float]]) -> tuple[Stated, ...]:
    units = FORCING_UNITS | STATIC_UNITS
    return tuple(
        {"name": name, "units": units[name], "optional": True}
        | dict(zip(FIELDS, values, strict=True))
        for name, values in inputs.items()
    )


def _random(stated: Stated) -> Checkpoint:
    card = Card.model_validate(stated)
    torch.manual_seed(3)
    shape = card.n_channels, card.hidden_size, card.n_outputs
    networks = [SoilMoistureLSTM(*shape) for _ in range(card.members)]
    return make_checkpoint(card, weights_of(networks))
