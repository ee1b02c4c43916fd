"""The locked Prefect, FastAPI and SQLAlchemy work together: deploy, schedule, run."""

import time
from pathlib import Path

FLOW = """
from datetime import datetime
from prefect import flow, runtime

@flow(name="probe")
def probe(mark: str) -> None:
    scheduled = runtime.flow_run.scheduled_start_time
    assert scheduled.utcoffset().total_seconds() == 0
    open(mark, "w").write(scheduled.isoformat())
"""
DEPLOYMENT = """
pull: []
deployments:
  - name: monthly
    entrypoint: probe_flow.probe
    schedules:
      - cron: "0 0 1 * *"
        timezone: UTC
    work_pool:
      name: probe
"""


def test_server_schedules_and_a_worker_runs(tmp_path: Path, prefect_server) -> None:
    (tmp_path / "probe_flow.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(DEPLOYMENT)
    mark = tmp_path / "mark"
    path = {"PYTHONPATH": str(tmp_path)}
    prefect_server.prefect("work-pool", "create", "probe", "--type", "process")
    prefect_server.prefect(
        "deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"), **path
    )
    prefect_server.prefect("deployment", "run", "probe/monthly", "--param", f"mark={mark}")
    prefect_server.prefect("worker", "start", "--pool", "probe", "--run-once", **path)

    # The scheduler looks every few seconds.
    deadline = time.monotonic() + 30
    states: list[str] = []
    while "SCHEDULED" not in states and time.monotonic() < deadline:
        time.sleep(0.5)
        runs = prefect_server.ask("flow_runs/filter", flows={"name": {"any_": ["probe"]}})
        states = sorted(run["state_type"] for run in runs)
    assert states[0] == "COMPLETED"
    assert set(states[1:]) == {"SCHEDULED"}
    assert mark.read_text().endswith("+00:00")
