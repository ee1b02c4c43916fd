"""Run the daily job on real input and compare its maps with SMAP: `make replay`.

The sandbox replays real NLDAS-2 forcing and SMAP retrievals at 412 cells of 36 km. The daily job
publishes 2016-04-01..2016-05-31 over CONUS after a spin-up from 2015-04-01, through the complete
pipeline. The published maps, averaged over the 16 cells of 9 km in each cell of 36 km, are compared
with SMAP on the same cell-days as the baselines. The first checkpoint is trained on SMAP of
2015-04-01..2016-03-31 and on none of the scored days. A second one is trained on the same year with
the recipe `replay`, and a backfill publishes the same days from the same stored forcing. The
shipped checkpoint produces the map of the last day for the README.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.results import DATA, PIXELS, REPLAY, TRAINING, keep
from benchmarks.skill.peers import HYDRODL
from msm.archive.naming import map_path
from msm.cli.demo import logged_in
from msm.grid.ease import M09, M36, children
from msm.model.checkpoint import WEIGHTS
from msm.operations.backfill import backfill
from msm.operations.daily import daily
from msm.pipeline.executor import local_cluster
from msm.pipeline.run import open_run
from msm.sandbox.process import start
from msm.settings import Settings
from msm.training.data.datasets import read_data
from msm.training.fitting.ensemble import train
from msm.training.fitting.recipe import read_recipe
from msm.training.metrics import site_metrics, within

SPIN_UP = date(2015, 4, 1)
FIRST, LAST = date(2016, 4, 1), date(2016, 5, 31)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
SMOOTHING_DAYS = 31
RECIPE = "replay"
PICTURE = Path("docs/images/map.png")
WORKERS = 2
MIN_DAYS = 5
"""Minimum number of days with a SMAP retrieval of a scored cell."""

Series = NDArray[np.float64]
"""Shape (412 cells, days)."""


def publish_by_daily() -> dict[str, float]:
    """Publish every day by the daily job; return the cost."""
    began = time.perf_counter()
    with start(REPLAY / "sandbox", str(PIXELS)) as sandbox, Progress() as bar:
        settings = logged_in(sandbox, REPLAY, (FIRST - SPIN_UP).days)
        settings = settings.model_copy(update={"checkpoint": WEIGHTS / "first.json"})
        spin_up = bar.add_task("spin-up", total=(FIRST - SPIN_UP).days)
        published = bar.add_task("published", total=len(DAYS))
        with open_run(settings) as run:
            for day in DAYS:
                daily(
                    run,
                    day,
                    datetime.now(UTC),
                    lambda _, done, total: bar.update(
                        spin_up, completed=done, total=max(total, (FIRST - SPIN_UP).days)
                    ),
                )
                if day == FIRST:
                    spun_up = time.perf_counter()
                bar.update(published, advance=1)
    return {
        "minutes": (time.perf_counter() - began) / 60,
        "minutes_of_spin_up": (spun_up - began) / 60,
        "seconds_per_published_day": (time.perf_counter() - spun_up) / (len(DAYS) - 1),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def link_inputs(folder: Path) -> None:
    """Link the statics of the replay, and its forcing up to its last day, into a new site."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    for kind in ("statics", "forcing"):
        shutil.copytree(REPLAY / "work" / kind, work / kind, copy_function=os.link)
    # Other benchmarks fetch later days into the replay.
    for path in (work / "forcing").rglob("*.nc"):
        if path.stem > f"{LAST:%Y%m%d}":
            path.unlink()


def publish_by_backfill(site: Path, checkpoint: Path | None, days: Sequence[date]) -> Path:
    """Publish days from the stored forcing of a site; return the archive."""
    settings = Settings(
        work=site / "work",
        archive=site / "archive",
        checkpoint=checkpoint,
        spin_up_days=(FIRST - SPIN_UP).days,
    )
    with open_run(settings) as run, local_cluster(settings, WORKERS) as executor:
        backfill(run, days, "missing", executor, datetime.now(UTC))
    return settings.archive


def draw() -> None:
    """Publish the last day with the shipped checkpoint, and copy its picture for the README."""
    site = REPLAY / "shipped"
    link_inputs(site)
    archive = publish_by_backfill(site, None, [LAST])
    shutil.copy(map_path(archive, "conus", LAST).with_suffix(".png"), PICTURE)


def train_and_publish() -> tuple[Path, dict[str, float]]:
    """Train the recipe, and publish every day with it; return the archive and the cost."""
    began = time.perf_counter()
    site = REPLAY / RECIPE
    link_inputs(site)
    card = site / f"{RECIPE}.json"
    train(read_recipe(Path(RECIPE)), read_data(DATA), card, TRAINING)
    trained = time.perf_counter()
    archive = publish_by_backfill(site, card, DAYS)
    return archive, {
        "minutes_of_training": (trained - began) / 60,
        "minutes_of_backfill": (time.perf_counter() - trained) / 60,
    }


def published_series(
    archive: Path, days: Sequence[date], lat: NDArray[np.float64], lon: NDArray[np.float64]
) -> Series:
    """Return the average of the maps over the 16 cells of 9 km in each cell of 36 km."""
    nests = [children(int(r), int(c)) for r, c in zip(*M36.rowcol(lat, lon), strict=True)]
    series = np.empty((lat.size, len(days)))
    for number, day in enumerate(days):
        with xr.open_dataset(map_path(archive, "conus", day)) as dataset:
            values = dataset.soil_moisture.values[0]
            row0 = int(np.abs(M09.y - dataset.y.values[0]).argmin())
            col0 = int(np.abs(M09.x - dataset.x.values[0]).argmin())
        for cell, (rows, cols) in enumerate(nests):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
                series[cell, number] = np.nanmean(values[rows - row0, cols - col0])
    return series


def climatology(training: Series, training_days: Series, days: Series) -> Series:
    """Return the mean of each cell's training year within 15 days of the day of the year."""
    out = np.full((training.shape[0], days.size), np.nan)
    for number, day in enumerate(days):
        apart = np.abs(training_days - day)
        near = np.minimum(apart, 366 - apart) <= SMOOTHING_DAYS // 2
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            out[:, number] = np.nanmean(training[:, near], axis=1)
    return out


def persistence(smap: Series) -> Series:
    """Return the last retrieval before each day."""
    out = np.full_like(smap, np.nan)
    for number in range(1, smap.shape[1]):
        before = smap[:, number - 1]
        out[:, number] = np.where(np.isfinite(before), before, out[:, number - 1])
    return out


def score(archives: Mapping[str, Path], days: Sequence[date]) -> dict[str, dict[str, float]]:
    """Compare the maps and the baselines with SMAP on the same cell-days.

    Parameters
    ----------
    archives
        Archives by name of their checkpoint.
    days
        Consecutive days without training data of the checkpoints.
    """
    first, last = days[0], days[-1]
    with xr.open_dataset(PIXELS) as pixels:
        smap = pixels.smap_soil_moisture_am.values.astype(np.float64)
        times = pixels.time.values.astype("datetime64[D]")
        lat, lon = pixels.latitude.values, pixels.longitude.values
    with xr.open_dataset(DATA / HYDRODL) as peer:
        chosen = peer.sel(time=slice(str(first), str(last)))
        single = chosen.hydrodl_single_task.values.astype(np.float64)
        multi = chosen.hydrodl_multi_task.values.astype(np.float64)
    scored = within(times, first, last)
    trained = times < np.datetime64(FIRST)
    of_year = (times - times.astype("datetime64[Y]")).astype(float)
    series = {
        **{name: published_series(each, days, lat, lon) for name, each in archives.items()},
        "hydroDL, single task": single,
        "hydroDL, multi task": multi,
        "climatology of the training year": climatology(
            smap[:, trained], of_year[trained], of_year[scored]
        ),
        "persistence of the last retrieval": persistence(smap)[:, scored],
    }
    truth = smap[:, scored]
    common = np.isfinite(truth) & np.logical_and.reduce([np.isfinite(s) for s in series.values()])
    common &= (common.sum(axis=1) >= MIN_DAYS)[:, None]
    truth = np.where(common, truth, np.nan)
    return {
        name: {
            "cells": int(common.any(axis=1).sum()),
            "cell_days": int(common.sum()),
            **site_metrics(values, truth).medians(),
        }
        for name, values in series.items()
    }


def main() -> None:
    """Publish the maps, score them, and write the result and the picture."""
    cost_of_daily = publish_by_daily()
    trained, cost_of_recipe = train_and_publish()
    archives = {
        "msm, first checkpoint": REPLAY / "archive",
        f"msm, recipe {RECIPE}": trained,
    }
    result = {
        "first": str(FIRST),
        "last": str(LAST),
        "cost": cost_of_daily | cost_of_recipe,
        "median over cells": score(archives, DAYS),
    }
    keep(result, "replay")
    draw()


if __name__ == "__main__":
    main()
