import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msm.training.fitting.ensemble import plan
from msm.training.fitting.fits import Job, fit_all
from tests.training.buckets import data, recipe


def _jobs(**changes: object) -> list[Job]:
    found = data()
    return plan(recipe(**changes), found.ground, found.satellite, "").jobs


def test_a_job_is_named_by_all_that_its_weights_depend_on():
    job = _jobs(steps=2)[0]
    assert job.sha256 == _jobs(steps=2)[0].sha256
    ground = job.streams["ground"]
    target = ground.coarse.target.copy()
    target[3, 7] = 0.111
    others = [
        replace(job, seed=99),
        _jobs(steps=3)[0],
        replace(
            job,
            streams=job.streams
            | {"ground": replace(ground, coarse=replace(ground.coarse, target=target))},
        ),
    ]
    assert len({job.sha256, *(other.sha256 for other in others)}) == 4


def test_a_fit_that_is_done_is_not_done_again(tmp_path: Path):
    jobs = _jobs(steps=2)
    first = fit_all(jobs, tmp_path, workers=1)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(written) == 2
    again = fit_all(jobs, tmp_path, workers=2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not all(np.array_equal(first[0][name], first[1][name]) for name in first[0])


RUN = """
import os, sys
from pathlib import Path
from msm.training import fits
from tests.training.test_fits import _jobs
steps = 0
real = fits.fit
def interrupted(recipe, card, streams, seed, tick):
    def told(loss):
        global steps
        steps += 1
        if steps == 30:
            os.kill(os.getpid(), int(sys.argv[2]))
        tick(loss)
    return real(recipe, card, streams, seed, told)
fits.fit = interrupted
fits.fit_all(_jobs(steps=20, members=3), Path(sys.argv[1]), workers=1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on_and_ends_as_an_uninterrupted_one(tmp_path: Path, how: int):
    """It is interrupted in the midst of the second of three fits."""
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(broken), str(how)],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert run.returncode != 0
    done = len(list(broken.glob("[!.]*.safetensors")))
    assert done == 1
    jobs = _jobs(steps=20, members=3)
    for one, other in zip(
        fit_all(jobs, broken, workers=1), fit_all(jobs, whole, workers=1), strict=True
    ):
        assert all(np.array_equal(one[name], other[name]) for name in other)
    assert not [path for path in broken.iterdir() if path.suffix != ".safetensors"]
