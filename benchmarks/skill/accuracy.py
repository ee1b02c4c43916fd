"""Measure every published accuracy by its protocol: `make accuracy`.

Recipes are cross-validated and compared with baselines at the same sites on the same days. An
interrupted run continues: finished fits and baselines are kept in the work folder under the hash of
their inputs. The scores are written to docs/accuracy, the pictures to docs/images.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.results import ACCURACY, DATA, TRAINING, keep_accuracy
from benchmarks.skill import baselines
from benchmarks.skill.comparison import by_part, common_size, on_common_days, paired
from benchmarks.skill.peers import STATION_BASELINES, cell_baselines, station_baseline
from msm.training.code_hash import code_sha256
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
"""Recipes by split. The first of a split is compared with all others, and drawn."""

IMAGES = Path("docs/images/accuracy")
COST = "cost.json"
"""Minutes of the last run with new fits, by recipe and split."""


def main() -> None:
    """Measure everything, and write the results."""
    measure(RECIPES, DATA, TRAINING, ACCURACY, IMAGES)


def measure(
    recipes: Mapping[Split, Sequence[str]], folder: Path, work: Path, found: Path, images: Path
) -> None:
    """Cross-validate recipes and compare them with baselines.

    Parameters
    ----------
    recipes
        Names or paths of recipes, by split.
    folder
        Folder of real data.
    work
        Folder of finished fits and baselines.
    found, images
        Folders of the results and the pictures.

    Raises
    ------
    RecipeError
        Before the first fit, if a recipe is missing.
    """
    written = {
        split: [read_recipe(Path(name)) for name in names] for split, names in recipes.items()
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
            else {name: _baseline(name, data, split, work) for name in STATION_BASELINES}
        )
        comparison = compared(networks, others, split) | {"data_sha256": data.sha256}
        keep_accuracy(comparison, found / f"compared-{split}.json")


def compared(
    networks: Mapping[str, Predicted], others: Mapping[str, Predicted], split: Split
) -> dict[str, Any]:
    """Score all predictions at the same sites on the same days, and compare them in pairs.

    The pairs are the first network with the other networks, and every network with every baseline.

    Returns
    -------
    dict
        Common ``n_sites`` and ``site_days``; ``scores`` by name; ``differences``, a list.
    """
    results = {
        name: score(each, split) for name, each in on_common_days({**networks, **others}).items()
    }
    first, *rest = networks
    pairs = [(first, name) for name in rest]
    pairs += [(network, other) for network in networks for other in others]
    return {
        "split": split.value,
        "networks": list(networks),
        **common_size(results),
        "scores": {
            name: {key: result[key] for key in ("median", "median_without_jumpers")}
            | {"parts": by_part(result)}
            for name, result in results.items()
        },
        "differences": paired(results, pairs),
    }


def _cross_validated(
    recipe: WrittenRecipe, data: Data, split: Split, work: Path, found: Path
) -> tuple[Predicted, dict[str, Any]]:
    """Cross-validate one recipe; record its cost if it needed new fits."""
    fits, began = work / "fits", time.perf_counter()
    before = set(fits.glob("*"))
    predicted, result = crossval(recipe, data, split, fits)
    save(predicted, result, work)
    name = f"{recipe.recipe.name}-{split}"
    keep_accuracy(result, found / f"{name}.json")
    if new := set(fits.glob("*.safetensors")) - before:
        path = found / COST
        costs = json.loads(path.read_text()) if path.exists() else {}
        costs[name] = {
            "fits": len(new),
            "minutes": (time.perf_counter() - began) / 60,
            "processors": len(os.sched_getaffinity(0)),
        }
        keep_accuracy(costs, path)
    return predicted, result


def _baseline(name: str, data: Data, split: Split, work: Path) -> Predicted:
    """Predict by a baseline, or read its prediction from the same data, code and protocol."""
    inputs = (data.sha256, code_sha256((baselines, gaps)), PROTOCOL.read_text())
    folder = work / "baselines" / hashlib.sha256("".join(inputs).encode()).hexdigest()
    path = folder / f"{name}-{split}.json"
    if path.exists():
        return load(path)[0]
    predicted = station_baseline(name, data, split)
    save(predicted, {"recipe": name, "split": split.value}, folder)
    return predicted


if __name__ == "__main__":
    main()
