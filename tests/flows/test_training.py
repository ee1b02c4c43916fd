"""The training's deployment on a real Prefect server, with tiny recipes that are really fitted."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.training import training
from msm.errors import MsmError
from msm.model.checkpoint import load_checkpoint
from msm.model.current import POINTER, card_in_use, read_current
from msm.training.evaluation.crossval import load
from msm.training.evaluation.promote import kept_crossval
from tests.prefect_fixture import ROOT, PrefectServer
from tests.training_data import write_recipe, write_training_data

pytestmark = pytest.mark.long

FITS = 2 + 5 * 2
"""Number of fits of a recipe with two members: the checkpoint and five folds."""

CALL = """
import sys
from pathlib import Path
from flows.training import training
if __name__ == "__main__":
    recipe, *folders, workers = sys.argv[1:]
    training(*map(Path, folders), recipe=recipe, workers=int(workers))
"""


@dataclass(frozen=True)
class Service:
    """The folders of an installation, and the processes that train in it."""

    root: Path
    data: Path
    server: PrefectServer

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def fits(self) -> list[Path]:
        return sorted((self.root / "work" / "fits").glob("*.safetensors"))

    def parameters(self, recipe: Path) -> dict[str, Any]:
        work = self.root / "work"
        return {
            "recipe": recipe,
            "data": self.data,
            "checkpoints": self.checkpoints,
            "work": work,
            "workers": 1,
        }

    def start(self, recipe: Path) -> subprocess.Popen[str]:
        """Begin a run of the flow in a session of its own."""
        given = self.parameters(recipe)
        return subprocess.Popen(
            [sys.executable, "-c", CALL, *map(str, given.values())],
            cwd=ROOT,
            env=os.environ | {"PREFECT_API_URL": self.server.api_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, recipe: Path) -> tuple[int, str]:
        process = self.start(recipe)
        output, _ = process.communicate(timeout=600)
        return process.returncode, output

    def report(self, key: str) -> str:
        """The newest artifact of a kind."""
        found = self.server.ask("artifacts/latest/filter", artifacts={"key": {"any_": [key]}})
        return found[0]["data"]


@pytest.fixture(scope="module")
def make_service(
    prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Service]:
    data = write_training_data(tmp_path_factory.mktemp("data") / "all")
    return lambda name: Service(tmp_path_factory.mktemp(name), data, prefect_server)


@pytest.fixture(scope="module")
def service(make_service: Callable[[str], Service]) -> Service:
    """An installation whose first checkpoint was trained by the shipped deployment."""
    made = make_service("service")
    recipe = write_recipe(made.root, "1")
    words = [f"{name}={value}" for name, value in made.parameters(recipe).items()]
    parameters = [word for pair in words for word in ("-p", pair)]
    server = made.server
    server.prefect("work-pool", "create", "msm", "--type", "process", "--overwrite")
    server.prefect("deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    server.prefect("deployment", "run", "msm-training/training", *parameters)
    server.prefect("worker", "start", "--pool", "msm", "--run-once", timeout=600)
    return made


def test_the_deployment_trains_and_promotes_the_first_checkpoint(service: Service):
    card = card_in_use(service.checkpoints)
    assert card == service.checkpoints / "tiny-1.json"
    current = read_current(service.checkpoints)
    assert current is not None
    assert current.in_use.why == "first"
    assert len(service.fits) == FITS

    server, flows = service.server, {"name": {"any_": ["msm-training"]}}
    runs = server.ask("flow_runs/filter", flows=flows)
    assert [run["state_type"] for run in runs] == ["COMPLETED"]
    tasks = server.ask("task_runs/filter", flows=flows)
    assert {run["state_type"] for run in tasks} == {"COMPLETED"}
    assert sorted(run["name"].split()[0] for run in tasks) == [
        *("cross-validate", "fit", "promote", "refresh")
    ]
    data = service.report("msm-training-data")
    assert "12 stations, 2021-01-01..2022-12-31; 2 satellite cells" in data
    assert "| targets with air or soil below 0 °C | 0 |" in data
    decision = service.report("msm-training-decision")
    median = load(kept_crossval(card))[1]["median"]
    assert "tiny 1 is in use. It is the first one." in decision
    assert f"| ubRMSE | {median['ubRMSE']:.4f} |" in decision


def test_the_deployment_has_no_schedule_and_shows_its_defaults(service: Service):
    found = service.server.ask("deployments/filter", flows={"name": {"any_": ["msm-training"]}})
    (deployment,) = found
    assert deployment["schedules"] == []
    shown = deployment["parameter_openapi_schema"]["properties"]
    assert set(deployment["parameters"]) <= set(shown)
    assert deployment["parameters"]["recipe"] == "multiscale"


def test_a_worse_checkpoint_is_refused_and_the_old_one_stays_in_use(service: Service):
    before = {path: path.read_bytes() for path in service.checkpoints.iterdir()}
    status, output = service.run(write_recipe(service.root, "2", steps=1))
    assert status != 0
    assert "Checkpoint tiny 2 is worse than tiny 1, which stays in use" in output
    assert {path: path.read_bytes() for path in before} == before
    assert card_in_use(service.checkpoints) == service.checkpoints / "tiny-1.json"
    decision = service.report("msm-training-decision")
    assert "tiny 2 is worse than tiny 1" in decision
    assert "| tiny-2 | tiny-1 |" in decision
    assert "At the same 12 stations and days, ubRMSE (new - old): +0.0" in decision


def test_a_run_after_a_kill_gives_the_result_of_an_uninterrupted_run(
    service: Service, make_service: Callable[[str], Service]
):
    killed = make_service("killed")
    recipe = Path(shutil.copy(service.root / "tiny-1.toml", killed.root))
    process = killed.start(recipe)
    deadline = time.monotonic() + 300
    # The checkpoint exists, and some of the fits of the folds.
    while len(killed.fits) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 5 <= len(killed.fits) < FITS
    card = killed.checkpoints / "tiny-1.json"
    before = {path: path.stat().st_mtime_ns for path in (card, *killed.fits)}
    assert not (killed.checkpoints / POINTER).exists()

    status, output = killed.run(recipe)
    assert status == 0, output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert card_in_use(killed.checkpoints) == card
    other = service.checkpoints / "tiny-1.json"
    # Named by the hash of all that they depend on.
    assert len(killed.fits) == FITS
    assert {path.name for path in killed.fits} <= {path.name for path in service.fits}
    mine, theirs = (load_checkpoint(path).card for path in (card, other))
    assert mine == theirs.model_copy(update={"created": mine.created})
    (predicted, result), (expected, of_other) = (
        load(kept_crossval(card)),
        load(kept_crossval(other)),
    )
    assert result == of_other
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(predicted, name), values)


def test_a_relative_folder_is_refused():
    """A worker runs in a temporary folder, whose files are lost."""
    with pytest.raises(MsmError, match="Folder checkpoints is not absolute"):
        training.fn(Path("/data"), Path("checkpoints"), Path("/work"))
