import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msm.errors import MsmError
from msm.model.card import Card
from msm.model.checkpoint import (
    SHIPPED,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    make_checkpoint,
    parameter_shapes,
    save_checkpoint,
    weight_shapes,
)
from msm.model.network import SoilMoistureLSTM
from tests.ensembles import informed_of

HEAD = {"name": "satellite", "mean": 0.2, "std": 0.1, "error": 0.05}
MEMBER = {"seed": 1, "left_out_stations": []}


@pytest.fixture
def saved(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    save_checkpoint(path, checkpoint)
    return path


def _edit(path: Path, **changes: Any) -> None:
    card = json.loads(path.read_text())
    for where, value in changes.items():
        *parents, last = where.split("__")
        part = card
        for key in parents:
            part = part[int(key) if key.isdigit() else key]
        part[last] = value
    path.write_text(json.dumps(card))


def test_a_saved_checkpoint_is_loaded(checkpoint: Checkpoint, saved: Path):
    loaded = load_checkpoint(saved)
    assert loaded.card == checkpoint.card
    assert loaded.sha256 == checkpoint.sha256
    for name, weight in checkpoint.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], weight)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["small.json", "small.safetensors"]


def test_the_identity_covers_card_and_weights(checkpoint: Checkpoint, card: Card):
    renamed = make_checkpoint(card.model_copy(update={"version": "2"}), checkpoint.weights)
    moved = {n: w + np.float32(1e-7) * (n == "0.head.bias") for n, w in checkpoint.weights.items()}
    retrained = make_checkpoint(card, moved)
    assert len({checkpoint.sha256, renamed.sha256, retrained.sha256}) == 3
    assert make_checkpoint(card, dict(checkpoint.weights)).sha256 == checkpoint.sha256


def test_the_names_of_the_weights_are_those_of_the_network(checkpoint: Checkpoint):
    assert _shapes(SoilMoistureLSTM(3, 16)) == parameter_shapes(checkpoint.card)


def test_each_member_of_an_ensemble_has_its_weights(ensemble: Checkpoint, tmp_path: Path):
    """Six inputs of which three may be missing; two heads with a mean and a variance each."""
    card = ensemble.card
    assert (card.n_channels, card.n_outputs, card.state_size) == (9, 4, 48)
    assert card.published_outputs == slice(2, 4)
    one = _shapes(SoilMoistureLSTM(9, 16, 4))
    assert parameter_shapes(card) == one
    assert weight_shapes(card) == {f"{m}.{name}": s for m in range(3) for name, s in one.items()}
    save_checkpoint(tmp_path / "three.json", ensemble)
    loaded = load_checkpoint(tmp_path / "three.json")
    assert (loaded.card, loaded.sha256) == (card, ensemble.sha256)
    np.testing.assert_array_equal(
        loaded.member(2)["lstm.weight_hh_l0"], ensemble.weights["2.lstm.weight_hh_l0"]
    )


def _shapes(network: SoilMoistureLSTM) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "msm-checkpoint-1"}, "format"),
        ({"licence_url": "x"}, "licence_url"),
        ({"forcing__0__name": "rain"}, "'rain' is unknown"),
        ({"forcing__0__name": "sand", "forcing__0__units": "1"}, "'sand' is unknown"),
        ({"forcing__1__name": "precipitation", "forcing__1__units": "mm day-1"}, "named twice"),
        ({"forcing__0__units": "m s-1"}, "precipitation is in 'm s-1', not 'mm day-1'"),
        ({"forcing__0__transform": "sqrt"}, "transform"),
        ({"forcing__0__std": 0.0}, "std must be positive"),
        ({"forcing": []}, "at least one daily input"),
        (
            {"forcing__0__optional": True, "forcing__1__optional": True},
            "at least one daily input is needed that is not optional",
        ),
        ({"target__minimum": 0.7}, "target: minimum must lie below maximum"),
        ({"heads__0__error": 0.0}, r"head satellite: error must be positive, not 0\.0"),
        ({"heads__0__std": 0.0}, r"head satellite: std must be positive, not 0\.0"),
        ({"heads__0__name": "moon"}, r"heads\.0\.name"),
        ({"heads": [HEAD, HEAD]}, "a head is named twice"),
        ({"heads": []}, r"head 'satellite' is not one of the heads \(none\)"),
        ({"published": "ground"}, r"head 'ground' is not one of the heads \(satellite\)"),
        ({"uncertainty__epistemic": 0.0}, "all factors must be positive"),
        ({"members": 0}, "at least one member is needed, not 0"),
        ({"training__members": [MEMBER] * 2}, "2 of 1 members have a training record"),
        ({"hidden_size": 8}, "hidden size 8"),
        ({"statics": []}, r"weight 0\.inlet.weight has shape"),
        ({"statics__0__optional": True}, r"weight 0\.inlet.weight has shape .* 4 channels"),
        ({"heads__0__error": None}, r"weight 0\.head\.bias has shape \(1,\) .* 2 outputs"),
        ({"members": 2}, r"weight 1\.head\.bias has shape None .* 2 members need \(1,\)"),
    ],
)
def test_a_card_that_msm_cannot_use_is_refused(saved: Path, change: dict[str, Any], message: str):
    _edit(saved, **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


def test_weights_of_another_training_are_refused(saved: Path):
    weights = saved.with_suffix(".safetensors")
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"not those of the card .*copy both files"):
        load_checkpoint(saved)


def test_weights_that_are_not_finite_are_refused(checkpoint: Checkpoint, card: Card):
    broken = dict(checkpoint.weights) | {"0.head.bias": np.array([np.nan], np.float32)}
    with pytest.raises(CheckpointError, match=r"head\.bias is not finite"):
        make_checkpoint(card, broken)


def test_missing_files_are_named(saved: Path):
    with pytest.raises(CheckpointError, match=r"nowhere\.json cannot be read"):
        load_checkpoint(saved.parent / "nowhere.json")
    saved.with_suffix(".safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"small\.safetensors"):
        load_checkpoint(saved)


def test_a_checkpoint_is_never_overwritten(checkpoint: Checkpoint, saved: Path):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match="is not overwritten"):
        save_checkpoint(saved, checkpoint)
    assert saved.read_bytes() == before


def test_a_save_that_fails_shows_no_checkpoint(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MsmError, match="No space"):
        save_checkpoint(tmp_path / "small.json", checkpoint)
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_checkpoint_is_usable_and_honest():
    checkpoint = load_checkpoint()
    card = checkpoint.card
    assert SHIPPED.is_file()
    assert [s.name for s in card.forcing] == [
        "precipitation",
        "air_temperature",
        "specific_humidity",
        "shortwave_down",
    ]
    # A map has no measured soil.
    assert all(spec.optional for spec in card.statics)
    assert card.members == len(card.training.members) > 1
    assert [head.name for head in card.heads] == ["ground", "satellite"]
    assert (card.published, card.head.error) == ("ground", None)
    assert len(card.training.stations) == 93
    assert len(card.training.cells) == 412
    left_out = [set(member.left_out_stations) for member in card.training.members]
    assert set().union(*left_out) == set(card.training.stations)
    for spec in card.statics:
        assert 0 <= spec.minimum < spec.maximum <= 1


def test_a_card_without_retrievals_keeps_its_text():
    shipped = SHIPPED.with_name("first.json")
    checkpoint = load_checkpoint(shipped)
    assert "retrievals" not in checkpoint.card.model_dump(mode="json")
    assert checkpoint.card.model_dump_json(indent=1) + "\n" == shipped.read_text()
    assert checkpoint.sha256 == "5d72a21b9d9a176a76fde3352be289785f6a600b8180fc2bf8d9e0b2e94cf195"


def test_a_card_states_its_retrievals(card: Card, tmp_path: Path):
    informed = informed_of(card, lag_days=2, window_days=3)
    assert list(informed.card.retrievals.ages) == [2, 3, 4]
    # Two inputs and a static of the card, three of the retrievals, each with a mask.
    assert informed.card.n_channels == 3 + 2 * 3
    save_checkpoint(tmp_path / "informed.json", informed)
    loaded = load_checkpoint(tmp_path / "informed.json")
    assert (loaded.card, loaded.sha256) == (informed.card, informed.sha256)
    assert informed_of(card, lag_days=1, window_days=3).sha256 != informed.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"retrievals": None}, "retrievals: state lag and window, retrieval is an input"),
        ({"forcing__3__optional": False}, "retrieval_age must be optional: there is not always"),
        ({"retrievals__lag_days": 0}, "retrievals.lag_days: Input should be greater than or equal"),
        ({"retrievals__window_days": 0}, "retrievals.window_days: Input should be greater than"),
    ],
)
def test_retrievals_that_do_not_fit_are_refused(
    card: Card, tmp_path: Path, changes: dict[str, Any], message: str
):
    path = tmp_path / "informed.json"
    save_checkpoint(path, informed_of(card, lag_days=2, window_days=3))
    _edit(path, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_retrievals_without_an_input_are_refused(saved: Path):
    _edit(saved, retrievals={"lag_days": 1, "window_days": 8})
    with pytest.raises(CheckpointError, match="leave them out, no forcing input is one of them"):
        load_checkpoint(saved)
