from dataclasses import replace

import numpy as np
import pytest

from msm.training.fitting.calibration import STATIONS_PER_TERM, calibrate
from msm.training.fitting.ensemble import plan
from msm.training.fitting.predict_stations import member_outputs, predict_stations, with_inputs
from tests.ensembles import ensemble_of
from tests.training.buckets import GROUND_ONLY, data, recipe


@pytest.mark.parametrize("noise", [0.02, 0.08])
def test_the_90_percent_interval_contains_90_percent_of_new_errors(noise: float):
    """The members differ little; the truth is their mean with known noise."""
    found = data()
    planned = plan(recipe(**GROUND_ONLY, members=4), found.ground, found.satellite, "")
    checkpoint = ensemble_of(planned.card, members=4)
    card = checkpoint.card
    rng = np.random.default_rng(0)
    mean = predict_stations(checkpoint, found.ground).soil_moisture
    noisy = mean + rng.normal(0, noise, mean.shape)
    ground = replace(with_inputs(found.ground, card), target=noisy.astype(np.float32))
    card = calibrate(checkpoint, ground, np.arange(ground.n_cell) % 4)
    assert card.uncertainty.epistemic == 1.0
    again = replace(checkpoint, card=card)
    predicted = predict_stations(again, ground)
    inside = np.abs(noisy - predicted.soil_moisture) <= 1.645 * predicted.uncertainty
    assert inside.mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("n_station", [9, 30])
def test_the_level_regression_is_fitted_if_there_are_enough_stations(n_station: int):
    """The truth is the prediction plus a term in sand; one station has no sand."""
    found = data()
    wanted = recipe(**GROUND_ONLY | {"optional": ["sand"]}, members=4)
    planned = plan(wanted, found.ground, found.satellite, "")
    checkpoint = ensemble_of(planned.card, members=4)
    bare = replace(checkpoint, card=checkpoint.card.model_copy(update={"level": ()}))
    ground = with_inputs(found.ground.at(np.arange(n_station)), bare.card)
    ground.statics["sand"][3] = np.nan
    left_out = np.arange(n_station) % 4
    output = member_outputs(bare, ground)[..., bare.card.published_outputs.start].numpy()
    alone = output[left_out, np.arange(n_station)] * bare.card.head.std + bare.card.head.mean
    (sand,) = (spec for spec in bare.card.statics if spec.name == "sand")
    moved = -0.05 * (ground.statics["sand"] - sand.mean) / sand.std
    target = (alone + np.nan_to_num(moved)[:, None] + 0.02).astype(np.float32)
    level = calibrate(bare, replace(ground, target=target), left_out).level
    slopes = {term.name: term.slope for term in level}
    few = n_station < STATIONS_PER_TERM
    assert slopes == ({} if few else {"sand": pytest.approx(-0.05, abs=1e-4)})
