"""Every accuracy that msm states, measured by its protocol: `make accuracy`.

Recipes are cross-validated, and everything else that predicts the same places is scored beside them
at the same sites on the same days. An interrupted run goes on: fits and baselines that are done are
kept in the work folder under the hash of all that they depend on. What was found is kept in
docs/accuracy, from which the pages are made (`make accuracy-page`), and drawn in docs/images.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.skill import baselines
from benchmarks.skill.comparison import by_part, differences, on_common_days
from benchmarks.skill.peers import STATION_BASELINES, cell_baselines, station_baseline
from msm.training.data import gaps
from msm.training.data.datasets import Data, read_data
from msm.training.evaluation.crossval import Predicted, crossval, load, save, score
from msm.training.evaluation.pictures import draw
from msm.training.fitting.recipe import WrittenRecipe, read_recipe
from msm.training.protocol import FILE as PROTOCOL
from msm.training.split import Split

RECIPES: Mapping[Split, Sequence[str]] = {
    Split.folds: ("multiscale", "in-situ", "satellite"),
    Split.regions: ("multiscale",),
    Split.satellite: (
        "multiscale-year",
        "satellite-year",
        "integration-1",
        "integration-2",
        "integration-3",
    ),
}
"""What is cross-validated how. The first of a split is compared with all else, and drawn."""

FOUND = Path("docs/accuracy")
IMAGES = Path("docs/images/accuracy")
COST = "cost.json"
"""Minutes of the last run that fitted something, by recipe and split."""

DIGITS = 5
"""Decimals that are kept: a hundredth of what the pages show."""


def main() -> None:
    """Measure everything, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/training"))
    arguments = parser.parse_args()
    measure(RECIPES, arguments.data, arguments.work, FOUND, IMAGES)


def measure(
    recipes: Mapping[Split, Sequence[str]], folder: Path, work: Path, found: Path, images: Path
) -> None:
    """Cross-validate recipes and compare them with what else there is.

    Parameters
    ----------
    recipes
        Names or paths of recipes, by split; a split without any is passed over.
    folder
        Folder of real data.
    work
        Where fits and baselines that are done lie.
    found, images
        Where the results and the pictures are written.

    Raises
    ------
    RecipeError
        Before anything is fitted, if a recipe is missing.
    """
    written = {
        split: [read_recipe(Path(name)) for name in names]
        for split, names in recipes.items()
        if names
    }
    data, out = read_data(folder), Console(stderr=True)
    for split, chosen in written.items():
        networks, results = {}, {}
        for recipe in chosen:
            name = recipe.recipe.name
            out.print(f"{name}, {split}")
            networks[name], results[name] = _cross_validated(recipe, data, split, work, found)
        first = next(iter(networks))
        draw(networks[first], results[first], f"{first}, {split}", images)
        out.print(f"baselines, {split}")
        others = (
            cell_baselines(folder, data)
            if split == Split.satellite
            else {name: _kept(name, data, split, work) for name in STATION_BASELINES}
        )
        comparison = compared(networks, others, split) | {"data_sha256": data.sha256}
        keep(comparison, found / f"compared-{split}.json")


def compared(
    networks: Mapping[str, Predicted], others: Mapping[str, Predicted], split: Split
) -> dict[str, Any]:
    """Score all predictions at the same sites on the same days, and pair them site by site.

    Paired are the first network with the other networks, and every network with what is none.

    Returns
    -------
    dict
        ``n_sites`` and ``site_days`` that all have; ``scores`` by name; ``differences``, a list.
    """
    results = {
        name: score(each, split) for name, each in on_common_days({**networks, **others}).items()
    }
    first, *rest = networks
    pairs = [(first, name) for name in rest]
    pairs += [(network, other) for network in networks for other in others]
    common = results[first]
    return {
        "split": split.value,
        "networks": list(networks),
        "n_sites": common["n_sites"],
        "site_days": sum(site["n"] for site in common["sites"]),
        "scores": {
            name: {key: result[key] for key in ("median", "median_without_jumpers")}
            | {"parts": by_part(result)}
            for name, result in results.items()
        },
        "differences": [
            {"first": one, "second": other, "figures": differences(results[one], results[other])}
            for one, other in pairs
        ],
    }


def keep(result: Mapping[str, Any], path: Path) -> None:
    """Write a result as JSON, rounded, one line for each site."""
    rounded = _rounded(dict(result))
    sites = rounded.pop("sites", None)
    text = json.dumps(rounded, indent=1, allow_nan=False)
    if sites is not None:
        lines = ",\n".join(f"  {json.dumps(site, allow_nan=False)}" for site in sites)
        text = f'{text[:-2]},\n "sites": [\n{lines}\n ]\n}}'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def _cross_validated(
    recipe: WrittenRecipe, data: Data, split: Split, work: Path, found: Path
) -> tuple[Predicted, dict[str, Any]]:
    """Cross-validate one recipe; what it cost is noted if something was fitted."""
    fits, began = work / "fits", time.perf_counter()
    before = set(fits.glob("*"))
    predicted, result = crossval(recipe, data, split, fits)
    save(predicted, result, work)
    name = f"{recipe.recipe.name}-{split}"
    keep(result, found / f"{name}.json")
    if new := set(fits.glob("*.safetensors")) - before:
        path = found / COST
        costs = json.loads(path.read_text()) if path.exists() else {}
        costs[name] = {
            "fits": len(new),
            "minutes": (time.perf_counter() - began) / 60,
            "processors": len(os.sched_getaffinity(0)),
        }
        keep(costs, path)
    return predicted, result


def _kept(name: str, data: Data, split: Split, work: Path) -> Predicted:
    """Predict by a baseline, unless it was done with the same data, code and protocol."""
    whole = hashlib.sha256(data.sha256.encode())
    for path in (baselines.__file__, gaps.__file__, PROTOCOL):
        whole.update(Path(path).read_bytes())
    folder = work / "baselines" / whole.hexdigest()
    path = folder / f"{name}-{split}.json"
    if path.exists():
        return load(path)[0]
    predicted = station_baseline(name, data, split)
    save(predicted, {"recipe": name, "split": split.value}, folder)
    return predicted


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


if __name__ == "__main__":
    main()
