import math

import pytest
import torch

from msm.model.card import Card
from msm.model.checkpoint import Checkpoint
from msm.model.scaling import Scaling

CPU = torch.device("cpu")
NAN = math.nan


def test_inputs_become_channels_and_masks_of_missing_values(ensemble: Checkpoint):
    """Rain, temperature, wind, longwave; sand, vegetation: three of them may be missing."""
    raw = torch.tensor(
        [
            [math.expm1(0.6), 297.0, 8.0, 330.0, 0.6, math.expm1(1.6)],
            [math.expm1(1.5), 287.0, NAN, 270.0, 0.5, NAN],
        ]
    )
    channels = Scaling(ensemble.card, CPU).channels_(raw.clone())
    expected = [
        [0.0, 1.0, 2.0, 0.0, 1.0, 1.0, 0, 0, 0],
        [1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1, 0, 1],
    ]
    torch.testing.assert_close(channels, torch.tensor(expected), atol=1e-5, rtol=0)
    # Days of cells go the same way.
    days = Scaling(ensemble.card, CPU).channels_(raw.expand(4, 2, 6).clone())
    assert torch.equal(days[3], channels)


def test_an_input_that_is_needed_has_no_mask(card: Card):
    channels = Scaling(card, CPU).channels_(torch.tensor([[0.0, NAN, 0.5]]))
    assert channels.shape == (1, 3)
    assert channels[0, 1].isnan()


def test_the_members_of_an_ensemble_are_combined(ensemble: Checkpoint):
    mean = torch.tensor([[0.0, -1.0, 9.0], [1.0, -1.0, -9.0], [2.0, -1.0, 0.0]])
    log_variance = torch.tensor([0.25, 1.0, 4.0]).log().unsqueeze(1).expand(3, 3)
    outputs = torch.stack([mean, log_variance]).clone()
    moisture, aleatoric, epistemic = Scaling(ensemble.card, CPU).prediction_(outputs).tolist()
    # 0.25 + 0.08 y, between 0 and 0.6; factors 0.7 and 1.5.
    assert moisture == pytest.approx([0.33, 0.17, (0.6 + 0.0 + 0.25) / 3])
    assert aleatoric == pytest.approx([0.7 * 0.08 * math.sqrt(1.75)] * 3)
    spread = math.sqrt(sum((v - 0.85 / 3) ** 2 for v in (0.6, 0.0, 0.25)) / 2)
    assert epistemic == pytest.approx([1.5 * 0.08, 0.0, 1.5 * spread], abs=1e-7)


def test_one_network_with_a_constant_error_has_no_spread(card: Card):
    said = Scaling(card, CPU).prediction_(torch.tensor([[[-1.0, 0.0, 99.0]]]))
    torch.testing.assert_close(said, torch.tensor([[0.1, 0.2, 0.6], [0.05] * 3, [0.0] * 3]))


def test_no_error_is_wider_than_the_physical_bounds(ensemble: Checkpoint):
    outputs = torch.stack([torch.tensor([[-99.0], [99.0], [99.0]]), torch.full((3, 1), 200.0)])
    _, aleatoric, epistemic = Scaling(ensemble.card, CPU).prediction_(outputs)
    assert aleatoric.item() == pytest.approx(0.6)
    assert epistemic.item() == pytest.approx(1.5 * 0.6 / math.sqrt(3))
