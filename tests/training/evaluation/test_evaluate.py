import numpy as np
import pytest

from msm.model.checkpoint import Checkpoint
from msm.training.data.samples import SamplesError
from msm.training.evaluation.evaluate import evaluate
from msm.training.fitting.ensemble import plan
from tests.ensembles import ensemble_of
from tests.training.buckets import GROUND_ONLY, data, recipe, stations


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """An ensemble whose card lists the first ten stations as training data."""
    found = data()
    few = found.ground.at(np.arange(10))
    planned = plan(recipe(**GROUND_ONLY, members=3), few, found.satellite, "")
    return ensemble_of(planned.card, members=3)


def test_training_sites_and_unseen_sites_are_separate(checkpoint: Checkpoint):
    unseen, result = evaluate(checkpoint, stations())
    assert result["n_sites"] == 20
    assert unseen.names == tuple(f"XX_Place_{number}" for number in range(10, 30))
    assert unseen.truth.shape == unseen.soil_moisture.shape == (20, unseen.days.size)
    assert {site["name"] for site in result["seen"]["sites"]} == {
        f"XX_Place_{number}" for number in range(10)
    }
    assert result["seen"].keys() == {"n_sites", "sites"}
    assert result["median"].keys() == {"R", "RMSE", "ubRMSE", "bias", "KGE", "R_anomaly"}


def test_training_sites_alone_give_no_medians(checkpoint: Checkpoint):
    unseen, result = evaluate(checkpoint, stations().at(np.arange(10)))
    assert unseen.names == ()
    assert result["n_sites"] == 0
    assert set(result["median"].values()) == {None}
    assert result["coverage90"] is None
    assert result["seen"]["n_sites"] == 10


def test_days_outside_the_scored_period_are_refused(checkpoint: Checkpoint):
    late = stations()
    object.__setattr__(late, "days", late.days + 5000)
    with pytest.raises(SamplesError, match=r"none of the scored period 2012-01-01\.\.2022-12-31"):
        evaluate(checkpoint, late)
