"""The backfill's deployment on a real Prefect server, with a real worker."""

from datetime import date

import pytest

from msm.archive import store
from msm.archive.validate import validate

pytestmark = pytest.mark.long

BOX = "box:38,39,-98.5,-97"
DAYS = [date(2016, 6, 1), date(2016, 6, 2)]


def test_the_deployment_makes_the_days_and_reports(prefect_server, fresh_sandbox, tmp_path):
    archive = tmp_path / "archive"
    environment = fresh_sandbox.environment() | {
        "MSM_WORK": str(tmp_path / "work"),
        "MSM_ARCHIVE": str(archive),
        "MSM_SPIN_UP_DAYS": "0",
        "MSM_READERS": "1",
    }
    prefect_server.prefect("work-pool", "create", "msm", "--type", "process", "--overwrite")
    prefect_server.prefect("deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    given = {"start": DAYS[0], "end": DAYS[1], "domain": BOX, "workers": 1}
    parameters = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    prefect_server.prefect("deployment", "run", "msm-backfill/backfill", *parameters)
    prefect_server.prefect("worker", "start", "--pool", "msm", "--run-once", **environment)

    assert store.published_days(archive, BOX) == DAYS
    assert [validate(store.read_item(archive, BOX, day).path) for day in DAYS] == [[], []]
    runs = prefect_server.ask("flow_runs/filter", flows={"name": {"any_": ["msm-backfill"]}})
    assert [run["state_type"] for run in runs] == ["COMPLETED"]
    artifacts = prefect_server.ask("artifacts/filter")
    assert any(
        "2 days published, 0 already up to date" in str(found["data"]) for found in artifacts
    )
    assert any(found["type"] == "progress" and found["data"] == 100.0 for found in artifacts)
