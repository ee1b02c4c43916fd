import errno
import fcntl
import os
import subprocess
import sys

import pytest

from msm.atomic_files import locked, replacing
from msm.errors import MsmError


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "a"
    with replacing(path) as new:
        new.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_after_an_error_the_old_file_stands_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("good")

    def fail():
        with replacing(path) as new:
            new.write_text("worse")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MsmError, match=r"a could not be written \(No space left .*: make room"):
        fail()
    assert path.read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed_and_a_living_ones_stays(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    here = os.uname().nodename
    (tmp_path / f".a.nc.{ended.pid}@{here}.tmp").write_text("half")
    living = tmp_path / f".a.nc.{os.getppid()}@{here}.tmp"
    elsewhere = tmp_path / f".a.nc.{ended.pid}@{here}-2.tmp"
    for other in (living, elsewhere):
        other.write_text("in the making")
    with replacing(tmp_path / "a.nc") as new:
        new.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {living.name, elsewhere.name, "a.nc"}


def test_a_lock_held_in_common_keeps_out_who_wants_it_alone(tmp_path):
    lock = tmp_path / ".lock"
    at_once = fcntl.LOCK_EX | fcntl.LOCK_NB
    in_common = locked(lock, fcntl.LOCK_SH), locked(lock, fcntl.LOCK_SH)
    with in_common[0], in_common[1], pytest.raises(BlockingIOError), locked(lock, at_once):
        pass
    with locked(lock, at_once):
        pass
