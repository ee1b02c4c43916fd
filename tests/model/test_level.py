import math

import pytest
import torch
from pydantic import ValidationError

from msm.model.card import Card
from msm.model.checkpoint import WEIGHTS, Checkpoint
from msm.model.level import offsets, shift_


def test_what_is_known_of_a_place_adds_to_its_level(ensemble: Checkpoint):
    """Sand is normalised as it is, the water in the vegetation as its logarithm."""
    sand, water = (
        next(spec for spec in ensemble.card.statics if spec.name == name)
        for name in ("sand", "vegetation_water_content")
    )
    sandy, wet = sand.mean + 2 * sand.std, math.expm1(water.mean + water.std)
    statics = torch.tensor([[sandy, wet], [sandy, math.nan], [math.nan, math.nan]])
    expected = torch.tensor([-0.04 + 0.01, -0.04, 0.0])
    torch.testing.assert_close(offsets(ensemble.card, statics), expected, atol=1e-6, rtol=0)


def test_a_shifted_level_stays_within_the_bounds(card: Card):
    shifted = shift_(torch.tensor([0.01, 0.3, 0.59]), torch.tensor([-0.02, 0.02, 0.02]), card)
    torch.testing.assert_close(shifted, torch.tensor([0.0, 0.32, 0.6]))


def test_a_card_without_a_level_adds_nothing_and_keeps_its_text(card: Card):
    assert not offsets(card, torch.tensor([[0.9]])).any()
    assert "level" not in card.model_dump(mode="json")
    # Its hash names the chains that the first checkpoint has made.
    first = (WEIGHTS / "first.json").read_text()
    assert Card.model_validate_json(first).model_dump_json(indent=1) in first


def test_the_level_is_that_of_a_static_input(ensemble: Checkpoint):
    stated = ensemble.card.model_dump() | {"level": ({"name": "clay", "slope": 0.1},)}
    with pytest.raises(ValidationError, match="'clay' is not one of the static inputs"):
        Card.model_validate(stated)
