"""The disk is full or may not be written to: one sentence, nothing lost, healed by the next run."""

import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from earthaccess.store import Store

from msm.archive import netcdf
from msm.fields import cell_fields
from msm.model import snapshot
from msm.sources.earthdata import Earthdata
from tests.made_up import files
from tests.site_fixture import NEXT, environment, left_over

MSM = Path(sys.executable).parent / "msm"


@pytest.fixture
def full(monkeypatch):
    """`full(owner, name)`: what writes inside this function finds no room after 1000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def no_room():
        # Python ignores the signal; the write fails as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @contextmanager
    def fill(owner, name):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, no_room()(getattr(owner, name)))
            yield

    return fill


@pytest.mark.fault("disk full while downloading")
def test_no_room_for_granules(online_run, full, wanted, msm, sentence, monkeypatch):
    monkeypatch.setattr(Store._download_file.retry, "sleep", lambda seconds: None)
    before = files(online_run)
    with full(Earthdata, "_download"):
        status, said = msm(online_run.settings, "daily", "--date", NEXT)
    assert status == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert not online_run.workspace.forcing(NEXT).exists()
    assert (files(online_run), left_over(online_run)) == (before, [])
    assert msm(online_run.settings, "daily", "--date", NEXT)[0] == 0
    assert files(online_run) == wanted


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param(
            cell_fields, "write", marks=pytest.mark.fault("disk full while storing a day")
        ),
        pytest.param(snapshot, "write", marks=pytest.mark.fault("disk full while writing state")),
        pytest.param(netcdf, "write", marks=pytest.mark.fault("disk full while publishing")),
    ],
)
def test_no_room_for_what_is_made(run, full, wanted, msm, sentence, owner, name):
    before = files(run)
    with full(owner, name):
        status, said = msm(run.settings, "daily", "--date", NEXT)
    assert status == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert (files(run), left_over(run)) == (before, [])
    assert msm(run.settings, "daily", "--date", NEXT)[0] == 0
    assert files(run) == wanted


def without_privileges(settings, *words):
    """Give the command as a user who may not write where the folder's rights say so."""
    root = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*root, MSM, *map(str, words)],
        env=os.environ | environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def read_only(folder):
    """Take the right to write from a folder and all in it."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    try:
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("archive", marks=pytest.mark.fault("archive read-only")),
        pytest.param("work", marks=pytest.mark.fault("work folder read-only")),
    ],
)
def test_a_folder_that_may_not_be_written_to(run, wanted, msm, sentence, which):
    before = files(run)
    with read_only(getattr(run.settings, which)):
        done = without_privileges(run.settings, "daily", "--date", NEXT)
    assert done.returncode == 1
    assert re.search(sentence, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert (files(run), left_over(run)) == (before, [])
    assert msm(run.settings, "daily", "--date", NEXT)[0] == 0
    assert files(run) == wanted
