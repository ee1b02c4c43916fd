import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msm.training.fitting.ensemble import plan
from msm.training.fitting.fits import Job, Weights, fit_all
from tests.training.buckets import data, recipe


def _jobs(**changes: object) -> list[Job]:
    found = data()
    return plan(recipe(**changes), found.ground, found.satellite, "").jobs


def test_the_hash_of_a_job_depends_on_seed_recipe_and_data():
    job = _jobs(steps=2)[0]
    assert job.sha256 == _jobs(steps=2)[0].sha256
    ground = job.streams["ground"]
    target = ground.targets.target.copy()
    target[3, 7] = 0.111
    others = [
        replace(job, seed=99),
        _jobs(steps=3)[0],
        replace(
            job,
            streams=job.streams
            | {"ground": replace(ground, targets=replace(ground.targets, target=target))},
        ),
    ]
    assert len({job.sha256, *(other.sha256 for other in others)}) == 4


def test_finished_fits_are_not_repeated(tmp_path: Path):
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
from msm.training.fitting import fits
from tests.training.fitting.test_fits import _jobs
steps = 0
real = fits.fit
def interrupted(recipe, card, streams, seed, on_step):
    def count(loss):
        global steps
        steps += 1
        if steps == 30:
            os.kill(os.getpid(), int(sys.argv[2]))
        on_step(loss)
    return real(recipe, card, streams, seed, count)
fits.fit = interrupted
fits.fit_all(_jobs(steps=20, members=3), Path(sys.argv[1]), workers=1)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Weights]:
    return fit_all(_jobs(steps=20, members=3), tmp_path_factory.mktemp("fits"), workers=1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_after_an_interruption_gives_the_same_weights(
    tmp_path: Path, how: int, uninterrupted: list[Weights]
):
    """The first run is interrupted during the second of three fits."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path), str(how)],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert run.returncode != 0
    assert len(list(tmp_path.glob("[!.]*.safetensors"))) == 1
    continued = fit_all(_jobs(steps=20, members=3), tmp_path, workers=1)
    for one, other in zip(continued, uninterrupted, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in other)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".safetensors"]
