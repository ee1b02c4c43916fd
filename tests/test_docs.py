"""The commands in the documentation work as they stand there."""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import date
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from msm.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from msm.model.current import card_in_use
from msm.settings import Settings, read_settings
from tests.ensembles import ensemble_of
from tests.training_data import write_recipe, write_training_data

DOCS = Path(__file__).parent.parent / "docs"
BIN = Path(sys.executable).parent


def page(name):
    return (DOCS / "operations" / name).read_text()


def commands(name):
    blocks = re.findall(r"```sh\n(.*?)```", page(name), re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def site(fresh_sandbox, tmp_path, monkeypatch):
    """A folder and an environment like an operator's, on a small domain."""
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MSM_DOMAIN", "box:38,39,-98.5,-97")
    monkeypatch.setenv("MSM_SPIN_UP_DAYS", "0")
    monkeypatch.setenv("MSM_READERS", "1")
    monkeypatch.setenv("MSM_WINDOW_DAYS", "2")
    monkeypatch.setenv("MSM_DEEP_DAYS", "2")
    monkeypatch.setenv("MSM_DISK_MARGIN_GB", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line, folder):
    parts = shlex.split(line)
    given = dict(part.split("=", 1) for part in takewhile(lambda part: "=" in part, parts))
    words = [word for part in parts[len(given) :] for word in sorted(glob.glob(part)) or [part]]
    given["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, cwd=folder, env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def test_a_day_and_a_look_at_its_inputs(site):
    of_install = [line for line in commands("install.md") if line.startswith("msm ")]
    lines = dict.fromkeys([*commands("daily.md"), *commands("inputs.md"), *of_install])
    told = {line: run(line, site) for line in lines}
    assert len(told) == 8
    assert len(told["msm daily"].splitlines()) == 2
    assert told["msm daily --date 2016-06-03"].strip().endswith("20160603-v1.1.nc")
    assert "1 final" in told["msm status"]
    assert "2 provisional" in told["msm status"]
    assert told["msm probe"].count("as its layout file says") == 12


def test_a_site_is_watched(site):
    run("msm daily", site)
    calendar, quality, doctor = (run(line, site) for line in commands("watch.md"))
    assert "2 provisional" in calendar
    assert "flagged" in quality or "good" in quality
    assert "none needs attention" in " ".join(doctor.split())


def test_a_gap_is_accepted(site):
    (example,) = re.findall(r"```toml\n(.*?)```", page("gaps.md"), re.DOTALL)
    (site / "msm.toml").write_text(example)
    look, make = commands("gaps.md")
    assert len(run(make, site).splitlines()) == 2
    assert "2 provisional" in run(look, site)
    assert read_settings().gaps == {date(2016, 6, 2): "GES DISC lost the hours 06 to 09"}


def test_a_version_is_changed(site):
    run("msm daily --date 2016-06-03", site)
    # What probes every product is run above.
    lines = [line for line in commands("input-version.md") if line not in commands("inputs.md")]
    told = [run(line, site) for line in lines]
    assert "NLDAS_FORA0125_H 2.0" in told[0]
    assert told[-2].count("final") == 1
    for path in re.findall(r"`(msm/[\w./]+)`", page("input-version.md")):
        assert (DOCS.parent / path).is_file(), path


def test_a_checkpoint_is_tried_beside_the_archive_and_taken(site, monkeypatch):
    card = load_checkpoint(WEIGHTS / "first.json").card.model_copy(update={"name": "soil"})
    (site / "checkpoints").mkdir()
    save_checkpoint(site / "checkpoints" / "soil-2.json", ensemble_of(card, 2, 8))
    run("msm backfill 2016-06-01 2016-06-03", site)
    try_it, look, export, *then = commands("upgrade.md")
    run(try_it, site)
    assert run(look, site).count("2016-06-0") == 3
    monkeypatch.setenv(*export.removeprefix("export ").split("="))
    told = [run(line, site) for line in then]
    assert "ensemble 1" in told[0]
    assert told[1].strip().endswith("20160604-v1.1.nc")
    again = json.loads(run("msm status --json", site))["published"][:3]
    assert {(each["checkpoint"], each["revision"]) for each in again} == {("ensemble 1", 2)}


def test_a_site_is_restored_from_a_backup(site):
    run("msm backfill 2016-06-01 2016-06-03", site)
    save, *restore, again, check = commands("restore.md")
    run(save, site)
    made = {path: path.read_bytes() for path in (site / "archive").rglob("*.nc")}
    shutil.rmtree(site / "archive")
    shutil.rmtree(site / "work")
    told = [run(line, site) for line in restore]
    assert told[1].count("good") == 3
    assert "3 final" in told[2]
    assert {path: path.read_bytes() for path in made} == made
    damaged = next(path for path in made if "20160603" in path.name)
    damaged.write_bytes(made[damaged][:-10])
    run(again, site)
    assert run(check, site).count("good") == 3


def test_many_days_and_a_replay(site):
    made, by_prefect = commands("backfill.md")[:-1], commands("backfill.md")[-1]
    told = [run(line, site) for line in made]
    assert "3 days to make" in told[0]
    assert "3 final" in told[3]
    assert by_prefect.startswith("prefect deployment run msm-backfill/backfill ")


def test_what_can_go_is_listed_and_removed(site):
    told = [run(line, site) for line in commands("storage.md")]
    assert told[0] == "0.0 MB can go\n"
    assert told[1] == "0.0 MB removed\n"
    assert told[2] == "[]\n"


def test_a_checkpoint_is_trained_promoted_and_replaced_and_one_goes_back(tmp_path, monkeypatch):
    monkeypatch.setenv("MSM_REAL_DATA", str(write_training_data(tmp_path / "data")))
    for version, steps in (("1", 20), ("2", 40)):
        shutil.move(write_recipe(tmp_path, version, steps), tmp_path / f"soil-{version}.toml")
    shutil.copytree(tmp_path / "data" / "uscrn", tmp_path / "sites")
    listed = tmp_path / "sites" / "stations.csv"
    listed.write_text(re.sub(r"(\n\d+,)", r"\1New_", listed.read_text()))
    *lines, by_prefect = commands("training.md")
    told = {line: run(line, tmp_path) for line in lines[:-1]}
    assert len(told) == 7
    assert "12 unseen" in told["msm evaluate --checkpoint checkpoints/soil-1.json --sites sites"]
    assert "12 unseen sites" in told["msm crossval soil-1.toml"]
    assert "in use in checkpoints since" in told["msm promote checkpoints/soil-1.json"]
    assert "ubRMSE at 12 unseen sites" in told["msm promote checkpoints/soil-2.json"]
    assert card_in_use(tmp_path / "checkpoints").name == "soil-2.json"
    assert lines[-1] == "msm promote checkpoints/soil-1.json --back"
    assert "in use in checkpoints since" in run(lines[-1], tmp_path)
    assert card_in_use(tmp_path / "checkpoints").name == "soil-1.json"

    words = shlex.split(by_prefect)
    assert words[:4] == ["prefect", "deployment", "run", "msm-training/training"]
    given = {word.partition("=")[0] for word in words[5::2]}
    assert given == {"recipe", "data", "checkpoints", "work"}


def test_the_pages_of_other_operations_name_commands_that_tests_run():
    assert commands("sandbox.md") == ["msm demo"]
    in_test = (DOCS.parent / "tests" / "flows" / "test_daily.py").read_text()
    for line in commands("prefect.md"):
        for word in shlex.split(line)[1:4]:
            assert f'"{word}"' in in_test or word.startswith("day="), line


def test_the_installation_is_that_of_the_image():
    image = (DOCS.parent / "Dockerfile").read_text()
    lines = [line for line in commands("install.md") if "python" in line]
    assert lines == re.findall(r"^RUN (.*(?:venv|pip) .*)$", image, re.MULTILINE)


def test_compose_is_called_on_files_and_services_that_are_there():
    services = yaml.safe_load((DOCS.parent / "deploy" / "compose.yaml").read_text())["services"]
    lines = [line for line in commands("install.md") if line.startswith("docker ")]
    assert len(lines) == 5
    for line in lines:
        docker, compose, option, file, what, *rest = shlex.split(line)
        assert (docker, compose, option) == ("docker", "compose", "--file")
        assert (DOCS.parent / file).is_file()
        assert what in ("up", "ps", "logs", "exec")
        assert what in ("up", "ps") or set(rest) & services.keys(), line
        assert "msm" not in rest or line.partition(" worker ")[2] in commands("install.md")


def test_the_archive_of_an_installation_is_served_as_the_images_is():
    (line,) = [line for line in commands("install.md") if line.startswith("envsubst")]
    envsubst, names, less, template, *_ = shlex.split(line)
    assert (envsubst, less) == ("envsubst", "<")
    text = (DOCS.parent / template).read_text()
    assert line.replace("deploy/nginx/", "") in text
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {name[1:] for name in names.split()}


def test_every_setting_is_in_the_table_and_no_other():
    named = set(re.findall(r"`MSM_(\w+)`", page("daily.md")))
    assert {name.lower() for name in named} == set(Settings.model_fields)
