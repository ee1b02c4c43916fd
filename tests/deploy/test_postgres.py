"""Prefect on PostgreSQL as in deploy/compose.yaml, with a real server and a real worker."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from msm.archive import store
from msm.archive.validate import validate
from msm.sandbox.faults import Fault
from msm.sandbox.process import Sandbox
from tests.deploy.conftest import Services, free_port
from tests.prefect_fixture import ROOT, PrefectServer, background, start_server

pytestmark = pytest.mark.long

BOX = "box:38,39,-98.5,-97"
PASSWORD = "p@ss/word: 100 %"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Postgres:
    """A database server in its own folder."""

    pg_ctl: str
    folder: Path
    port: int

    def call(self, *arguments: str) -> None:
        """Run pg_ctl, which refuses root: then as the user of Debian's package."""
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        done = subprocess.run(
            [self.pg_ctl, "--silent", "--pgdata", self.folder / "data", *arguments],
            cwd=self.folder,
            check=False,
            # A server that it starts would keep a pipe open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            **(user if os.geteuid() == 0 else {}),
        )
        log = self.folder / "log"
        assert done.returncode == 0, log.read_text() if log.exists() else arguments

    def start(self) -> None:
        settings = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        self.call(f"--options={settings}", f"--log={self.folder / 'log'}", "start")

    def stop(self) -> None:
        """Stop it as a crash does, without a clean shutdown."""
        self.call("--mode=immediate", "stop")


@pytest.fixture
def postgres(services: Services, tool: Callable[[str], str]) -> Iterator[Postgres]:
    """An empty database of the user in compose.yaml."""
    pg_ctl = tool("pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="msm-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
    database = Postgres(pg_ctl, folder, free_port())
    user = services["database"]["environment"]["POSTGRES_USER"]
    initdb = f"--username={user} --auth=scram-sha-256 --pwfile={secret} --no-sync --locale=C.UTF-8"
    database.call("initdb", f"--options={initdb}")
    database.start()
    yield database
    database.stop()
    shutil.rmtree(folder)


@pytest.mark.fault("PostgreSQL restarted")
def test_a_scheduled_run_publishes_although_the_database_fails_meanwhile(
    services: Services, postgres: Postgres, fresh_sandbox: Sandbox, tmp_path: Path
) -> None:
    archive, home = tmp_path / "archive", tmp_path / "home"
    of_server = services["server"]["environment"] | {
        "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
        "PREFECT_SERVER_DATABASE_PORT": str(postgres.port),
        "PREFECT_SERVER_DATABASE_NAME": "postgres",
        "PREFECT_SERVER_DATABASE_PASSWORD": PASSWORD,
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_HOME": str(home),
        "PREFECT_UI_STATIC_DIRECTORY": str(tmp_path / "ui"),
    }
    with start_server(tmp_path / "server.log", **of_server) as server:
        here = {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(tmp_path / "client")}
        deploy(services, here)
        checked = 4200, int(server.api_url.rpartition(":")[2].removesuffix("/api"))
        assert is_healthy(services["server"], *checked)

        port = free_port()
        of_worker = {
            **services["worker"]["environment"],
            **fresh_sandbox.environment(),
            **here,
            "MSM_WORK": str(tmp_path / "work"),
            "MSM_ARCHIVE": str(archive),
            "MSM_SPIN_UP_DAYS": "0",
            "MSM_READERS": "1",
            "MSM_WINDOW_DAYS": "1",
            "MSM_DEEP_DAYS": "1",
            "MPLCONFIGDIR": os.environ["MPLCONFIGDIR"],
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        }
        log = tmp_path / "worker.log"
        with background(services["worker"]["command"], log, **of_worker):
            # The database stops during a run, and starts again when the map is published.
            fresh_sandbox.fault(Fault(match="^/data/", behaviour="slow", times=1, seconds=3))
            move_schedules(server)
            wait_for(lambda: "/data/" in str(fresh_sandbox.requests()), log)
            assert len(list((home / "concurrency_leases").glob("*-*.json"))) == 1
            postgres.stop()
            assert not is_healthy(services["server"], *checked)
            wait_for(lambda: store.published_days(archive, BOX), log)
            time.sleep(1)
            postgres.start()
            wait_for(lambda: is_healthy(services["server"], *checked), log)
            wait_for(lambda: len(ended(server)) == 1, log)

            # The concurrency limit has a free slot for the next run.
            move_schedules(server)
            wait_for(lambda: len(ended(server)) == 2, log)
            assert ended(server) == ["COMPLETED", "COMPLETED"], log.read_text()
            assert is_healthy(services["worker"], 8080, port)

        (day,) = store.published_days(archive, BOX)
        record = store.read_item(archive, BOX, day)
        assert record is not None
        assert validate(record.path) == []
        # Log messages from the time without a database are stored.
        lines = [line["message"] for line in server.ask("logs/filter", limit=200)]
        assert f"{day} 1/1" in lines
        tasks = server.ask("task_runs/filter", flows={"name": {"any_": ["msm-daily"]}})
        names = sorted(run["name"].split()[0] for run in tasks)
        assert (names, {run["state_type"] for run in tasks}) == (
            ["make", "make", "report"],
            {"COMPLETED"},
        )


def deploy(services: Services, environment: dict[str, str]) -> None:
    """Run the commands of the service `deploy`; its first step runs at every start, so twice."""
    ((script,), shell) = services["deploy"]["command"], services["deploy"]["entrypoint"]
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    for steps in (script.splitlines()[0], script):
        done = subprocess.run(
            [*shell, steps],
            cwd=ROOT,
            env=os.environ | services["deploy"]["environment"] | environment | path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def is_healthy(service: dict[str, Any], port: int, real_port: int) -> bool:
    """Run a service's health check against its port in this test."""
    (kind, program, *arguments) = service["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    words = [word.replace(f":{port}/", f":{real_port}/") for word in arguments]
    return subprocess.run([sys.executable, *words], stderr=subprocess.DEVNULL).returncode == 0


def move_schedules(server: PrefectServer) -> None:
    """Schedule the daily run of a small domain in a few seconds, and nothing else."""
    soon = datetime.now(UTC) + timedelta(seconds=8)
    for deployment in server.ask("deployments/filter"):
        moved: dict[str, Any] = {"active": False}
        if deployment["name"] == "daily":
            schedule = {"interval": 86400, "anchor_date": soon.isoformat()}
            moved = {"active": True, "schedule": schedule, "parameters": {"domain": BOX}}
        for schedule in deployment["schedules"]:
            path = f"deployments/{deployment['id']}/schedules/{schedule['id']}"
            server.ask(path, "PATCH", **moved)


def ended(server: PrefectServer) -> list[str]:
    """Return the final states of the daily runs that have ended."""
    found = server.ask("flow_runs/filter", flows={"name": {"any_": ["msm-daily"]}})
    return [run["state_type"] for run in found if run["end_time"] is not None]


def wait_for(happened: Callable[[], Any], log: Path) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.25)
