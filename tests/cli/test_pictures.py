"""`msm evaluate --pictures` draws what a checkpoint has not learned from, and nothing else."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from msm.cli.main import app
from msm.model.checkpoint import WEIGHTS, load_checkpoint, make_checkpoint, save_checkpoint
from tests.ensembles import ensemble_of

NAMES = ("NM_Socorro_20_N", "NC_Durham_11_W", "MT_Dillon_18_WSW")


@pytest.fixture(scope="module")
def sites(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three stations."""
    folder = tmp_path_factory.mktemp("sites")
    stations = pd.read_csv(real_data / "uscrn" / "stations.csv", dtype={"wban": str})
    stations = stations[stations.station.isin(NAMES)]
    daily = pd.read_parquet(real_data / "uscrn" / "daily.parquet")
    wanted = daily.wban.astype(str).isin(stations.wban)
    daily[wanted].to_parquet(folder / "daily.parquet")
    stations.to_csv(folder / "stations.csv", index=False)
    return folder


def checkpoint(folder: Path, learned: tuple[str, ...]) -> Path:
    """Make a checkpoint of random weights that needs no soil and has learned from stations."""
    card = load_checkpoint(WEIGHTS / "first.json").card
    soil = tuple(spec.model_copy(update={"optional": True}) for spec in card.statics)
    made = ensemble_of(card.model_copy(update={"statics": soil}), members=2, hidden_size=8)
    record = made.card.training.model_copy(update={"stations": learned})
    path = folder / "random.json"
    card = made.card.model_copy(update={"training": record})
    save_checkpoint(path, make_checkpoint(card, made.weights))
    return path


def evaluate(*words: Path | str) -> str:
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_unseen_sites_are_drawn(sites: Path, tmp_path: Path):
    card = checkpoint(tmp_path, learned=NAMES[:1])
    told = evaluate("--sites", sites, "--checkpoint", card, "--pictures", tmp_path / "pictures")
    assert "2 unseen sites" in told
    drawn = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert drawn == [f"ensemble-1-{name}.png" for name in ("calibration", "series", "skill")]


def test_it_is_said_where_no_site_is_unseen(sites: Path, tmp_path: Path):
    card = checkpoint(tmp_path, learned=NAMES)
    told = evaluate("--sites", sites, "--checkpoint", card, "--pictures", tmp_path / "pictures")
    assert "No picture: no unseen site has enough days to be scored." in told
    assert not (tmp_path / "pictures").exists()
