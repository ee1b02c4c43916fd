"""The daily run, the scheduled run, the backfill and the flow leave the same archive."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from msm.operations.backfill import backfill
from msm.operations.daily import daily
from msm.operations.scheduled_run import scheduled_run
from msm.pipeline.executor import local_cluster
from tests.conftest import ROOT
from tests.made_up import files
from tests.site_fixture import BOX, DAYS, environment

pytestmark = pytest.mark.long

NOW = datetime(2016, 6, 8, 12, tzinfo=UTC)
"""The newest day that is due is the last of `DAYS`."""

OF_THE_MOMENT = {
    *("created", "last_run", "published", "file:checksum", "file:size", "sha256", "replaces"),
    *("picture_sha256", "size"),
}
"""Members of documents that tell when a file was made, or its bytes, which tell that too."""

FLOW = f"""
from datetime import datetime
from types import SimpleNamespace
from flows import daily

NOW = datetime.fromisoformat("{NOW.isoformat()}")
daily.runtime = SimpleNamespace(flow_run=SimpleNamespace(scheduled_start_time=NOW))
daily.daily(domain="{BOX}")
"""


def without_moments(document):
    if isinstance(document, dict):
        kept = {k: v for k, v in document.items() if k not in OF_THE_MOMENT}
        return {key: without_moments(value) for key, value in kept.items()}
    if isinstance(document, list):
        return [without_moments(part) for part in document]
    return document


def documents(archive):
    """Return all that lies in an archive besides the maps, times and order of changes aside."""
    found = {}
    for path in sorted(path for path in archive.rglob("*") if path.is_file()):
        name = path.relative_to(archive).as_posix()
        if path.suffix == ".json":
            found[name] = without_moments(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            lines = [without_moments(json.loads(line)) for line in path.read_text().splitlines()]
            found[name] = sorted(json.dumps(line, sort_keys=True) for line in lines)
        elif path.name == "SHA256SUMS":
            found[name] = [line.split()[1] for line in path.read_text().splitlines()]
        else:
            found[name] = None
    return found


@pytest.fixture
def site(online, readers, tmp_path):
    from msm.pipeline.run import Run

    def make(name):
        folders = {"work": tmp_path / name / "work", "archive": tmp_path / name / "archive"}
        plain = {"window_days": 3, "deep_days": 3, "spin_up_days": 2}
        return Run(online.model_copy(update=folders | plain), readers)

    return make


def test_four_ways_over_the_same_days_leave_the_same_archive(site, prefect_server):
    by_date, scheduled, many, flow = (site(n) for n in ("date", "scheduled", "many", "flow"))
    for day in DAYS:
        daily(by_date, day, NOW)
    scheduled_run(scheduled, NOW)
    with local_cluster(many.settings, 2) as executor:
        backfill(many, DAYS, "missing", executor, NOW)
    done = subprocess.run(
        [sys.executable, "-c", FLOW],
        cwd=ROOT,
        env=os.environ | environment(flow.settings) | {"PREFECT_API_URL": prefect_server.api_url},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    archives = [run.settings.archive for run in (by_date, scheduled, many, flow)]
    first, *others = map(documents, archives)
    assert sum(name.endswith("-quality.json") for name in first) == len(DAYS)
    assert any(name.endswith("freshness.json") for name in first)
    assert all(other == first for other in others)
    maps = files(by_date)
    assert list(maps) == DAYS
    assert all(files(run) == maps for run in (scheduled, many, flow))
    quality = next(json.loads(p.read_text()) for p in archives[2].rglob("*0602*-quality.json"))
    assert quality["satellite_granule"]
    assert quality["yesterday"]["cells"] > 100
