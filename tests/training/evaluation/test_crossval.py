from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msm.training.evaluation import crossval as crossvalidation
from msm.training.evaluation.crossval import crossval, load, save
from msm.training.fitting.recipe import RecipeError
from msm.training.protocol import Protocol, protocol
from msm.training.split import Split
from tests.training.buckets import data, recipe


@pytest.fixture(autouse=True)
def _rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the protocol with the years of the bucket data."""
    stated = protocol().model_dump()
    stated["scoring"] |= {"first": "2014-03-01", "last": "2015-12-31", "min_days": 100}
    stated["folds"] |= {"number": 3}
    stated["anomaly"] |= {"min_years": 2}
    stated["satellite"] |= {
        "train_first": "2014-01-01",
        "train_last": "2014-12-31",
        "test_first": "2015-01-01",
        "test_last": "2015-12-31",
    }
    stated["level_jumpers"]["stations"] = ("XX_Place_0", "XX_Place_1")
    rules = Protocol.model_validate(stated)
    monkeypatch.setattr(crossvalidation, "protocol", lambda: rules)


def test_unseen_stations_are_predicted_and_scored(tmp_path: Path):
    predicted, result = crossval(recipe(), data(), Split.folds, tmp_path, workers=1)
    assert result["n_sites"] == 30
    assert result["median"]["R"] > 0.9
    assert result["median_without_jumpers"]["R"] is not None
    assert {site["part"] for site in result["sites"]} == {"fold 1", "fold 2", "fold 3"}
    assert result["calibration"].keys() == {"fold 1", "fold 2", "fold 3"}
    assert (predicted.days[0], predicted.days[-1]) == (
        np.datetime64("2014-03-01"),
        np.datetime64("2015-12-31"),
    )
    path = save(predicted, result, tmp_path)
    assert path.name == "tiny-folds.json"
    again, figures = load(path)
    assert figures == result
    np.testing.assert_array_equal(again.soil_moisture, predicted.soil_moisture)
    assert (again.names, again.part) == (predicted.names, predicted.part)


def test_a_shuffled_target_cannot_be_predicted(tmp_path: Path):
    """A leak of the truth into the predictions would show as skill."""
    found = data()
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(row) for row in found.ground.target])
    noise = replace(found, ground=replace(found.ground, target=shuffled))
    predicted, result = crossval(recipe(steps=60), noise, Split.folds, tmp_path, workers=1)
    assert abs(result["median"]["R"]) < 0.1
    assert np.isfinite(predicted.soil_moisture).all()


def test_the_truth_of_held_out_regions_does_not_affect_their_predictions(tmp_path: Path):
    """Neither through the fit nor through normalisation and calibration."""
    found = data()
    before, _ = crossval(recipe(steps=10), found, Split.regions, tmp_path, workers=1)
    assert set(zip(found.ground.state.tolist(), before.part, strict=True)) == {
        ("KS", "South"),
        ("OR", "Northwest"),
        ("GA", "Southeast"),
    }
    south = found.ground.state == "KS"
    target = np.where(south[:, None], 0.5 - found.ground.target, found.ground.target)
    moved = replace(found, ground=replace(found.ground, target=target))
    after, _ = crossval(recipe(steps=10), moved, Split.regions, tmp_path, workers=1)
    for name in ("soil_moisture", "uncertainty"):
        one, other = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(one[south], other[south])
        assert not np.array_equal(one[~south], other[~south])


def test_the_satellite_split_predicts_the_second_year(tmp_path: Path):
    asked = recipe(published="satellite", ground={"last": "2014-12-31"})
    predicted, result = crossval(asked, data(), Split.satellite, tmp_path, workers=1)
    assert predicted.soil_moisture.shape == (16, 365)
    assert predicted.days[0] == np.datetime64("2015-01-01")
    assert result["median"]["R"] > 0.8
    with pytest.raises(RecipeError, match=r"is trained on ground until 2015-12-31"):
        crossval(recipe(published="satellite"), data(), Split.satellite, tmp_path, workers=1)
    with pytest.raises(RecipeError, match="publishes ground, not satellite"):
        crossval(recipe(), data(), Split.satellite, tmp_path, workers=1)


def test_a_retrieval_affects_predictions_from_its_lag_on(tmp_path: Path):
    asked = recipe(
        published="satellite",
        ground={"last": "2014-12-31"},
        forcing=["precipitation", "air_temperature", "retrieval", "retrieval_age"],
        optional=["retrieval", "retrieval_age"],
        retrieval_lag_days=2,
        steps=20,
    )
    found = data()
    before, _ = crossval(asked, found, Split.satellite, tmp_path, workers=1)
    target = found.satellite.target.copy()
    seen = 500
    target[:, seen] = 0.44
    moved = replace(found, satellite=replace(found.satellite, target=target))
    after, _ = crossval(asked, moved, Split.satellite, tmp_path, workers=1)
    changed = (before.soil_moisture != after.soil_moisture).any(axis=0)
    first = np.flatnonzero(changed)[0] + 365
    assert first == seen + 2
