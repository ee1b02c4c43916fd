"""The shipped checkpoint agrees with its published evaluation."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from msm.model.checkpoint import load_checkpoint
from msm.model.network import network_of
from msm.training.code_hash import code_sha256
from msm.training.data.datasets import Data
from msm.training.evaluation.crossval import CODE
from msm.training.evaluation.evaluate import evaluate
from msm.training.fitting.fit import channels
from msm.training.fitting.predict_stations import with_inputs
from msm.training.fitting.recipe import read_recipe
from tests.conftest import ROOT

CHECKPOINT = load_checkpoint()
CARD = CHECKPOINT.card


def test_its_recipe_is_the_cross_validated_one():
    recipe = read_recipe(Path(CARD.name))
    assert CARD.training.recipe == recipe.text
    found = json.loads((ROOT / "docs" / "accuracy" / f"{CARD.name}-folds.json").read_text())
    assert found["recipe_sha256"] == recipe.sha256
    assert found["code_sha256"] == code_sha256(CODE)
    assert found["data_sha256"][:12] in CARD.training.data


def test_its_uncertainty_is_calibrated():
    assert CARD.members > 1
    assert CARD.published == "ground"
    assert CARD.uncertainty.aleatoric != 1.0


def test_real_stations_are_predicted(training_data: Data):
    """Renamed stations count as unseen; as they were trained on, the bounds are strict."""
    unknown = np.array([f"not {name}" for name in training_data.ground.names])
    _, result = evaluate(CHECKPOINT, replace(training_data.ground, names=unknown))
    assert result["n_sites"] >= 90
    assert result["median"]["R"] > 0.9
    assert result["median"]["ubRMSE"] < 0.033
    _, seen = evaluate(CHECKPOINT, training_data.ground)
    assert seen["n_sites"] == 0
    assert seen["seen"]["n_sites"] == result["n_sites"]
    assert "median" not in seen["seen"]


def test_stations_without_measured_soil_are_predicted(training_data: Data):
    bare = {name: np.full_like(v, np.nan) for name, v in training_data.ground.statics.items()}
    unknown = np.array([f"not {name}" for name in training_data.ground.names])
    _, result = evaluate(CHECKPOINT, replace(training_data.ground, names=unknown, statics=bare))
    assert result["median"]["R"] > 0.9


def test_a_year_of_spin_up_settles_the_state(training_data: Data):
    """The initial state has no effect after a year."""
    some = with_inputs(training_data.ground.at(np.arange(0, training_data.ground.n_cell, 8)), CARD)
    x = channels(CARD, some)[:, :730]
    network = network_of(CHECKPOINT, 0)
    with torch.no_grad():
        cold, _ = network(x[:, 365:])
        carried = network(x)[0][:, 365:]
    late = (carried - cold)[:, -30:, CARD.published_outputs][..., 0].numpy() * CARD.head.std
    assert np.sqrt((late**2).mean()) < 0.01
