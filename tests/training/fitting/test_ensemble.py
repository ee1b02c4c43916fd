from pathlib import Path

import numpy as np
import pytest

from msm.model.checkpoint import CheckpointError, load_checkpoint
from msm.training.data.samples import SamplesError
from msm.training.fitting.ensemble import plan, train
from msm.training.fitting.predict_stations import predict_stations
from msm.training.fitting.recipe import RecipeError
from msm.training.metrics import site_metrics
from tests.training.buckets import GROUND_ONLY, cells, data, recipe, stations


def test_the_card_lists_the_training_data():
    found = data()
    planned = plan(recipe(), found.ground, found.satellite, "abc")
    card = planned.card
    assert [head.name for head in card.heads] == ["ground", "satellite"]
    assert card.published == "ground"
    record = card.training
    assert record.stations == tuple(found.ground.names)
    assert record.cells[0] == (30.0, -120.0)
    assert {str(period.last) for period in record.periods} == {"2014-12-31", "2015-12-31"}
    parts = [set(member.left_out_stations) for member in record.members]
    assert parts[0] | parts[1] == set(record.stations)
    assert not parts[0] & parts[1]
    for part, job in zip(parts, planned.jobs, strict=True):
        places = job.streams["ground"].places
        assert set(places.names) == set(record.stations) - part
        assert places.days[-1] == np.datetime64("2015-12-31")
        assert job.streams["satellite"].places.days.size == 365


def test_inputs_are_normalised_over_both_streams():
    found = data()
    card = plan(recipe(), found.ground, found.satellite, "").card
    rain = np.concatenate(
        [
            samples.forcing["precipitation"][:, :days].ravel()
            for samples, days in ((found.ground, 730), (found.satellite, 365))
        ]
    )
    spec = card.forcing[0]
    assert spec.mean == pytest.approx(np.log1p(rain).mean(), rel=1e-4)
    assert (spec.minimum, spec.maximum) == (rain.min(), rain.max())
    assert card.heads[1].mean == pytest.approx(
        np.nanmean(found.satellite.target[:, :365]), rel=1e-4
    )


def test_a_trained_checkpoint_predicts_unseen_places(tmp_path: Path):
    out = tmp_path / "tiny.json"
    trained = train(recipe(), data(), out, tmp_path, workers=1)
    assert load_checkpoint(out).sha256 == trained.sha256
    assert trained.card.uncertainty.aleatoric != 1.0
    others = stations(seed=8)
    metrics = site_metrics(predict_stations(trained, others).soil_moisture, others.target).medians()
    assert metrics["r"] > 0.9
    assert abs(metrics["bias"]) < 0.02
    unseen = cells(seed=9)
    satellite = predict_stations(trained, unseen, "satellite").soil_moisture
    assert abs(site_metrics(satellite, unseen.target).medians()["bias"]) < 0.02
    with pytest.raises(CheckpointError, match="exists and is not overwritten"):
        train(recipe(), data(), out, tmp_path, workers=1)


def test_missing_inputs_and_days_are_named():
    found = data()
    with pytest.raises(SamplesError, match="no specific_humidity, which the network needs"):
        plan(
            recipe(forcing=["precipitation", "specific_humidity", "longwave_down"]),
            found.ground,
            found.satellite,
            "",
        )
    with pytest.raises(RecipeError, match="asks for soil_moisture_10cm, which its stations do not"):
        plan(
            recipe(ground={"auxiliary": ["soil_moisture_10cm"]}), found.ground, found.satellite, ""
        )
    with pytest.raises(SamplesError, match=r"not all of 2014-01-01\.\.2031-12-31"):
        plan(
            recipe(**GROUND_ONLY, ground={"last": "2031-12-31"}), found.ground, found.satellite, ""
        )
    with pytest.raises(RecipeError, match="asks for longwave_down, which none of its samples"):
        plan(recipe(satellite=None), found.ground, found.satellite, "")
