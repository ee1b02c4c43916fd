from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from msm.model.checkpoint import CheckpointError, load_checkpoint
from msm.model.network import SoilMoistureLSTM
from msm.training import fit as fitting
from msm.training.fit import Recipe, RecipeError, fit, predict, train
from msm.training.metrics import site_metrics
from msm.training.pixels import Pixels

RECIPE = """
name = "tiny"
version = "1"
licence = "Apache-2.0"
forcing = ["precipitation", "air_temperature"]
statics = ["sand"]
log1p = ["precipitation"]
first = 2020-01-01
last = 2020-06-28
hidden_size = 16
dropout = 0.1
steps = 200
cells_per_step = 8
window_days = 30
cold_starts = 0.2
state_penalty = 0.001
learning_rate = 0.02
weight_decay = 0.0
folds = 4
seed = 5
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """Buckets that fill with rain and drain the faster the sandier they are."""
    rng = np.random.default_rng(0)
    n_cell, n_day = 24, 180
    rain = rng.exponential(8, (n_cell, n_day)) * (rng.random((n_cell, n_day)) < 0.25)
    sand = rng.uniform(0.2, 0.7, n_cell)
    water, level = np.empty((n_cell, n_day)), np.full(n_cell, 0.2)
    for day in range(n_day):
        level = np.clip(level + 0.006 * rain[:, day], 0.05, 0.45)
        level = 0.05 + (level - 0.05) * (0.97 - 0.2 * sand)
        water[:, day] = level
    water[rng.random((n_cell, n_day)) < 0.5] = np.nan
    return Pixels(
        lat=np.linspace(30, 45, n_cell),
        lon=np.linspace(-120, -80, n_cell),
        days=np.datetime64("2020-01-01") + np.arange(n_day),
        forcing={
            "precipitation": rain.astype(np.float32),
            "air_temperature": rng.normal(285, 8, (n_cell, n_day)).astype(np.float32),
        },
        statics={"sand": sand.astype(np.float32)},
        target=water.astype(np.float32),
    )


@pytest.fixture
def on_pixels(pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "read_pixels", lambda _: pixels)


@pytest.mark.usefixtures("on_pixels")
def test_a_fit_learns_and_its_error_is_that_of_held_out_cells(
    recipe: Path, pixels: Pixels, tmp_path: Path
):
    out = tmp_path / "tiny.json"
    checkpoint = train(recipe, tmp_path, out)
    assert load_checkpoint(out).sha256 == checkpoint.sha256
    _, state = predict(checkpoint, pixels)
    predicted, _ = predict(checkpoint, pixels, state)
    metrics = site_metrics(predicted, pixels.target).medians()
    assert metrics["r"] > 0.85
    spread = np.nanstd(pixels.target)
    assert metrics["rmse"] < 0.6 * spread
    assert 0.1 * spread < checkpoint.card.head.error < 0.8 * spread
    card = checkpoint.card
    assert card.training.cells[0] == (30.0, -120.0)
    assert len(card.training.cells) == 24
    assert card.training.recipe == RECIPE
    rain = card.forcing[0]
    assert rain.maximum == pixels.forcing["precipitation"].max()
    assert rain.mean == pytest.approx(np.log1p(pixels.forcing["precipitation"]).mean(), rel=1e-4)


def _short(**changes: object) -> Recipe:
    fields = dict(fitting.tomllib.loads(RECIPE)) | {"steps": 4} | changes
    return Recipe.model_validate(fields)


def test_the_same_seed_gives_the_same_weights(pixels: Pixels):
    first, again, other = (fit(_short(seed=seed), "", pixels, 0.05) for seed in (1, 1, 2))
    assert first.card.weights_sha256 == again.card.weights_sha256
    assert first.card.weights_sha256 != other.card.weights_sha256


def test_windows_without_a_target_do_no_harm(pixels: Pixels):
    sparse = np.full_like(pixels.target, np.nan)
    sparse[0, :2] = [0.1, 0.2]
    few = Pixels(pixels.lat, pixels.lon, pixels.days, pixels.forcing, pixels.statics, sparse)
    checkpoint = fit(_short(window_days=5, cells_per_step=2), "", few, 0.05)
    assert all(np.isfinite(weight).all() for weight in checkpoint.weights.values())


def test_the_loss_is_over_the_days_with_a_target():
    predicted = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    target = torch.tensor([[2.0, torch.nan, 3.0], [torch.nan, 5.0, 3.0]])
    loss = fitting._loss(predicted, target)
    assert loss.item() == pytest.approx((1 + 0 + 0 + 9) / 4)
    loss.backward()
    assert predicted.grad is not None
    np.testing.assert_allclose(predicted.grad, [[-0.5, 0, 0], [0, 0, 1.5]])
    assert fitting._loss(predicted, torch.full_like(target, torch.nan)) == 0


def test_the_first_window_after_a_cold_start_is_not_scored(pixels: Pixels):
    """Every window follows a cold start, so nothing but the decay of the weights moves them."""
    always_cold = fit(_short(cold_starts=0.999999, state_penalty=0.0), "", pixels, 0.05)
    torch.manual_seed(5)
    start = SoilMoistureLSTM(3, 16, dropout=0.1).state_dict()
    for name, weight in always_cold.member(0).items():
        np.testing.assert_array_equal(weight, start[name].numpy())
    carried = fit(_short(cold_starts=0.0, steps=20), "", pixels, 0.05)
    assert not np.array_equal(carried.weights["0.head.weight"], start["head.weight"].numpy())


def test_the_penalty_keeps_the_state_small(pixels: Pixels):
    sizes = []
    for penalty in (0.0, 1.0):
        checkpoint = fit(_short(steps=25, state_penalty=penalty), "", pixels, 0.05)
        _, state = predict(checkpoint, pixels.between(date(2020, 1, 1), date(2020, 2, 29)))
        sizes.append(np.abs(state.c.astype(np.float32)).mean())
    assert sizes[1] < 0.8 * sizes[0]


def test_the_prediction_goes_on_where_it_stopped(pixels: Pixels):
    checkpoint = fit(_short(), "", pixels, 0.05)
    whole, end = predict(checkpoint, pixels)
    first, state = predict(checkpoint, pixels.between(date(2020, 1, 1), date(2020, 2, 29)))
    rest, end_of_rest = predict(
        checkpoint, pixels.between(date(2020, 3, 1), date(2020, 6, 28)), state
    )
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)
    assert end_of_rest.content_hash == end.content_hash


def test_a_recipe_that_cannot_be_used_is_refused(recipe: Path, tmp_path: Path):
    out = tmp_path / "out.json"
    with pytest.raises(RecipeError, match="cannot be read"):
        train(tmp_path / "nowhere.toml", tmp_path, out)
    recipe.write_text(RECIPE + "\nepochs = 3\n")
    with pytest.raises(RecipeError, match="epochs"):
        train(recipe, tmp_path, out)
    recipe.write_text("name = ")
    with pytest.raises(RecipeError, match="not TOML"):
        train(recipe, tmp_path, out)


def test_an_existing_checkpoint_stops_before_the_fit(recipe: Path, tmp_path: Path):
    out = tmp_path / "out.json"
    out.write_text("{}")
    with pytest.raises(CheckpointError, match="not overwritten"):
        train(recipe, tmp_path, out)
