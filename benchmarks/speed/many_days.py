"""Measure many CONUS days, stored forcing to published files, against their lower bound.

The lower bound consists of inflating the forcing, the network's matrix products at the rate of the
largest square sgemm, deflating the arrays of the map, and writing the states that the backfill
keeps, on all processors.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks.speed.one_day import DAY, SGEMM, multiplications, prepare, rewrite
from benchmarks.speed.timing import medians
from msm.archive import store
from msm.fields import cell_fields
from msm.model import snapshot
from msm.model.state import State
from msm.operations.backfill import backfill
from msm.pipeline.advance import KEPT_DAYS
from msm.pipeline.executor import local_cluster
from msm.pipeline.model_inputs import stored_forcing
from msm.pipeline.run import Run, open_run
from msm.settings import Settings

NOW = datetime(2024, 9, 1, tzinfo=UTC)
FOLDER = Path("build/bench")
WARM_UP = 4
"""Days in which every worker imports its modules and opens its files."""
DAYS = [DAY + timedelta(days=n) for n in range(WARM_UP + 44)]
WORKERS = (1, 2)
ROUNDS = 2
PREDICTED = (4, 8, 16)


def store_forcing(run: Run) -> None:
    """Store forcing of every day: that of the first with increasing temperature."""
    first = stored_forcing(run, DAY)
    for number, day in enumerate(DAYS[1:], 1):
        warmer = first.fields["air_temperature"] + np.float32(0.1 * number)
        fields = first.fields | {"air_temperature": warmer}
        cell_fields.write(run.workspace.forcing(day), replace(first, day=day, fields=fields))


def run_all(settings: Settings, workers: int) -> float:
    """Publish all days from a cold start; return the seconds without the start of the workers."""
    shutil.rmtree(settings.work / "states", ignore_errors=True)
    shutil.rmtree(settings.archive, ignore_errors=True)
    with open_run(settings) as run, local_cluster(settings, workers) as executor:
        backfill(run, DAYS[:WARM_UP], "missing", executor, NOW)
        return backfill(run, DAYS[WARM_UP:], "missing", executor, NOW).seconds


def inflate(path: Path) -> None:
    """Read every array of a file."""
    with h5py.File(path) as file:
        for data in file.values():
            data[...]


def lower_bound(run: Run) -> dict[str, float]:
    """Return the seconds of the parts of the bound: products on all processors, others on one."""
    card = run.checkpoint.card
    square = torch.randn(SGEMM, SGEMM)
    product = torch.empty_like(square)
    chance = np.random.default_rng(0)
    state = State(
        *(np.tanh(chance.normal(size=(2, run.domain.n_cell, card.state_size))).astype(np.float16))
    )
    item = store.read_item(run.settings.archive, "conus", DAYS[-1])
    assert item is not None
    target = FOLDER / "copy.h5"
    seconds = medians(
        {
            "inflate": lambda: inflate(run.workspace.forcing(DAYS[-1])),
            "sgemm": lambda: torch.mm(square, square, out=product),
            "deflate": lambda: rewrite(item.path, target),
            "state": lambda: snapshot.write(target, [snapshot.deflate(state)]),
        },
        5,
    )
    flop = 2.0 * run.domain.n_cell * multiplications(card)
    return {
        "inflate": seconds["inflate"],
        "matrix products": flop * seconds["sgemm"] / (2.0 * SGEMM**3),
        "deflate": seconds["deflate"],
        "state": seconds["state"] / KEPT_DAYS,
    }


def measure() -> dict[str, Any]:
    """Publish the days with one worker and with two, in turn."""
    settings = prepare(FOLDER / "day").model_copy(
        update={
            "work": (FOLDER / "many" / "work"),
            "archive": FOLDER / "many" / "archive",
            "spin_up_days": 0,
        }
    )
    with open_run(settings) as run:
        store_forcing(run)
        seconds: dict[int, list[float]] = {workers: [] for workers in WORKERS}
        for _ in range(ROUNDS):
            for workers in WORKERS:
                seconds[workers].append(run_all(settings, workers))
        parts = lower_bound(run)
    days = len(DAYS) - WARM_UP
    a_day = {workers: median(taken) / days for workers, taken in seconds.items()}
    processors = len(os.sched_getaffinity(0))
    # Inflating and deflating run on every processor; the products are measured on all of them.
    least = parts["matrix products"] + (parts["inflate"] + parts["deflate"]) / processors
    least += parts["state"]
    speedup = a_day[1] / a_day[2]
    # Amdahl's law, solved for the serial fraction.
    serial = max(2.0 / speedup - 1.0, 0.0)
    return {
        "days": days,
        "seconds a day": a_day,
        "days a minute": {workers: 60 / each for workers, each in a_day.items()},
        "seconds of the floor": least,
        "of which": parts,
        "day / floor": a_day[2] / least,
        "1 -> 2 workers": speedup,
        "serial fraction": serial,
        "predicted speedup": {n: 1 / (serial + (1 - serial) / n) for n in PREDICTED},
    }
