"""Measure one CONUS day, granules on disk to published file, against its lower bound.

The lower bound consists of reading and inflating the same bytes with h5py in as many processes, the
network's matrix products at the rate of the largest square sgemm in the same threads, and writing
the same arrays again, deflated as in the real files, with the state flushed to disk.
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
    """Return the number of multiplications of the network for one cell and day."""
    hidden = card.hidden_size
    of_a_unit = card.n_channels + 2 * 4 * hidden + card.head.n_outputs
    return card.members * hidden * of_a_unit


def prepare(folder: Path) -> Settings:
    """Fetch the granules of two days, and advance the chain to the previous day."""
    with start(folder / "sandbox") as sandbox:
        online = logged_in(sandbox, folder, spin_up_days=1)
        with open_run(online) as run:
            stored_statics(run)
            select_and_fetch(run, DAY - timedelta(days=1), DAY)
    settings = online.model_copy(update={"mirror": folder / "work" / "granules"})
    with open_run(settings) as run:
        list(advance(run, open_chain(run, DAY), {DAY}, SerialExecutor(run)))
    return settings


def remove_day(run: Run) -> None:
    """Remove every output of the day, so that it is produced again."""
    chain = open_chain(run, DAY)
    run.workspace.forcing(DAY).unlink(missing_ok=True)
    chain.path(DAY).unlink(missing_ok=True)
    prediction_path(chain, DAY).unlink(missing_ok=True)
    shutil.rmtree(run.settings.archive, ignore_errors=True)


def read(path: Path) -> int:
    """Read and inflate every field of a granule."""
    with h5py.File(path) as file:
        return sum(file[name][...].nbytes for name in file if file[name].ndim == 3)


def rewrite(source: Path, target: Path) -> None:
    """Write the arrays of a file again with h5py, with their own chunks and deflate level."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name, data in old.items():
            deflated = {"compression": "gzip", "compression_opts": data.compression_opts}
            options = {"chunks": data.chunks, "shuffle": True, **deflated}
            new.create_dataset(name, data=data[...], **(options if data.compression else {}))


def write_all(files: list[Path], state: State, folder: Path) -> None:
    """Write the arrays of the day's files and the state, flushed to disk."""
    for source in files:
        rewrite(source, folder / "copy.h5")
    with (folder / "copy.state").open("wb") as file:
        file.write(state.h.data)
        file.write(state.c.data)
        file.flush()
        os.fsync(file.fileno())


def measure() -> dict[str, object]:
    """Measure the day and the parts of its lower bound in turn."""
    folder = FOLDER / "day"
    settings = prepare(folder)
    with open_run(settings) as run, ProcessPoolExecutor(settings.readers) as pool:
        published = daily(run, DAY, NOW)
        chain = open_chain(run, DAY)
        state = chain.read_block(DAY, slice(0, run.domain.n_cell))
        granules = [
            path
            for path in (folder / "work" / "granules" / "NLDAS_FORA0125_H.2.0").glob("*.nc")
            if f"{DAY:%Y%m%d}" in path.name or f"{DAY + timedelta(days=1):%Y%m%d}.0000" in path.name
        ]
        outputs = [run.workspace.forcing(DAY), prediction_path(chain, DAY), published.path]
        kept = [Path(shutil.copy(path, folder / f"kept-{path.name}")) for path in outputs]
        square = torch.randn(SGEMM, SGEMM)
        product = torch.empty_like(square)

        def again() -> None:
            remove_day(run)
            daily(run, DAY, NOW)

        seconds = medians(
            {
                "day": again,
                "read and inflate": lambda: list(pool.map(read, granules)),
                "square sgemm": lambda: torch.mm(square, square, out=product),
                "write": lambda: write_all(kept, state, folder),
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
