import json

import pytest

from benchmarks.results import keep_accuracy
from benchmarks.skill.accuracy import RECIPES, compared, measure
from msm.training.evaluation.crossval import score
from msm.training.fitting.recipe import RecipeError
from msm.training.split import Split
from tests.training.predictions import predicted


@pytest.fixture(scope="module")
def comparison():
    networks = {name: predicted(noise=0.02, seed=seed) for seed, name in enumerate(("a", "b"))}
    return compared(networks, {"season": predicted(noise=0.08, seed=5)}, Split.folds)


def test_first_network_is_compared_with_all_and_every_network_with_baselines(comparison):
    pairs = [(pair["first"], pair["second"]) for pair in comparison["differences"]]
    assert pairs == [("a", "b"), ("a", "season"), ("b", "season")]
    assert comparison["networks"] == ["a", "b"]
    assert set(comparison["scores"]) == {"a", "b", "season"}
    assert comparison["n_sites"] == 12


def test_scores_are_of_common_days(comparison):
    whole = score(predicted(), Split.folds)
    assert comparison["site_days"] == sum(site["n"] for site in whole["sites"])
    parts = comparison["scores"]["season"]["parts"]
    assert [parts[name]["n_sites"] for name in parts] == [4, 4, 4]


def test_file_has_rounded_scores_and_one_line_a_site(tmp_path):
    result = score(predicted(), Split.folds) | {"recipe": "other"}
    path = tmp_path / "new" / "other-folds.json"
    keep_accuracy(result, path)
    kept = json.loads(path.read_text())
    assert kept.keys() == result.keys()
    assert kept["median"]["R"] == round(result["median"]["R"], 5)
    assert kept["sites"][4]["RMSE"] == round(result["sites"][4]["RMSE"], 5)
    assert sum('"name"' in line for line in path.read_text().splitlines()) == 12


def test_missing_recipe_is_refused_before_the_first_fit(tmp_path):
    recipes = {Split.folds: ("multiscale", "nothing-like-it")}
    with pytest.raises(RecipeError, match="nothing-like-it"):
        measure(recipes, tmp_path, tmp_path / "work", tmp_path / "found", tmp_path / "images")
    assert not (tmp_path / "work").exists()


def test_every_split_is_measured():
    assert list(RECIPES) == list(Split)
