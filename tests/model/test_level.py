import math

import pytest
import torch
from pydantic import ValidationError

from msm.model.card import Card
from msm.model.checkpoint import WEIGHTS, Checkpoint
from msm.model.level import Level, add_level_, level


def test_known_statics_add_to_the_level(ensemble: Checkpoint):
    """Sand is normalised as it is, the water in the vegetation as its logarithm."""
    card = ensemble.card
    sand, water = (
        next(spec for spec in card.statics if spec.name == name)
        for name in ("sand", "vegetation_water_content")
    )
    sandy, wet = sand.mean + 2 * sand.std, math.expm1(water.mean + water.std)
    found = level(card, torch.tensor([[sandy, wet], [sandy, math.nan]]))
    torch.testing.assert_close(found.offset, torch.tensor([-0.04 + 0.01, 0.0]), atol=1e-6, rtol=0)
    assert found.widening.tolist() == pytest.approx([1.0, card.uncertainty.without_level])


def test_a_shifted_prediction_stays_within_the_bounds(card: Card):
    prediction = torch.tensor([[0.01, 0.3, 0.59], [0.05, 0.05, 0.58], [0.02, 0.02, 0.02]])
    found = Level(torch.tensor([-0.02, 0.02, 0.02]), torch.tensor([1.0, 1.2, 1.2]))
    add_level_(found, prediction, card)
    expected = torch.tensor([[0.0, 0.32, 0.6], [0.05, 0.06, 0.6], [0.02, 0.02, 0.02]])
    torch.testing.assert_close(prediction, expected)


def test_a_card_without_a_level_has_no_effect_and_keeps_its_text(card: Card):
    prediction = torch.tensor([[0.1], [0.05], [0.02]])
    before = prediction.clone()
    add_level_(level(card, torch.tensor([[0.9]])), prediction, card)
    assert torch.equal(prediction, before)
    stated = card.model_dump(mode="json")
    assert "level" not in stated
    assert "without_level" not in stated["uncertainty"]
    # Its hash names the chains that the first checkpoint has made.
    first = (WEIGHTS / "first.json").read_text()
    assert Card.model_validate_json(first).model_dump_json(indent=1) in first


def test_the_level_is_that_of_a_static_input(ensemble: Checkpoint):
    stated = ensemble.card.model_dump() | {"level": ({"name": "clay", "slope": 0.1},)}
    with pytest.raises(ValidationError, match="'clay' is not one of the static inputs"):
        Card.model_validate(stated)
