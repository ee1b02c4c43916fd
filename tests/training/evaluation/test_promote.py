import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from msm.errors import MsmError
from msm.model.checkpoint import CheckpointError, make_checkpoint, save_checkpoint
from msm.model.current import POINTER, card_in_use, read_current
from msm.model.network import SoilMoistureLSTM, weights_of
from msm.training.data.datasets import Data, read_data
from msm.training.evaluation import promote as promoting
from msm.training.evaluation.crossval import Predicted, load, save, score
from msm.training.evaluation.promote import (
    PromotionError,
    WorseError,
    compare,
    go_back,
    kept_crossval,
    promote,
)
from msm.training.fitting.ensemble import plan
from msm.training.fitting.recipe import read_recipe
from msm.training.split import Split
from tests.training_data import write_recipe, write_training_data

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
DAYS = np.arange("2021-01-01", "2022-06-01", dtype="datetime64[D]")

Candidate = Callable[..., tuple[Path, Path]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return read_data(write_training_data(tmp_path_factory.mktemp("data") / "all"))


def predicted(error: float, n_site: int = 20, days: np.ndarray = DAYS, seed: int = 1) -> Predicted:
    """Predict sites with a random error of this size and a common one of 0.01."""
    truth = np.random.default_rng(0).uniform(0.1, 0.4, (n_site, days.size))
    noise = np.random.default_rng(seed).normal(0, error, truth.shape)
    common = np.random.default_rng(0).normal(0, 0.01, truth.shape)
    mean = (truth + noise + common).astype(np.float32)
    names = tuple(f"site {number:02d}" for number in range(n_site))
    truth = truth.astype(np.float32)
    nowhere = np.zeros(n_site)
    return Predicted(names, names, nowhere, nowhere, days, truth, mean, np.full_like(mean, error))


@pytest.fixture
def candidate(tmp_path: Path, data: Data) -> Candidate:
    """Create an untrained checkpoint and a cross-validation with a given error."""

    def make(version: str, error: float = 0.03, seed: int = 1) -> tuple[Path, Path]:
        recipe = read_recipe(write_recipe(tmp_path, version))
        card = plan(recipe, data.ground, data.satellite, data.sha256).card
        torch.manual_seed(seed)
        networks = [
            SoilMoistureLSTM(card.n_channels, card.hidden_size, card.n_outputs)
            for _ in range(card.members)
        ]
        path = tmp_path / "checkpoints" / f"tiny-{version}-{seed}.json"
        save_checkpoint(path, make_checkpoint(card, weights_of(networks)))
        found = predicted(error, seed=seed)
        result = score(found, Split.folds) | {
            "recipe": "tiny",
            "recipe_sha256": recipe.sha256,
            "data_sha256": data.sha256,
        }
        return path, save(found, result, tmp_path / "work")

    return make


def pointer(card: Path) -> bytes:
    return (card.parent / POINTER).read_bytes()


def test_the_first_checkpoint_is_promoted_with_its_cross_validation(candidate: Candidate):
    card, crossval = candidate("1")
    promotion = promote(card, crossval, NOW)
    assert (promotion.why, promotion.replaced, promotion.comparison) == ("first", None, None)
    assert (promotion.file, promotion.checkpoint) == ("tiny-1-1.json", "tiny 1")
    assert promotion.promoted == NOW
    assert card_in_use(card.parent) == card
    for one, other in zip(load(kept_crossval(card)), load(crossval), strict=True):
        assert str(one) == str(other)


def test_a_checkpoint_that_is_not_worse_replaces_the_old_one(
    candidate: Candidate,
):
    old, crossval = candidate("1", error=0.03)
    first = promote(old, crossval, NOW)
    before = {path: path.read_bytes() for path in old.parent.glob("tiny-1*")}
    # From here on the work folder contains the cross-validation of the new recipe.
    new, crossval = candidate("2", error=0.03, seed=2)
    second = promote(new, crossval, LATER)
    assert second.why == "not worse"
    assert second.replaced == first.sha256
    found = second.comparison
    assert found is not None
    assert found.low < 0 < found.high
    assert found.low < found.difference < found.high
    assert (found.n_sites, found.level) == (20, 0.95)
    assert found.new == pytest.approx(0.0316, abs=2e-4)
    current = read_current(old.parent)
    assert current is not None
    assert current.promotions == (second, first)
    assert len(before) == 4
    assert {path: path.read_bytes() for path in before} == before
    assert card_in_use(old.parent) == new


def test_a_worse_checkpoint_is_refused_and_nothing_changes(candidate: Candidate):
    old, crossval = candidate("1", error=0.03)
    promote(old, crossval, NOW)
    before = pointer(old)
    new, crossval = candidate("2", error=0.04, seed=2)
    with pytest.raises(WorseError) as refused:
        promote(new, crossval, LATER)
    message = str(pickle.loads(pickle.dumps(refused.value)))  # noqa: S301
    assert "Checkpoint tiny 2 is worse than tiny 1, which stays in use" in message
    found = refused.value.comparison
    assert found.low > 0
    for figure in (found.new, found.old, found.difference, found.low, found.high):
        assert f"{figure:.4f}" in message
    assert "95%" in message
    assert "improve the recipe" in message
    assert "\n" not in message
    assert pointer(old) == before
    assert card_in_use(old.parent) == old
    assert not kept_crossval(new).exists()


def test_promoting_the_checkpoint_in_use_changes_nothing(candidate: Candidate):
    card, crossval = candidate("1")
    promotion = promote(card, crossval, NOW)
    before = pointer(card)
    assert promote(card, crossval, LATER) == promotion
    assert go_back(card, LATER) == promotion
    assert pointer(card) == before


def test_going_back_to_a_former_checkpoint_needs_no_comparison(candidate: Candidate):
    old, crossval = candidate("1", error=0.04)
    first = promote(old, crossval, NOW)
    new, crossval = candidate("2", error=0.03, seed=2)
    second = promote(new, crossval, NOW)
    back = go_back(old, LATER)
    assert (back.why, back.sha256, back.replaced) == ("back", first.sha256, second.sha256)
    assert card_in_use(old.parent) == old
    current = read_current(old.parent)
    assert current is not None
    assert current.promotions == (back, second, first)
    # The way forward is an ordinary promotion with the kept cross-validation.
    crossval.unlink()
    again = promote(new, crossval, LATER)
    assert again.comparison == second.comparison
    assert card_in_use(old.parent) == new


def test_going_back_to_a_checkpoint_that_never_was_in_use_is_refused(candidate: Candidate):
    card, crossval = candidate("1")
    with pytest.raises(PromotionError, match=r"never was in use: promote it without --back"):
        go_back(card, NOW)
    promote(card, crossval, NOW)
    other, _ = candidate("2", seed=2)
    with pytest.raises(PromotionError, match="never was in use"):
        go_back(other, NOW)


def test_another_checkpoint_of_the_same_name_and_version_is_refused(candidate: Candidate):
    promote(*candidate("1"), NOW)
    with pytest.raises(PromotionError, match=r"called tiny 1 was in use .*raise the version"):
        promote(*candidate("1", seed=2), LATER)


@pytest.mark.parametrize("key", ["split", "recipe_sha256", "data_sha256"])
def test_a_cross_validation_of_another_recipe_is_refused(candidate: Candidate, key: str):
    card, crossval = candidate("1")
    result = json.loads(crossval.read_text())
    crossval.write_text(json.dumps(result | {key: "another"}))
    with pytest.raises(PromotionError, match="is not the cross-validation by folds"):
        promote(card, crossval, NOW)
    assert read_current(card.parent) is None


def test_a_missing_or_damaged_cross_validation_is_named(candidate: Candidate):
    card, crossval = candidate("1")
    numbers = crossval.with_suffix(".npz")
    whole = numbers.read_bytes()
    numbers.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PromotionError, match=r"tiny-folds\.json .* cannot be read: create it"):
        promote(card, crossval, NOW)
    numbers.write_bytes(whole)
    promote(card, crossval, NOW)
    kept_crossval(card).unlink()
    new, crossval = candidate("2", seed=2)
    with pytest.raises(PromotionError, match=r"tiny-1-1-folds\.json .* recipe of tiny 1"):
        promote(new, crossval, LATER)
    assert card_in_use(card.parent) == card


def test_a_checkpoint_that_cannot_be_read_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        promote(tmp_path / "nowhere.json", tmp_path / "folds.json", NOW)


def test_a_promotion_can_be_repeated_after_a_kill_before_the_record(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    card, crossval = candidate("1")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(promoting, "write_current", killed)
        with pytest.raises(KeyboardInterrupt):
            promote(card, crossval, NOW)
    assert read_current(card.parent) is None
    assert promote(card, crossval, LATER).promoted == LATER


def test_only_the_common_sites_and_days_are_compared():
    new, old = predicted(0.03), predicted(0.03, seed=2)
    whole = compare(new, old)
    # Sites, days and values that only one has are not compared.
    more = predicted(0.03, n_site=25, days=np.append(DAYS, DAYS[-1] + 1 + np.arange(50)))
    again = Predicted(
        names=(*new.names[::-1], "elsewhere"),
        part=(*new.part, ""),
        lat=np.zeros(21),
        lon=np.zeros(21),
        days=DAYS,
        truth=np.vstack([new.truth[::-1], new.truth[:1]]),
        soil_moisture=np.vstack([new.soil_moisture[::-1], new.soil_moisture[:1]]),
        uncertainty=np.vstack([new.uncertainty, new.uncertainty[:1]]),
    )
    assert compare(again, old) == whole
    assert compare(again, more).n_sites == 20
    holes = predicted(0.03, seed=2)
    holes.soil_moisture[:, ::7] = np.nan
    cut = predicted(0.03)
    cut.soil_moisture[:, ::7] = np.nan
    assert compare(new, holes) == compare(cut, holes)
    assert compare(new, holes) != whole


def test_too_few_common_sites_are_refused():
    with pytest.raises(PromotionError, match=r"have 9 sites in common with 365 days"):
        compare(predicted(0.03, n_site=9), predicted(0.04))
    with pytest.raises(MsmError, match="have 0 sites in common"):
        compare(predicted(0.03, days=DAYS[:364]), predicted(0.03))
