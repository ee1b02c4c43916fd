"""The shipped deployment on a real Prefect server, with a real worker."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from msm.archive import store
from msm.archive.validate import validate
from msm.model.checkpoint import SHIPPED, load_checkpoint
from msm.model.current import Current, Promotion, write_current
from msm.sandbox.faults import Fault
from tests.prefect_fixture import ROOT, start_server

pytestmark = pytest.mark.long

BOX = "box:38,39,-98.5,-97"
DAY = datetime(2016, 6, 3, tzinfo=UTC).date()


def test_the_deployment_is_scheduled_and_a_worker_publishes_the_day(
    prefect_server, fresh_sandbox, tmp_path
):
    archive, checkpoints = tmp_path / "archive", tmp_path / "checkpoints"
    use_shipped(checkpoints)
    environment = fresh_sandbox.environment() | {
        "MSM_WORK": str(tmp_path / "work"),
        "MSM_ARCHIVE": str(archive),
        "MSM_CHECKPOINT": str(checkpoints),
        "MSM_SPIN_UP_DAYS": "0",
        "MSM_READERS": "1",
        "MSM_ARCHIVE_URL": "https://maps.example.org/sm/",
    }
    prefect_server.prefect("work-pool", "create", "msm", "--type", "process", "--overwrite")
    prefect_server.prefect("deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    prefect_server.prefect(
        "deployment", "run", "msm-daily/daily", "-p", f"day={DAY}", "-p", f"domain={BOX}"
    )
    prefect_server.prefect("worker", "start", "--pool", "msm", "--run-once", **environment)

    (published,) = store.published_days(archive, BOX)
    assert published == DAY
    record = store.read_item(archive, BOX, DAY)
    assert validate(record.path) == []

    runs = {run["state_type"]: run for run in scheduled_runs(prefect_server, "msm-daily")}
    assert set(runs) == {"COMPLETED", "SCHEDULED"}
    tasks = prefect_server.ask("task_runs/filter", flows={"name": {"any_": ["msm-daily"]}})
    assert {run["state_type"] for run in tasks} == {"COMPLETED"}
    steps = {run["name"].split()[0] for run in tasks}
    assert steps == {"make", "report"}
    due = datetime.fromisoformat(runs["SCHEDULED"]["expected_start_time"])
    assert (due.hour, due.minute, due.utcoffset()) == (14, 30, timedelta(0))

    artifacts = {found["key"]: found["data"] for found in prefect_server.ask("artifacts/filter")}
    assert f"# {DAY}, final" in artifacts["msm-box-quality"]
    assert "SMAP | SMAP_L3_SM_P_E_20160603" in artifacts["msm-box-quality"]
    address = f"https://maps.example.org/sm/{record.picture.relative_to(archive).as_posix()}"
    assert artifacts["msm-box-map"] == address

    # As the schedule does, without a day; then what watches the archive from outside.
    del environment["MSM_ARCHIVE_URL"]
    small = {"MSM_WINDOW_DAYS": "1", "MSM_DEEP_DAYS": "1", "MSM_DISK_MARGIN_GB": "0"}
    for name in ("msm-daily/daily", "msm-validate/validate", "msm-canary/canary"):
        prefect_server.prefect("deployment", "run", name, "-p", f"domain={BOX}")
        prefect_server.prefect(
            "worker", "start", "--pool", "msm", "--run-once", **environment, **small
        )
    first, newest = store.published_days(archive, BOX)
    assert first == DAY
    assert 4 < (datetime.now(UTC).date() - newest).days < 7
    for name in ("msm-daily", "msm-validate", "msm-canary"):
        # The schedule's own runs are of another domain, and may come meanwhile.
        ours = [
            run["state_type"]
            for run in scheduled_runs(prefect_server, name)
            if run["parameters"]["domain"] == BOX
        ]
        assert set(ours) == {"COMPLETED"}, name
    artifacts = {found["key"]: found["data"] for found in prefect_server.ask("artifacts/filter")}
    assert f"| {newest} | published | provisional, revision 1 |" in artifacts["msm-box-days"]
    assert ", 0 findings need attention" in artifacts["msm-box-validation"]
    assert f"# {newest}" in artifacts["msm-box-canary"]


FLOW = f"""
from datetime import date
from prefect.events.clients import PrefectEventsClient
from flows.daily import daily

begin = PrefectEventsClient.__init__


def impatient(client, *given, **named):
    # A server that is gone is waited for for minutes, by default.
    begin(client, *given, **named | {{"reconnection_attempts": 0}})


PrefectEventsClient.__init__ = impatient
daily(date.fromisoformat("{DAY}"), "{BOX}")
"""


@pytest.mark.fault("Prefect server gone mid-run")
def test_a_server_that_is_killed_mid_run(prefect_server, fresh_sandbox, tmp_path):
    archive = tmp_path / "archive"
    environment = fresh_sandbox.environment() | {
        "MSM_WORK": str(tmp_path / "work"),
        "MSM_ARCHIVE": str(archive),
        "MSM_SPIN_UP_DAYS": "0",
        "MSM_READERS": "1",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
    }

    def run(server):
        return subprocess.Popen(
            [sys.executable, "-c", FLOW],
            cwd=ROOT,
            env=os.environ | environment | {"PREFECT_API_URL": server.api_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    noon = f"/data/.*A{DAY:%Y%m%d}.1200"
    fresh_sandbox.fault(Fault(match=noon, behaviour="slow", seconds=3))
    home = {"PREFECT_HOME": str(tmp_path / "prefect")}
    with start_server(tmp_path / "server.log", **home) as server:
        flow = run(server)
        while not any(re.search(noon, asked["path"]) for asked in fresh_sandbox.requests()):
            assert flow.poll() is None, flow.stdout.read()
            time.sleep(0.1)
        os.killpg(server.process.pid, signal.SIGKILL)
    said, _ = flow.communicate(timeout=240)
    assert flow.returncode == 1, said
    assert [validate(path) for path in archive.rglob("[!.]*.nc")] in ([], [[]])
    assert not list(tmp_path.rglob(".*.tmp"))

    again = run(prefect_server)
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    record = store.read_item(archive, BOX, DAY)
    assert validate(record.path) == []
    assert record.revision == 1


def use_shipped(folder):
    """Make a folder of checkpoints in which a copy of the shipped one is in use."""
    folder.mkdir()
    for file in (SHIPPED, SHIPPED.with_suffix(".safetensors")):
        shutil.copy(file, folder)
    shipped = load_checkpoint()
    promotion = Promotion(
        file=SHIPPED.name,
        checkpoint=f"{shipped.card.name} {shipped.card.version}",
        sha256=shipped.sha256,
        promoted=datetime.now(UTC),
        why="first",
        replaced=None,
        comparison=None,
    )
    write_current(folder, Current(promotions=(promotion,)))


def scheduled_runs(prefect_server, flow):
    """Wait for the scheduler, which looks every few seconds."""
    deadline = time.monotonic() + 30
    while True:
        runs = prefect_server.ask("flow_runs/filter", flows={"name": {"any_": [flow]}})
        if any(run["state_type"] == "SCHEDULED" for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.5)
