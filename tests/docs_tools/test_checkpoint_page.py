"""docs/checkpoint.md is what its command makes of the shipped card and docs/accuracy."""

import hashlib
import re

import pytest

from benchmarks.skill.accuracy import keep
from docs_tools.checkpoint_page import FOUND, PAGE, page
from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, make_checkpoint
from msm.training.evaluation.crossval import score
from msm.training.split import Split
from tests.conftest import ROOT
from tests.ensembles import ensemble_of
from tests.training.predictions import predicted


@pytest.fixture(scope="module")
def trained() -> Checkpoint:
    """Return an ensemble of random weights that says it has learned from two stations."""
    return made_of(
        stations=("XX_Site_1_N", "XX_Site_2_N"),
        cells=((40.0, -100.0),),
        recipe='name = "ensemble"\n',
    )


def made_of(**training) -> Checkpoint:
    made = ensemble_of(load_checkpoint(WEIGHTS / "first.json").card, members=2, hidden_size=8)
    record = made.card.training.model_copy(update=training)
    return make_checkpoint(made.card.model_copy(update={"training": record}), made.weights)


def found(folder, recipe_sha256):
    result = score(predicted(), Split.folds) | {
        "recipe": "ensemble",
        "recipe_sha256": recipe_sha256,
    }
    keep(result, folder / "ensemble-folds.json")
    return result


def test_the_committed_page_is_what_the_command_writes():
    assert (ROOT / PAGE).read_text() == page(load_checkpoint(), ROOT / FOUND), (
        "run: make accuracy-page"
    )


def test_it_tells_what_the_checkpoint_takes(trained, tmp_path):
    told = page(trained, tmp_path)
    for spec in trained.card.inputs:
        row = next(line for line in told.splitlines() if line.startswith(f"| `{spec.name}` |"))
        assert row.endswith("yes |" if spec.optional else "no |")
    assert trained.sha256 in told
    assert "2 of 8 LSTM units" in told
    assert "multiplies what the networks expect of their error by 0.700" in told
    assert 'name = "ensemble"' in told
    assert "2 stations and 1 satellite cells" in told
    assert "non-commercial licence" in told


def test_only_figures_of_its_own_recipe_are_told(trained, tmp_path):
    found(tmp_path, "0" * 64)
    assert "No cross-validation of its recipe" in page(trained, tmp_path)
    own = hashlib.sha256(trained.card.training.recipe.encode()).hexdigest()
    result = found(tmp_path, own)
    told = page(trained, tmp_path)
    assert f"| ensemble-folds | 12 | {result['median']['R']:.3f} |" in told
    assert "`msm crossval ensemble --split folds --data FOLDER`" in told


def test_the_sites_where_it_fails_come_worst_first(trained, tmp_path):
    own = hashlib.sha256(trained.card.training.recipe.encode()).hexdigest()
    result = found(tmp_path, own)
    told = page(trained, tmp_path)
    listed = re.findall(r"^\| (\S+) \| fold \d", told, re.MULTILINE)
    worst = sorted(result["sites"], key=lambda site: site["R"])
    assert listed == [site["name"] for site in worst[:10]]


def test_a_checkpoint_of_the_satellite_alone_says_so(tmp_path):
    told = page(made_of(stations=()), tmp_path)
    assert "It has learned from no station" in told
    assert "Level jumpers" not in told
