import errno
import fcntl
import os
import subprocess
import sys

import pytest

from msm.atomic_files import locked, replacing
from msm.errors import MsmError


def test_file_appears_complete(tmp_path):
    path = tmp_path / "a"
    with replacing(path) as new:
        new.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_failed_write_keeps_the_previous_file_only(tmp_path):
    path = tmp_path / "a"
    path.write_text("good")

    def fail():
        with replacing(path) as new:
            new.write_text("worse")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MsmError, match=r"a could not be written \(No space left .*: free space"):
        fail()
    assert path.read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    here = os.uname().nodename
    (tmp_path / f".a.nc.{ended.pid}@{here}.tmp").write_text("half")
    running = tmp_path / f".a.nc.{os.getppid()}@{here}.tmp"
    elsewhere = tmp_path / f".a.nc.{ended.pid}@{here}-2.tmp"
    for other in (running, elsewhere):
        other.write_text("unfinished")
    with replacing(tmp_path / "a.nc") as new:
        new.write_text("complete")
    assert {p.name for p in tmp_path.iterdir()} == {running.name, elsewhere.name, "a.nc"}


def test_shared_lock_excludes_an_exclusive_one(tmp_path):
    lock = tmp_path / ".lock"
    exclusive = fcntl.LOCK_EX | fcntl.LOCK_NB
    shared = locked(lock, fcntl.LOCK_SH), locked(lock, fcntl.LOCK_SH)
    with shared[0], shared[1], pytest.raises(BlockingIOError), locked(lock, exclusive):
        pass
    with locked(lock, exclusive):
        pass
