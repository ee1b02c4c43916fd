"""Predict withheld stations from the inputs of the product: `make serving`, after replay.

Networks predict the stations that were withheld from their training, in three ways: from the
station's own gauge and measured soil; from the inputs of the product, which are NLDAS-2 of
2015-04-01..2017-03-31, replayed from the 412 cells of 36 km, fetched, regridded and stored by
`msm fetch`, and the product's statics; and from the station's gauge with the product's statics,
which separates the two effects. All are scored on the same site-days from 2015-07-01 on; the months
before are the spin-up. Each way also compares recipes with and without training on the satellite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import ACCURACY, DATA, PIXELS, REPLAY, TRAINING, keep_accuracy
from benchmarks.skill.comparison import common_size, on_common_days, paired
from msm.cli.demo import logged_in
from msm.model.checkpoint import Checkpoint
from msm.operations.fetch import fetch
from msm.pipeline.executor import local_cluster
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import open_run
from msm.sandbox.process import start
from msm.training.data.datasets import Data, read_data
from msm.training.data.product_weather import stored_samples
from msm.training.data.stations import Stations
from msm.training.evaluation.crossval import (
    Part,
    Predicted,
    as_predicted,
    evaluate_sites,
    fit_parts,
)
from msm.training.fitting.predict_stations import predict_stations
from msm.training.fitting.recipe import read_recipe
from msm.training.metrics import within
from msm.training.split import Split

FIRST, LAST = date(2015, 4, 1), date(2017, 3, 31)
SCORED = date(2015, 7, 1)
"""First scored day: those before are the spin-up."""
MIN_DAYS = 180
"""Minimum number of scored days of a site. The protocol has more, over more years."""
RECIPES = ("multiscale", "in-situ")
"""The recipe of the product, and the one it is compared with."""

Fitted = Sequence[tuple[Part, Checkpoint]]
"""For each fold, the withheld stations and the checkpoint trained without them."""


def served_stations(data: Data) -> Stations:
    """Fetch missing days, and return the stations with the inputs of the product."""
    with start(REPLAY / "sandbox", str(PIXELS)) as sandbox:
        settings = logged_in(sandbox, REPLAY, spin_up_days=366)
        with open_run(settings) as run:
            with local_cluster(run.settings, 2) as executor:
                fetch(run, FIRST, LAST, executor)
            stored_statics(run)
            return stored_samples(
                data.ground,
                run.domain,
                run.workspace.forcing_folder,
                run.workspace.statics,
                FIRST,
                LAST,
            )


def predicted(fitted: Fitted, data: Data, sites: Stations) -> Predicted:
    """Predict each site by the network that was trained without it."""
    soil_moisture, sigma = (np.full(sites.target.shape, np.nan, np.float32) for _ in "12")
    held_out = []
    for part, checkpoint in fitted:
        here = np.isin(sites.names, data.ground.names[part.held_out])
        held_out.append(replace(part, held_out=here))
        if here.any():
            found = predict_stations(checkpoint, sites.at(here))
            soil_moisture[here], sigma[here] = found.soil_moisture, found.uncertainty
    return as_predicted(sites, held_out, Split.folds, soil_moisture, sigma)


def compared(fitted: Mapping[str, Fitted], data: Data, served: Stations) -> dict[str, Any]:
    """Predict and score the stations in each way by each recipe, on the same site-days.

    Parameters
    ----------
    fitted
        Networks by the name of their recipe.
    data
        Stations with their own weather.
    served
        Stations with the inputs of the product.

    Returns
    -------
    dict
        Common ``n_sites`` and ``site_days``; ``scores`` by recipe and way; ``differences`` between
        the ways of the first recipe, and between the first and the other recipes in each way.
    """
    own = data.ground.at(np.isin(data.ground.names, served.names))
    of_product = {
        name: values for name, values in served.statics.items() if not name.startswith("measured")
    }
    ways = {
        "own gauge, soil measured on the spot": own,
        "own gauge, the product's statics": replace(own, statics=of_product),
        "replayed NLDAS-2, the product's statics": replace(served, statics=of_product),
    }
    found = {
        f"{recipe}: {way}": _scored_days(predicted(networks, data, sites))
        for recipe, networks in fitted.items()
        for way, sites in ways.items()
    }
    results = {name: evaluate_sites(each, MIN_DAYS) for name, each in on_common_days(found).items()}
    first, *others = fitted
    measured, *less = ways
    pairs = [(f"{first}: {way}", f"{first}: {measured}") for way in less]
    pairs += [(f"{first}: {way}", f"{other}: {way}") for other in others for way in ways]
    return {
        "first": str(SCORED),
        "last": str(LAST),
        **common_size(results),
        "scores": {
            name: {key: result[key] for key in ("median", "coverage90", "share_sites_80_97")}
            for name, result in results.items()
        },
        "differences": paired(results, pairs),
    }


def _scored_days(whole: Predicted) -> Predicted:
    """Return a prediction on the scored days."""
    days = within(whole.days, SCORED, LAST)
    cut = {
        name: getattr(whole, name)[:, days] for name in ("truth", "soil_moisture", "uncertainty")
    }
    return replace(whole, days=whole.days[days], **cut)


def main() -> None:
    """Measure, and write the result."""
    data = read_data(DATA)
    fitted = {
        recipe: fit_parts(read_recipe(Path(recipe)), data, Split.folds, TRAINING / "fits")
        for recipe in RECIPES
    }
    result = compared(fitted, data, served_stations(data))
    keep_accuracy(result, ACCURACY / "serving.json")


if __name__ == "__main__":
    main()
