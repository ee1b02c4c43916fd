"""What the product knows of places that it has not learned from: `make serving`, after replay.

Stations are predicted twice by networks that have not seen them: from their own gauges and the soil
measured on the spot, and from what the product is made from: NLDAS-2 of 2015-04-01..2017-03-31, as
the sandbox replays it from the 412 cells of 36 km, fetched, regridded and stored by `msm fetch`,
and the product's statics. Both are scored on the same site-days, from 2015-07-01 on: the months
before fill the states. A third prediction tells the two gaps apart: own gauges, and the soil of the
product. What learned from the satellite as well is held against what did not, in each way: on the
map no soil is measured, as it is at stations.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.skill.accuracy import FOUND, keep
from benchmarks.skill.comparison import differences, on_common_days
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
from msm.training.evaluation.crossval import Part, Predicted, as_predicted, checkpoints, evaluated
from msm.training.fitting.predict_stations import hindcast
from msm.training.fitting.recipe import read_recipe
from msm.training.metrics import within
from msm.training.split import Split

FIRST, LAST = date(2015, 4, 1), date(2017, 3, 31)
SCORED = date(2015, 7, 1)
"""First day that is scored: those before fill the states."""
MIN_DAYS = 180
"""Fewest days of a site that is scored: the protocol asks for more, of more years."""
RECIPES = ("multiscale", "in-situ")
"""The product's, and what it is held against."""

Fitted = Sequence[tuple[Part, Checkpoint]]
"""A part of the stations and the network that has not seen them, for each fold."""


def served_stations(data: Data, folder: Path, replay: Path) -> Stations:
    """Fetch what is not stored yet, and return the stations as the product serves them."""
    table = folder / "conus_pixels" / "conus_v4f1.nc"
    with start(replay / "sandbox", str(table)) as sandbox:
        settings = logged_in(sandbox, replay, spin_up_days=366)
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
    """Predict sites by the network that has not seen them."""
    said, sigma = (np.full(sites.target.shape, np.nan, np.float32) for _ in "12")
    held_out = []
    for part, checkpoint in fitted:
        here = np.isin(sites.names, data.ground.names[part.held_out])
        held_out.append(replace(part, held_out=here))
        if here.any():
            found = hindcast(checkpoint, sites.at(here))
            said[here], sigma[here] = found.soil_moisture, found.uncertainty
    return as_predicted(sites, held_out, Split.folds, said, sigma)


def compared(fitted: Mapping[str, Fitted], data: Data, served: Stations) -> dict[str, Any]:
    """Predict and score the stations in each way by each recipe, on the same site-days.

    Parameters
    ----------
    fitted
        Networks by the name of their recipe.
    data
        With the stations' own weather.
    served
        The stations with what the product is made from.

    Returns
    -------
    dict
        ``scores`` by recipe and way; ``differences`` between the ways of the first recipe, and
        between it and the others in each way.
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
        f"{recipe}: {way}": _cut(predicted(networks, data, sites))
        for recipe, networks in fitted.items()
        for way, sites in ways.items()
    }
    results = {name: evaluated(each, MIN_DAYS) for name, each in on_common_days(found).items()}
    first, *others = fitted
    measured, *less = ways
    pairs = [(f"{first}: {way}", f"{first}: {measured}") for way in less]
    pairs += [(f"{first}: {way}", f"{other}: {way}") for other in others for way in ways]
    any_result = next(iter(results.values()))
    return {
        "first": str(SCORED),
        "last": str(LAST),
        "n_sites": any_result["n_sites"],
        "site_days": sum(site["n"] for site in any_result["sites"]),
        "scores": {
            name: {key: result[key] for key in ("median", "coverage90", "share_sites_80_97")}
            for name, result in results.items()
        },
        "differences": [
            {"first": one, "second": other, "figures": differences(results[one], results[other])}
            for one, other in pairs
        ],
    }


def _cut(whole: Predicted) -> Predicted:
    """Return the days that are scored."""
    days = within(whole.days, SCORED, LAST)
    cut = {
        name: getattr(whole, name)[:, days] for name in ("truth", "soil_moisture", "uncertainty")
    }
    return replace(whole, days=whole.days[days], **cut)


def main() -> None:
    """Measure, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--replay", type=Path, default=Path("build/replay"))
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    arguments = parser.parse_args()
    data = read_data(arguments.data)
    fitted = {
        recipe: checkpoints(read_recipe(Path(recipe)), data, Split.folds, arguments.work / "fits")
        for recipe in RECIPES
    }
    served = served_stations(data, arguments.data, arguments.replay)
    result = compared(fitted, data, served)
    keep(result, FOUND / "serving.json")
    Console().print_json(json.dumps(result))


if __name__ == "__main__":
    main()
