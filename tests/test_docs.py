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
from textwrap import dedent

import numpy as np
import pytest
import xarray as xr
import yaml

from msm.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from msm.model.current import card_in_use
from msm.settings import Limits, Settings, read_settings
from tests.ensembles import ensemble_of
from tests.training_data import write_recipe, write_training_data

pytestmark = pytest.mark.long

DOCS = Path(__file__).parent.parent / "docs"
BIN = Path(sys.executable).parent


BLOCK = re.compile(r"<!-- block: ([\w-]+) -->\n\n( *)```(\w+)\n(.*?)\n\2```", re.DOTALL)
"""A code block with its name, as `<!-- block: NAME -->` above it."""


def page(name):
    return (DOCS / name).read_text()


def block(name, of):
    """Return the text of a page's code block."""
    (text,) = [text for found, _, _, text in BLOCK.findall(page(name)) if found == of]
    return dedent(text)


def commands(name, *of):
    """Return the commands of a page's shell blocks by name; of all of them without names."""
    shell = {
        found: text for found, _, language, text in BLOCK.findall(page(name)) if language == "sh"
    }
    return [line.strip() for each in of or shell for line in shell[each].splitlines()]


def test_every_shell_block_has_a_name():
    for path in sorted((DOCS / "operations").glob("*.md")):
        languages = [language for _, _, language, _ in BLOCK.findall(path.read_text())]
        assert languages.count("sh") == path.read_text().count("```sh\n"), path.name


@pytest.fixture
def site(fresh_sandbox, tmp_path, monkeypatch):
    """The working folder and the environment of an operator, for a small domain."""
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
    variables = dict(part.split("=", 1) for part in takewhile(lambda part: "=" in part, parts))
    words = [word for part in parts[len(variables) :] for word in sorted(glob.glob(part)) or [part]]
    environment = os.environ | variables | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def test_a_day_is_run_and_inputs_are_inspected(site):
    pages = ("operations/daily.md", "operations/inputs.md")
    lines = [
        *commands(pages[0]),
        *commands(pages[1]),
        *commands("operations/install.md", "first-run"),
    ]
    output = {line: run(line, site) for line in dict.fromkeys(lines)}
    assert len(output) == 8
    assert len(output["msm daily"].splitlines()) == 2
    assert output["msm daily --date 2016-06-03"].strip().endswith("20160603-v1.1.nc")
    assert "1 final" in output["msm status"]
    assert "2 provisional" in output["msm status"]
    assert output["msm probe"].count("as its layout file says") == 12


def test_a_site_is_monitored(site):
    run("msm daily", site)
    calendar, quality, doctor = (
        run(line, site) for line in commands("operations/watch.md", "monitor")
    )
    assert "2 provisional" in calendar
    assert "flagged" in quality or "good" in quality
    assert "no day needs attention" in " ".join(doctor.split())


def test_limits_of_the_settings_are_those_of_the_page(site):
    (site / "msm.toml").write_text(block("operations/watch.md", "limits"))
    assert read_settings().limits == Limits()


def test_a_gap_is_accepted(site):
    (site / "msm.toml").write_text(block("operations/gaps.md", "accept"))
    (daily,) = commands("operations/gaps.md", "run")
    assert len(run(daily, site).splitlines()) == 2
    (status,) = commands("operations/gaps.md", "status")
    assert "2 provisional" in run(status, site)
    assert read_settings().gaps == {date(2016, 6, 2): "GES DISC lost the hours 06 to 09"}


def test_a_version_is_changed(site):
    version, inputs = "operations/input-version.md", "operations/inputs.md"
    run("msm daily --date 2016-06-03", site)
    doctor, probe = commands(version, "check")
    assert "NLDAS_FORA0125_H 2.0" in run(doctor, site)
    # The test of a day runs these.
    assert {probe, *commands(version, "inspect")} <= set(commands(inputs))
    _, status, _ = (run(line, site) for line in commands(version, "replay"))
    assert status.count("final") == 1
    for path in re.findall(r"`(msm/[\w./]+)`", page(version)):
        assert (DOCS.parent / path).is_file(), path


def test_a_checkpoint_is_tried_next_to_the_archive_and_brought_into_use(site, monkeypatch):
    card = load_checkpoint(WEIGHTS / "first.json").card.model_copy(update={"name": "soil"})
    (site / "checkpoints").mkdir()
    save_checkpoint(site / "checkpoints" / "soil-2.json", ensemble_of(card, 2, 8))
    run("msm backfill 2016-06-01 2016-06-03", site)
    backfill, quality = commands("operations/upgrade.md", "try")
    run(backfill, site)
    assert run(quality, site).count("2016-06-0") == 3
    export, doctor, daily = commands("operations/upgrade.md", "switch")
    monkeypatch.setenv(*export.removeprefix("export ").split("="))
    assert "ensemble 1" in run(doctor, site)
    assert run(daily, site).strip().endswith("20160604-v1.1.nc")
    (regenerate,) = commands("operations/upgrade.md", "regenerate")
    run(regenerate, site)
    published = json.loads(run("msm status --json", site))["published"][:3]
    assert {(day["checkpoint"], day["revision"]) for day in published} == {("ensemble 1", 2)}


def test_a_site_is_restored_from_a_backup(site):
    run("msm backfill 2016-06-01 2016-06-03", site)
    (save,) = commands("operations/restore.md", "save")
    run(save, site)
    published = {path: path.read_bytes() for path in (site / "archive").rglob("*.nc")}
    shutil.rmtree(site / "archive")
    shutil.rmtree(site / "work")
    output = [run(line, site) for line in commands("operations/restore.md", "restore")]
    assert output[1].count("good") == 3
    assert "3 final" in output[2]
    assert {path: path.read_bytes() for path in published} == published
    damaged = next(path for path in published if "20160603" in path.name)
    damaged.write_bytes(published[damaged][:-10])
    daily, validate = commands("operations/restore.md", "one-file")
    run(daily, site)
    assert run(validate, site).count("good") == 3


def test_many_days_and_a_replay(site):
    dry_run, backfill = commands("operations/backfill.md", "backfill")
    assert "3 days to make" in run(dry_run, site)
    run(backfill, site)
    _, status, _ = (run(line, site) for line in commands("operations/backfill.md", "replay"))
    assert "3 final" in status
    (by_prefect,) = commands("operations/backfill.md", "prefect")
    assert by_prefect.startswith("prefect deployment run msm-backfill/backfill ")


def test_what_can_be_removed_is_listed_and_removed(site):
    dry_run, prune, as_json = (run(line, site) for line in commands("operations/storage.md"))
    assert dry_run == "0.0 MB can be removed\n"
    assert prune == "0.0 MB removed\n"
    assert as_json == "[]\n"


def test_a_checkpoint_is_trained_promoted_replaced_and_brought_back(tmp_path, monkeypatch):
    monkeypatch.setenv("MSM_REAL_DATA", str(write_training_data(tmp_path / "data")))
    for version, steps in (("1", 20), ("2", 40)):
        shutil.move(write_recipe(tmp_path, version, steps), tmp_path / f"soil-{version}.toml")
    shutil.copytree(tmp_path / "data" / "uscrn", tmp_path / "sites")
    listed = tmp_path / "sites" / "stations.csv"
    listed.write_text(re.sub(r"(\n\d+,)", r"\1New_", listed.read_text()))

    def outputs(of):
        return [run(line, tmp_path) for line in commands("operations/training.md", of)]

    _, crossval, promote = outputs("train")
    assert "12 unseen sites" in crossval
    assert "in use in checkpoints since" in promote
    (evaluate,) = outputs("evaluate")
    assert "12 unseen" in evaluate
    *_, promote = outputs("replace")
    assert "ubRMSE at 12 unseen sites" in promote
    assert card_in_use(tmp_path / "checkpoints").name == "soil-2.json"
    (back,) = outputs("back")
    assert "in use in checkpoints since" in back
    assert card_in_use(tmp_path / "checkpoints").name == "soil-1.json"

    (by_prefect,) = commands("operations/training.md", "prefect")
    words = shlex.split(by_prefect)
    assert words[:4] == ["prefect", "deployment", "run", "msm-training/training"]
    parameters = {word.partition("=")[0] for word in words[5::2]}
    assert parameters == {"recipe", "data", "checkpoints", "work"}


def test_an_input_product_is_added(tmp_path):
    package = shutil.copytree(
        DOCS.parent / "msm", tmp_path / "msm", ignore=shutil.ignore_patterns("__pycache__")
    )
    added = "add-input-product.md"
    layout = package / "products" / "layouts" / "example_rain_1.toml"
    layout.write_text(block(added, "layout"))
    definitions = package / "products" / "definitions.py"
    above, below = definitions.read_text().split("PRODUCTS = (\n")
    entry = block(added, "entry")
    definitions.write_text(
        f"{above}{block(added, 'definition')}\n\nPRODUCTS = (\n    {entry}\n{below}"
    )
    (package / "sources" / "tiers.toml").open("a").write("\n" + block(added, "tier"))
    (read,) = commands(added, "read")
    rain = np.full((1, 180, 360), -999.0, "f4")
    rain[0, :2, 0] = 4.0, 8.0
    xr.Dataset(
        {
            "RAINFALL": (
                ("time", "lat", "lon"),
                rain,
                {"units": "mm", "_FillValue": np.float32(-999)},
            )
        },
        coords={
            "time": [np.datetime64("2024-06-03", "ns")],
            "lat": np.arange(-89.5, 90.0),
            "lon": np.arange(-179.5, 180.0),
        },
    ).to_netcdf(tmp_path / read.split()[-1])
    output = json.loads(run(f"PYTHONPATH={tmp_path} {read} --json", tmp_path))
    assert (output["product"], output["version"]) == ("EXAMPLE_RAIN", "1")
    assert output["day"] == "2024-06-03"
    rain = {"units": "mm day-1", "count": 2, "min": 4.0, "mean": 6.0, "max": 8.0}
    assert output["variables"] == {"precipitation": rain}
    code = "from msm.sources.tiers import load_tiers; print(*load_tiers().products)"
    assert "example_rain" in run(f"PYTHONPATH={tmp_path} python -c '{code}'", tmp_path).split()


def test_the_pages_of_other_operations_name_commands_that_tests_run():
    assert commands("operations/sandbox.md") == ["msm demo"]
    in_test = (DOCS.parent / "tests" / "flows" / "test_daily.py").read_text()
    for line in commands("operations/prefect.md"):
        for word in shlex.split(line)[1:4]:
            assert f'"{word}"' in in_test or word.startswith("day="), line


def test_the_installation_is_that_of_the_image():
    image = (DOCS.parent / "Dockerfile").read_text()
    lines = commands("operations/install.md", "venv")
    assert lines == re.findall(r"^RUN (.*(?:venv|pip) .*)$", image, re.MULTILINE)


def test_compose_is_called_on_files_and_services_that_are_there():
    services = yaml.safe_load((DOCS.parent / "deploy" / "compose.yaml").read_text())["services"]
    lines = [line for line in commands("operations/install.md") if line.startswith("docker ")]
    assert len(lines) == 5
    for line in lines:
        docker, compose, option, file, what, *rest = shlex.split(line)
        assert (docker, compose, option) == ("docker", "compose", "--file")
        assert (DOCS.parent / file).is_file()
        assert what in ("up", "ps", "logs", "exec")
        assert what in ("up", "ps") or set(rest) & services.keys(), line
        assert "msm" not in rest or line.partition(" worker ")[2] in commands(
            "operations/install.md"
        )


def test_the_archive_of_an_installation_is_served_as_the_images_is():
    _, line, _ = commands("operations/install.md", "nginx")
    envsubst, names, less, template, *_ = shlex.split(line)
    assert (envsubst, less) == ("envsubst", "<")
    text = (DOCS.parent / template).read_text()
    assert line.replace("deploy/nginx/", "") in text
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {name[1:] for name in names.split()}


def test_every_setting_is_in_the_table_and_no_other():
    named = set(re.findall(r"`MSM_(\w+)`", page("operations/daily.md")))
    assert {name.lower() for name in named} == set(Settings.model_fields)
