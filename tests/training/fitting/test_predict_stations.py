from dataclasses import replace

import numpy as np
import pytest

from msm.model.checkpoint import Checkpoint
from msm.model.inference import run
from msm.model.state import State
from msm.training.data.samples import SamplesError
from msm.training.fitting.ensemble import plan
from msm.training.fitting.predict_stations import hindcast, with_inputs
from tests.ensembles import ensemble_of
from tests.training.buckets import GROUND_ONLY, cells, data, recipe


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    found = data()
    planned = plan(recipe(**GROUND_ONLY, members=3), found.ground, found.satellite, "")
    return ensemble_of(planned.card, members=3)


def test_it_is_what_the_service_says(checkpoint: Checkpoint):
    samples = cells().at(np.arange(3))
    found = hindcast(checkpoint, samples)
    given = with_inputs(samples, checkpoint.card)
    forcing = np.stack([given.forcing[spec.name] for spec in checkpoint.card.forcing], axis=-1)
    statics = np.stack([given.statics[spec.name] for spec in checkpoint.card.statics], axis=-1)
    days = [np.ascontiguousarray(forcing[:, day]) for day in range(50)]
    state = State.zeros(3, checkpoint.card.state_size)
    served = [prediction for prediction, _ in run(checkpoint, days, statics, state)]
    for name in ("soil_moisture", "aleatoric", "epistemic"):
        each = np.stack([getattr(prediction, name) for prediction in served], axis=1)
        np.testing.assert_allclose(getattr(found, name)[:, :50], each, atol=2e-4)
    np.testing.assert_allclose(
        found.uncertainty**2, found.aleatoric**2 + found.epistemic**2, rtol=1e-5
    )


def test_the_other_head_is_asked_for_by_name(checkpoint: Checkpoint):
    samples = cells().at(np.arange(2))
    ground = hindcast(checkpoint, samples, "ground").soil_moisture
    np.testing.assert_array_equal(hindcast(checkpoint, samples).soil_moisture, ground)
    assert not np.allclose(hindcast(checkpoint, samples, "satellite").soil_moisture, ground)


def test_an_input_that_is_needed_and_not_there_is_named(checkpoint: Checkpoint):
    samples = cells()
    without = {name: v for name, v in samples.forcing.items() if name != "air_temperature"}
    with pytest.raises(SamplesError, match="the samples have no air_temperature"):
        hindcast(checkpoint, replace(samples, forcing=without))
