"""Processes are killed, and work at once on the same folders."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from msm.operations.backfill import backfill
from msm.pipeline.executor import SerialExecutor
from msm.sandbox.faults import Fault
from tests.archive.test_store import assert_consistent
from tests.made_up import files
from tests.site_fixture import BOX, MADE, NEXT, NOW, environment, left_over

MSM = Path(sys.executable).parent / "msm"
SECONDS = 120
"""Time that a command has, which needs a tenth of it."""


def begin(settings, *words):
    return subprocess.Popen(
        [MSM, *map(str, words)],
        env=os.environ | environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.fault("kill -9 while downloading")
def test_what_a_download_left_that_was_killed_is_removed(online_run, fresh_sandbox, wanted, msm):
    before = files(online_run)
    last = f"NLDAS_FORA0125_H.A{NEXT:%Y%m%d}.1200.020.nc"
    fresh_sandbox.fault(Fault(match=f"/data/.*{last}", behaviour="stall"))
    cache = online_run.settings.work / "granules"
    until = time.monotonic() + SECONDS
    with begin(online_run.settings, "daily", "--date", NEXT) as process:
        # 24 of 25 are there, and half of the last one.
        while len(there := list(cache.glob("*/.incoming-*/*"))) < 25:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until, there
            time.sleep(0.05)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert left_over(online_run) != []
    assert files(online_run) == before
    fresh_sandbox.reset()
    assert msm(online_run.settings, "daily", "--date", NEXT)[0] == 0
    assert (files(online_run), left_over(online_run)) == (wanted, [])


@pytest.mark.fault("two daily runs and a backfill at once")
def test_two_daily_runs_and_a_backfill_at_once(run, wanted, msm, sentence):
    commands = [
        ("daily", "--date", NEXT),
        ("backfill", MADE, NEXT, "--replace", "all", "--workers", 1),
        ("daily", "--date", NEXT),
    ]
    begun = [begin(run.settings, *words) for words in commands]
    for process in begun:
        _, said = process.communicate(timeout=SECONDS)
        # One that another one overtook says so.
        assert process.returncode == 0 or re.search(sentence, said), said
        assert "Traceback" not in said
    assert msm(run.settings, "daily", "--date", NEXT)[0] == 0
    assert backfill(run, [MADE, NEXT], "changed", SerialExecutor(run), NOW).errors == {}
    assert files(run) == wanted
    assert left_over(run) == []
    assert_consistent(run.settings.archive, BOX)
