"""One CONUS day, granules on disk to published file, beside its floor.

The floor is what cannot be avoided: the same bytes read and inflated with h5py in as many
processes, the network's matrix products at the rate of the largest square sgemm in the same
threads, and the same arrays written again, deflated at the same level or raw as in the real files,
the state included and flushed to disk.
"""

from __future__ import annotations

import os
import resource
import shutil
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import h5py
import torch

from benchmarks.speed.timing import medians
from msm.cli.demo import logged_in
from msm.model.card import Card
from msm.model.state import State
from msm.operations.daily import daily
from msm.pipeline.advance import advance
from msm.pipeline.chains import open_chain, prediction_path
from msm.pipeline.day_sources import select_and_fetch
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run, open_run
from msm.sandbox.process import start
from msm.settings import Settings

DAY = date(2024, 6, 3)
NOW = datetime(2024, 9, 1, tzinfo=UTC)
FOLDER = Path("build/bench")
ROUNDS = 5
SGEMM = 6144
"""Side of the square product: larger ones are no faster here."""


def multiplications(card: Card) -> int:
    """Return the multiplications of the network's products for one cell and day."""
    hidden = card.hidden_size
    of_a_unit = card.n_channels + 2 * 4 * hidden + card.head.n_outputs
    return card.members * hidden * of_a_unit


def prepare(folder: Path) -> Settings:
    """Bring the granules of two days to disk and the chain to the eve of the day."""
    with start(folder / "sandbox") as sandbox:
        online = logged_in(sandbox, folder, spin_up_days=1)
        with open_run(online) as run:
            stored_statics(run)
            select_and_fetch(run, DAY - timedelta(days=1), DAY)
    settings = online.model_copy(update={"mirror": folder / "work" / "granules"})
    with open_run(settings) as run:
        list(advance(run, open_chain(run, DAY), [DAY], SerialExecutor(run)))
    return settings


def forget(run: Run) -> None:
    """Remove all that the day left, so that it is made anew."""
    chain = open_chain(run, DAY)
    run.workspace.forcing(DAY).unlink(missing_ok=True)
    chain.path(DAY).unlink(missing_ok=True)
    prediction_path(chain, DAY).unlink(missing_ok=True)
    shutil.rmtree(run.settings.archive, ignore_errors=True)


def read(path: Path) -> int:
    """Read and inflate every field of a granule."""
    with h5py.File(path) as file:
        return sum(file[name][...].nbytes for name in file if file[name].ndim == 3)


def written_again(files: list[Path], state: State, folder: Path) -> None:
    """Write the arrays of the day's files with h5py, and the state, flushed."""
    for source in files:
        with h5py.File(source) as old, h5py.File(folder / "again.h5", "w") as new:
            for name, data in old.items():
                deflated = {"compression": "gzip", "compression_opts": data.compression_opts}
                options = {"chunks": data.chunks, "shuffle": True, **deflated}
                values = data[...]
                new.create_dataset(name, data=values, **(options if data.compression else {}))
    with (folder / "again.state").open("wb") as file:
        file.write(state.h)
        file.write(state.c)
        file.flush()
        os.fsync(file.fileno())


def measure() -> dict[str, object]:
    """Time the day and the parts of its floor in turn."""
    folder = FOLDER / "day"
    settings = prepare(folder)
    with open_run(settings) as run, ProcessPoolExecutor(settings.readers) as pool:
        published = daily(run, DAY, NOW)
        chain = open_chain(run, DAY)
        state, _ = chain.read_snapshot(DAY)
        granules = [
            path
            for path in (settings.mirror / "NLDAS_FORA0125_H.2.0").glob("*.nc")
            if f"{DAY:%Y%m%d}" in path.name or f"{DAY + timedelta(days=1):%Y%m%d}.0000" in path.name
        ]
        made = [run.workspace.forcing(DAY), prediction_path(chain, DAY), published.path]
        kept = [shutil.copy(path, folder / f"kept-{path.name}") for path in made]
        square = torch.randn(SGEMM, SGEMM)
        product = torch.empty_like(square)

        def again() -> None:
            forget(run)
            daily(run, DAY, NOW)

        seconds = medians(
            {
                "day": again,
                "read and inflate": lambda: list(pool.map(read, granules)),
                "square sgemm": lambda: torch.mm(square, square, out=product),
                "write": lambda: written_again([Path(k) for k in kept], state, folder),
            },
            ROUNDS,
        )
        flop = 2.0 * run.domain.n_cell * multiplications(run.checkpoint.card)
    rate = 2.0 * SGEMM**3 / seconds["square sgemm"]
    products = flop / rate
    floor = seconds["read and inflate"] + products + seconds["write"]
    return {
        "cells": state.n_cell,
        "granules": len(granules),
        "seconds of the day": seconds["day"],
        "seconds of the floor": floor,
        "of which read and inflate": seconds["read and inflate"],
        "of which matrix products": products,
        "of which write": seconds["write"],
        "gflop of the products": flop / 1e9,
        "gflop/s of the square sgemm": rate / 1e9,
        "day / floor": seconds["day"] / floor,
        "peak memory, GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
