from dataclasses import replace

import numpy as np
import pytest

from msm.model.checkpoint import Checkpoint
from msm.model.inference import run
from msm.model.state import State
from msm.training.data.samples import SamplesError
from msm.training.fitting.ensemble import plan
from msm.training.fitting.predict_stations import predict_stations, with_inputs
from tests.ensembles import ensemble_of
from tests.training.buckets import GROUND_ONLY, cells, data, recipe


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    found = data()
    planned = plan(recipe(**GROUND_ONLY, members=3), found.ground, found.satellite, "")
    return ensemble_of(planned.card, members=3)


def test_predictions_equal_those_of_the_operational_run(checkpoint: Checkpoint):
    samples = cells().at(np.arange(3))
    found = predict_stations(checkpoint, samples)
    inputs = with_inputs(samples, checkpoint.card)
    forcing = np.stack([inputs.forcing[spec.name] for spec in checkpoint.card.forcing], axis=-1)
    statics = np.stack([inputs.statics[spec.name] for spec in checkpoint.card.statics], axis=-1)
    days = [np.ascontiguousarray(forcing[:, day]) for day in range(50)]
    state = State.zeros(3, checkpoint.card.state_size)
    operational = [prediction for prediction, _ in run(checkpoint, days, statics, state)]
    for name in ("soil_moisture", "aleatoric", "epistemic"):
        each = np.stack([getattr(prediction, name) for prediction in operational], axis=1)
        np.testing.assert_allclose(getattr(found, name)[:, :50], each, atol=2e-4)
    np.testing.assert_allclose(
        found.uncertainty**2, found.aleatoric**2 + found.epistemic**2, rtol=1e-5
    )


def test_another_head_is_selected_by_name(checkpoint: Checkpoint):
    samples = cells().at(np.arange(2))
    ground = predict_stations(checkpoint, samples, "ground").soil_moisture
    np.testing.assert_array_equal(predict_stations(checkpoint, samples).soil_moisture, ground)
    assert not np.allclose(predict_stations(checkpoint, samples, "satellite").soil_moisture, ground)


def test_a_missing_required_input_is_named(checkpoint: Checkpoint):
    samples = cells()
    without = {name: v for name, v in samples.forcing.items() if name != "air_temperature"}
    with pytest.raises(SamplesError, match="The samples have no air_temperature"):
        predict_stations(checkpoint, replace(samples, forcing=without))
