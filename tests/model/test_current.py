import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from msm.model.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from msm.model.current import (
    POINTER,
    Current,
    Promotion,
    card_in_use,
    read_current,
    write_current,
)
from msm.pipeline.run import open_run
from msm.settings import read_settings

THEN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Checkpoint, ensemble: Checkpoint) -> Path:
    """Two checkpoints, of which the first is in use."""
    save_checkpoint(tmp_path / "small-1.json", checkpoint)
    save_checkpoint(tmp_path / "ensemble-1.json", ensemble)
    use(tmp_path, "small-1.json", checkpoint)
    return tmp_path


def use(folder: Path, file: str, checkpoint: Checkpoint) -> None:
    promotion = Promotion(
        file=file,
        checkpoint=f"{checkpoint.card.name} {checkpoint.card.version}",
        sha256=checkpoint.sha256,
        promoted=THEN,
        why="first",
        replaced=None,
        comparison=None,
    )
    write_current(folder, Current(promotions=(promotion,)))


def test_a_folder_or_its_record_is_resolved_and_a_card_is_returned(folder: Path):
    card = folder / "small-1.json"
    assert card_in_use(folder) == card
    assert card_in_use(folder / POINTER) == card
    assert card_in_use(folder / "ensemble-1.json") == folder / "ensemble-1.json"
    assert card_in_use(folder / "nowhere.json") == folder / "nowhere.json"
    assert card_in_use(None) is None


def test_a_written_record_is_read(folder: Path, checkpoint: Checkpoint):
    current = read_current(folder)
    assert current is not None
    assert current.in_use.promoted == THEN
    assert current.of(checkpoint.sha256) == current.in_use
    assert current.of("another") is None
    assert json.loads((folder / POINTER).read_text())["promotions"][0]["file"] == "small-1.json"


def test_a_run_uses_the_checkpoint_in_use_at_its_start(
    folder: Path, checkpoint: Checkpoint, ensemble: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MSM_CHECKPOINT", str(folder))
    with open_run(read_settings()) as run:
        use(folder, "ensemble-1.json", ensemble)
        assert run.checkpoint.sha256 == checkpoint.sha256
        # What a worker process is given.
        assert run.settings.checkpoint == folder / "small-1.json"
    with open_run(read_settings()) as run:
        assert run.checkpoint.sha256 == ensemble.sha256


def test_a_folder_without_a_checkpoint_in_use_is_refused(tmp_path: Path):
    for chosen in (tmp_path, tmp_path / POINTER):
        with pytest.raises(CheckpointError, match="is in use: promote one with `msm promote`"):
            card_in_use(chosen)


def test_a_checkpoint_that_has_changed_is_refused(folder: Path):
    for suffix in (".json", ".safetensors"):
        shutil.copy(folder / f"ensemble-1{suffix}", folder / f"small-1{suffix}")
    with pytest.raises(CheckpointError, match="not the one that was promoted"):
        card_in_use(folder)
    (folder / "small-1.json").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        card_in_use(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "msm-current-9"}, "format"),
        ({"promotions": []}, "promotions"),
        ({"more": 1}, "more"),
    ],
)
def test_a_pointer_that_is_not_understood_is_refused(
    folder: Path, change: dict[str, object], said: str
):
    path = folder / POINTER
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(
        CheckpointError, match=rf"does not name the checkpoint in use .*{said}.*restore it"
    ):
        card_in_use(folder)


def test_a_record_names_a_file_of_its_folder(folder: Path):
    text = (folder / POINTER).read_text()
    (folder / POINTER).write_text(text.replace("small-1.json", "../small-1.json"))
    with pytest.raises(CheckpointError, match=r"promotions\.0\.file"):
        card_in_use(folder)
