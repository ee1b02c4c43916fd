import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msm.errors import MsmError
from msm.model.checkpoint import (
    SHIPPED,
    Card,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    make_checkpoint,
    save_checkpoint,
    weight_shapes,
)
from msm.model.network import SoilMoistureLSTM


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


def test_what_is_saved_is_loaded(checkpoint: Checkpoint, saved: Path):
    loaded = load_checkpoint(saved)
    assert loaded.card == checkpoint.card
    assert loaded.sha256 == checkpoint.sha256
    for name, weight in checkpoint.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], weight)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["small.json", "small.safetensors"]


def test_the_identity_covers_card_and_weights(checkpoint: Checkpoint, card: Card):
    renamed = make_checkpoint(card.model_copy(update={"version": "2"}), checkpoint.weights)
    moved = {n: w + np.float32(1e-7) * (n == "head.bias") for n, w in checkpoint.weights.items()}
    retrained = make_checkpoint(card, moved)
    assert len({checkpoint.sha256, renamed.sha256, retrained.sha256}) == 3
    assert make_checkpoint(card, dict(checkpoint.weights)).sha256 == checkpoint.sha256


def test_the_names_of_the_weights_are_those_of_the_network():
    shapes = {n: tuple(w.shape) for n, w in SoilMoistureLSTM(6, 12).state_dict().items()}
    assert shapes == weight_shapes(6, 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "msm-checkpoint-2"}, "format"),
        ({"licence_url": "x"}, "licence_url"),
        ({"forcing__0__name": "rain"}, "'rain' is not one that msm knows"),
        ({"forcing__0__name": "sand", "forcing__0__units": "1"}, "'sand' is not one"),
        ({"forcing__1__name": "precipitation", "forcing__1__units": "mm day-1"}, "named twice"),
        ({"forcing__0__units": "m s-1"}, "precipitation is in 'm s-1', not 'mm day-1'"),
        ({"forcing__0__transform": "sqrt"}, "transform"),
        ({"forcing__0__std": 0.0}, "std must be positive"),
        ({"forcing": []}, "at least one daily input"),
        ({"target__error": 0.0}, "target"),
        ({"hidden_size": 8}, "hidden size 8"),
        ({"statics": []}, "weight inlet.weight has shape"),
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
    broken = dict(checkpoint.weights) | {"head.bias": np.array([np.nan], np.float32)}
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
    assert [s.name for s in card.statics] == ["sand", "clay"]
    assert card.hidden_size == 256
    assert 0.02 < card.target.error < 0.1
    # One cell of the 412 has no soil texture; the test year is not among the periods.
    assert len(card.training.cells) == 411
    assert [(str(p.first), str(p.last)) for p in card.training.periods] == [
        ("2015-04-01", "2016-03-31")
    ]
    for spec in card.statics:
        assert 0 <= spec.minimum < spec.maximum <= 1
