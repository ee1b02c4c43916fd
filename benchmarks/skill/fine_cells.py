"""Train on the 9 km cells inside each satellite cell: `make fine`, after serving.

The real satellite sample has one weather value for a cell of 36 km. Here the network runs on the
cells of 9 km inside each (16, fewer at coasts) with their stored forcing, and their average,
weighted by land, is compared with the retrieval. The same recipe on the average of their weather is
the reference. The weather is replayed from the cells of 36 km, so it has no finer detail: the test
shows the method and its cost.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import ACCURACY, DATA, REPLAY, TRAINING, keep_accuracy
from msm.fields import cell_fields
from msm.grid.domain import Domain
from msm.grid.ease import M36, children
from msm.pipeline.run import Run, open_run
from msm.settings import Settings
from msm.training.data.datasets import Data, read_data
from msm.training.data.samples import Samples
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fit import Stream, Targets, one_to_one
from msm.training.fitting.fits import Job, fit_all
from msm.training.fitting.predict_stations import predict_stations
from msm.training.fitting.recipe import WrittenRecipe, read_recipe
from msm.training.metrics import site_metrics, within
from msm.training.protocol import protocol

RECIPE = "satellite-year"
FORCING = ("precipitation", "air_temperature", "specific_humidity", "shortwave_down")
SOIL = ("sand", "clay")
STEPS, WINDOWS = 600, 16
"""Shorter and smaller than in the recipe: each window has sixteen cells."""


def fine_samples(run: Run, pixels: Samples) -> tuple[Samples, Targets]:
    """Return the cells of 9 km inside the satellite's cells, and the targets over them."""
    domain = run.domain
    sample, place = _inside(domain, pixels)
    days = [pixels.days[0].item() + timedelta(days=n) for n in range(pixels.days.size)]
    forcing: dict[str, list[NDArray[np.float32]]] = {}
    for day in days:
        stored = cell_fields.read(run.workspace.forcing(day), domain).fields
        for name in FORCING:
            forcing.setdefault(name, []).append(stored[name][place])
    statics = cell_fields.read(run.workspace.statics, domain).fields
    fine = Samples(
        lat=domain.lat[place],
        lon=domain.lon[place],
        days=pixels.days,
        forcing={name: np.stack(parts, axis=1) for name, parts in forcing.items()},
        statics={name: statics[name][place] for name in SOIL},
        target=pixels.target[sample],
    )
    weight = domain.land_fraction[place].astype(np.float64)
    return fine, Targets(pixels.target, sample, weight)


def _inside(domain: Domain, pixels: Samples) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the satellite cell and the domain cell of each pair of overlapping cells."""
    number, samples, places = domain.numbers(), [], []
    for sample, (row, col) in enumerate(zip(*M36.rowcol(pixels.lat, pixels.lon), strict=True)):
        inside = number[children(row, col)]
        places.append(inside[inside >= 0])
        samples.append(np.full(places[-1].size, sample))
    return np.concatenate(samples), np.concatenate(places)


def averaged(fine: Samples, coarse: Targets, pixels: Samples) -> Samples:
    """Return the satellite's cells with the average weather and soil of the cells inside them."""
    total = np.bincount(coarse.sample, coarse.weight, pixels.n_cell)
    share = coarse.weight / total[coarse.sample]

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.zeros((pixels.n_cell, *values.shape[1:]))
        np.add.at(found, coarse.sample, (values.T * share).T)
        found[total == 0] = np.nan
        return found.astype(np.float32)

    return replace(
        pixels,
        forcing={name: mean(values) for name, values in fine.forcing.items()},
        statics={name: mean(values) for name, values in fine.statics.items()},
    )


def measure(run: Run, data: Data) -> dict[str, Any]:
    """Fit both variants on the training year, and score both in the test year."""
    year = protocol().satellite
    pixels = data.satellite.between(year.train_first, year.test_last)
    fine, coarse = fine_samples(run, pixels)
    covered = np.bincount(coarse.sample, minlength=pixels.n_cell)
    kept = covered > 0
    recipe = _shortened(read_recipe(Path(RECIPE)))
    alone = averaged(fine, coarse, pixels).at(kept)
    rows = {}
    planned = plan(recipe, data.ground, alone, data.sha256)
    (job,) = planned.jobs
    # Satellite cells without land in the domain are in neither sample.
    renumbered = np.cumsum(kept)[coarse.sample] - 1
    training = fine.between(year.train_first, year.train_last)
    target = pixels.between(year.train_first, year.train_last).target[kept]
    ways: dict[str, tuple[Job, Samples, Targets]] = {
        "16 cells of 9 km, averaged": (
            replace(
                job,
                streams={"satellite": Stream(training, Targets(target, renumbered, coarse.weight))},
            ),
            fine,
            Targets(alone.target, renumbered, coarse.weight),
        ),
        "one cell of 36 km": (job, alone, one_to_one(alone)),
    }
    tested = within(alone.days, year.test_first, year.test_last)
    for name, (each, places, over) in ways.items():
        began = time.perf_counter()
        (weights,) = fit_all([each], TRAINING / "fits", workers=1)
        took = time.perf_counter() - began
        checkpoint = planned.finish([weights])
        predicted = predict_stations(checkpoint, places).soil_moisture
        total = np.bincount(over.sample, over.weight)
        share = (over.weight / total[over.sample])[:, None]
        mean = np.zeros(over.target.shape)
        np.add.at(mean, over.sample, predicted * share)
        found = site_metrics(mean[:, tested], over.target[:, tested]).medians()
        rows[name] = {"fine cells": places.n_cell, "minutes": took / 60} | found
    sizes, counts = np.unique(covered[kept], return_counts=True)
    return {
        "cells": int(kept.sum()),
        "fine cells in them": {str(size): int(n) for size, n in zip(sizes, counts, strict=True)},
        "steps": STEPS,
        "windows": WINDOWS,
        "scores": rows,
    }


def _shortened(written: WrittenRecipe) -> WrittenRecipe:
    """Return the recipe with one small network and few steps."""
    satellite = written.recipe.satellite
    assert satellite is not None
    recipe = written.recipe.model_copy(
        update={
            "forcing": FORCING,
            "statics": SOIL,
            "optional": SOIL,
            "members": 1,
            "steps": STEPS,
            "satellite": satellite.model_copy(update={"windows": WINDOWS}),
        }
    )
    return WrittenRecipe(recipe, recipe.model_dump_json())


def main() -> None:
    """Measure, and write the result."""
    with open_run(Settings(work=REPLAY / "work", archive=REPLAY / "archive")) as run:
        keep_accuracy(measure(run, read_data(DATA)), ACCURACY / "fine-cells.json")


if __name__ == "__main__":
    main()
