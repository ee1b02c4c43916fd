"""Ten days of operation with faults, by the real flow on a real Prefect server."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.operation.season import SERVER_FAULTS
from benchmarks.operation.soak import moments
from tests.conftest import ROOT

pytestmark = pytest.mark.long


def test_flow_is_scheduled_at_the_hours_of_each_day():
    first = datetime(2016, 6, 6, 3, tzinfo=UTC)
    found = list(moments(first, first + timedelta(days=2), (2, 14)))
    assert found[0] == datetime(2016, 6, 6, 14, tzinfo=UTC)
    assert [moment.hour for moment in found] == [14, 2, 14, 2]


def test_ten_days_with_faults_give_the_maps_of_ten_days_without(tmp_path):
    command = [sys.executable, "-m", "benchmarks.operation.soak", "--days", "10", "--seed", "16"]
    result = subprocess.run(
        [
            *command,
            "--hours",
            "14",
            "--folder",
            str(tmp_path),
            "--docs",
            str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "results" / "soak.json").read_text())
    assert report["differing"] == []
    # The first window has fourteen days before the season.
    assert (report["published"], report["gaps"]) == (23, 1)
    assert report["killed_runs"] > 0
    assert report["revisions"] > 0
    assert set(report["events"]) >= {"late", "lost", "revised", "touched", "killed"}
    assert set(report["events"]) & set(SERVER_FAULTS)
    pictures = tmp_path / "images" / "operations"
    for command in ("status", "quality", "doctor"):
        assert str(tmp_path) not in (pictures / f"{command}.svg").read_text()
