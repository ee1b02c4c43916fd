"""Every row of the fault table, from the search to the day's forcing."""

import hashlib
import os
import re
import shutil
from datetime import date, timedelta

import pytest
from earthaccess.store import Store

from msm.errors import MsmError
from msm.pipeline import model_inputs
from msm.pipeline.day_sources import select_and_fetch
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.refresh import refresh_awaited
from msm.pipeline.run import Run, midnight
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import SPL4SMGP_008 as SMAP_L4
from msm.settings import Settings
from msm.sources.earthdata import Earthdata
from tests.faults.table import HOUR, ROWS

DAY = date(2016, 4, 1)
CACHE = "granules/NLDAS_FORA0125_H.2.0"


def site(folder, sandbox, readers, monkeypatch):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        work=folder, archive=folder, domain="box:38,39,-98.5,-97", timeout_seconds=10
    )
    return Run(settings, readers)


@pytest.fixture(scope="module")
def complete_day(sandbox, readers, tmp_path_factory):
    """A cache with the 25 valid granules of the day."""
    sandbox.reset()
    with pytest.MonkeyPatch.context() as patch:
        run = site(tmp_path_factory.mktemp("right"), sandbox, readers, patch)
        select_and_fetch(run, DAY, DAY)
        # The sandbox writes a file when it is first listed, which can take longer than a timeout.
        run.source.search(SMAP_L4, midnight(DAY), midnight(DAY + timedelta(days=1)))
        return run.settings.work / CACHE


@pytest.fixture
def run(fresh_sandbox, readers, tmp_path, monkeypatch, complete_day):
    """A site without one hour of a day; it does not wait between retries."""
    monkeypatch.setattr("urllib3.util.Retry.get_backoff_time", lambda retry: 0.0)
    monkeypatch.setattr(Store._download_file.retry, "sleep", lambda seconds: None)
    shutil.copytree(complete_day, tmp_path / CACHE, ignore=shutil.ignore_patterns(HOUR))
    return site(tmp_path, fresh_sandbox, readers, monkeypatch)


def contents(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_fault(row, run, fresh_sandbox, complete_day, monkeypatch, caplog):
    if row.password:
        monkeypatch.delenv("EARTHDATA_TOKEN")
        monkeypatch.setenv("EARTHDATA_USERNAME", "sandbox")
        monkeypatch.setenv("EARTHDATA_PASSWORD", "sandbox")
    right_token = os.environ.get("EARTHDATA_TOKEN")
    if row.token:
        monkeypatch.setenv("EARTHDATA_TOKEN", row.token)
    if "stalls" in row.fault:
        impatient = run.settings.model_copy(update={"timeout_seconds": 1})
        run = Run(impatient, run.readers)
    if row.cached:
        shutil.copy(complete_day / HOUR, run.settings.work / CACHE)
    row.inject(fresh_sandbox)
    stored, said = None, ""
    try:
        stored = model_inputs.stored_forcing(run, DAY)
    except MsmError as error:
        said = str(error)
    else:
        said = " ".join(record.getMessage() for record in caplog.records) if stored.awaited else ""
    assert bool(said) == bool(row.says), said
    assert re.search(row.sentence, said)
    assert (row.answer == "stops the day") == (stored is None)
    assert (row.answer == "next source") == (stored is not None and stored.awaited == (NLDAS.id,))
    assert run.workspace.forcing(DAY).exists() == (stored is not None)
    asked = [r for r in fresh_sandbox.requests() if re.match(rf"/data/.*{HOUR}", r["path"])]
    if row.max_requests is not None:
        assert bool(row.max_requests) <= len(asked) <= row.max_requests
    assert not row.token or row.token not in said + caplog.text

    # The cache holds complete granules and nothing else.
    right = contents(complete_day)
    cached = contents(run.settings.work / CACHE)
    assert set(right) - set(cached) == (set() if row.kept else {HOUR})
    if row.cached:
        assert cached[HOUR] != right[HOUR]
    assert {name: sha for name, sha in cached.items() if name != HOUR} == {
        name: sha for name, sha in right.items() if name != HOUR
    }

    # When the fault is over, the next run makes the day from the best source.
    fresh_sandbox.reset()
    if row.token:
        monkeypatch.setenv("EARTHDATA_TOKEN", right_token)
    run = Run(run.settings, run.readers)
    if row.cached:
        run.workspace.forcing(DAY).unlink()
    refresh_awaited(run, DAY, SerialExecutor(run))
    assert model_inputs.stored_forcing(run, DAY).awaited == ()
    assert contents(run.settings.work / CACHE) == right


def test_serial_downloads_keep_valid_granules(run, fresh_sandbox, readers, caplog):
    """earthaccess raises the first error of a single thread."""
    (run.settings.work / CACHE / HOUR.replace("0100", "0200")).unlink()
    next(row for row in ROWS if row.fault == "a body cut off, its length stated").inject(
        fresh_sandbox
    )
    alone = run.settings.model_copy(update={"connections": 1})
    select_and_fetch(Run(alone, readers), DAY, DAY)
    assert "1 of 25 granules of NLDAS_FORA0125_H 2.0 for 2016-04-01 are not good" in caplog.text
    assert len(contents(run.settings.work / CACHE)) == 24


def test_source_is_earthdata(run):
    assert isinstance(run.source, Earthdata)
