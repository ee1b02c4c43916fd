"""docs/accuracy.md is what its command makes of the files beside it, and says what they say."""

import json

import pytest

from benchmarks.skill.accuracy import COST, compared, keep
from docs_tools.accuracy_page import FOUND, PAGE, not_better, page
from msm.training.evaluation.crossval import score
from msm.training.split import Split
from tests.conftest import ROOT
from tests.training.predictions import predicted

HASHES = {f"{of}_sha256": of[0] * 64 for of in ("recipe", "data", "code")}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Made-up results of one split: a good network, its twin and a poor baseline."""
    folder = tmp_path_factory.mktemp("accuracy")
    networks = {name: predicted(noise=0.02, seed=seed) for seed, name in enumerate(("a", "b"))}
    for name, each in networks.items():
        keep(score(each, Split.folds) | HASHES | {"recipe": name}, folder / f"{name}-folds.json")
    comparison = compared(networks, {"season": predicted(noise=0.08, seed=5)}, Split.folds)
    keep(comparison, folder / "compared-folds.json")
    keep({"a-folds": {"fits": 20, "minutes": 61.23, "processors": 2}}, folder / COST)
    return folder


def test_the_committed_page_is_what_the_command_writes():
    assert (ROOT / PAGE).read_text() == page(ROOT / FOUND), "run: make accuracy-page"


def test_every_picture_of_the_committed_page_is_there():
    for line in (ROOT / PAGE).read_text().splitlines():
        if line.startswith("!["):
            assert (ROOT / "docs" / line.split("](")[1].rstrip(")")).is_file(), line


def test_what_is_not_there_is_not_measured(tmp_path):
    told = page(tmp_path)
    assert told.count("Not measured yet") == 5
    assert "What it took" not in told


def test_the_figures_are_those_of_the_files(found):
    told = page(found)
    whole = json.loads((found / "a-folds.json").read_text())
    median = whole["median"]
    assert f"| a | 12 | {median['R']:.3f} | {median['R_anomaly']:.3f} |" in told
    assert "`msm crossval a --split folds --data FOLDER`" in told
    assert f"| {'r' * 12} | {'d' * 12} | {'c' * 12} |" in told
    assert "| a-folds | 20 | 61.2 | 2 |" in told
    pair = json.loads((found / "compared-folds.json").read_text())["differences"][1]["figures"]["R"]
    row = next(line for line in told.splitlines() if line.startswith("| a minus season |"))
    assert f"{pair['median']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}]" in row
    assert "| a minus season, without level jumpers |" in told
    assert told.count("Not measured yet") == 4
    assert "images/accuracy/a-folds-skill.png" in told


def test_what_did_not_help_is_told(found):
    told = page(found)
    assert "- a beside b: " in told
    assert "beside season" not in told


def test_worse_is_told_from_not_shown_to_be_better():
    def pair(**intervals):
        figures = {
            figure: {"median": (low + high) / 2, "low": low, "high": high}
            for figure, (low, high) in intervals.items()
        }
        return {"first": "a", "second": "b", "figures": figures}

    assert list(not_better([pair(R=(0.01, 0.02), RMSE=(-0.02, -0.01))])) == []
    assert list(not_better([pair(R=(-0.02, -0.01), RMSE=(-0.01, 0.03), ubRMSE=(0.01, 0.02))])) == [
        "a beside b: worse in R -0.015 [-0.020, -0.010], ubRMSE +0.0150 [+0.0100, +0.0200];"
        " not shown to be better in RMSE +0.0100 [-0.0100, +0.0300]."
    ]
