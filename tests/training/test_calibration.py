from dataclasses import replace

import numpy as np
import pytest

from msm.training.calibration import calibrated
from msm.training.ensemble import plan
from msm.training.hindcast import hindcast, with_inputs
from tests.ensembles import ensemble_of
from tests.training.buckets import GROUND_ONLY, data, recipe


@pytest.mark.parametrize("noise", [0.02, 0.08])
def test_ninety_percent_of_new_errors_lie_inside(noise: float):
    """Members that agree but for a small part; the truth is their mean with known noise."""
    found = data()
    planned = plan(recipe(**GROUND_ONLY, members=4), found.ground, found.satellite, "")
    checkpoint = ensemble_of(planned.card, members=4)
    card = checkpoint.card
    rng = np.random.default_rng(0)
    mean = hindcast(checkpoint, found.ground).soil_moisture
    noisy = mean + rng.normal(0, noise, mean.shape)
    ground = replace(with_inputs(found.ground, card), target=noisy.astype(np.float32))
    factors = calibrated(checkpoint, ground, np.arange(ground.n_cell) % 4)
    assert factors.epistemic == 1.0
    again = replace(checkpoint, card=card.model_copy(update={"uncertainty": factors}))
    said = hindcast(again, ground)
    inside = np.abs(noisy - said.soil_moisture) <= 1.645 * said.uncertainty
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
