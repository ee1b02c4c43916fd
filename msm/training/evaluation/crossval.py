"""Cross-validation of a recipe: fits without a part of the places or days, scored there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from msm.atomic_files import replacing
from msm.model import level
from msm.model.checkpoint import Checkpoint
from msm.training import metrics
from msm.training.code_hash import code_sha256
from msm.training.data.datasets import Data
from msm.training.data.samples import Samples
from msm.training.data.stations import Stations
from msm.training.evaluation import scores
from msm.training.evaluation.scores import evaluation
from msm.training.fitting import calibration
from msm.training.fitting import predict_stations as predict_stations_module
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fits import CODE as CODE_OF_FITS
from msm.training.fitting.fits import fit_all
from msm.training.fitting.predict_stations import predict_stations
from msm.training.fitting.recipe import RecipeError, WrittenRecipe
from msm.training.metrics import Days, within
from msm.training.protocol import partition, protocol, region_of
from msm.training.split import Split

CODE = (*CODE_OF_FITS, level, calibration, predict_stations_module, metrics, scores)
"""Modules whose code determines a result."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """One fit of a cross-validation: its training data, and the places where it is tested."""

    name: str
    ground: Stations
    satellite: Samples
    held_out: NDArray[np.bool_]
    """Mask of the tested places that this fit predicts."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions at places or days that were not used for training, and the truth.

    The last three have the shape (n_site, n_day); m3 m-3, NaN where there is none.
    """

    names: tuple[str, ...]
    part: tuple[str, ...]
    """Name of the part in which each site was held out."""
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    """Degrees, shape (n_site,)."""
    days: Days
    truth: Floats
    soil_moisture: Floats
    uncertainty: Floats
    """Standard deviation of the error of `soil_moisture`."""

    def at(self, sites: NDArray[np.bool_]) -> Self:
        """Return a selection of the sites, by mask."""

        def selected(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(np.array(values, str)[sites].tolist())

        return replace(
            self,
            names=selected(self.names),
            part=selected(self.part),
            lat=self.lat[sites],
            lon=self.lon[sites],
            truth=self.truth[sites],
            soil_moisture=self.soil_moisture[sites],
            uncertainty=self.uncertainty[sites],
        )


def crossval(
    recipe: WrittenRecipe, data: Data, split: Split, folder: Path, workers: int | None = None
) -> tuple[Predicted, dict[str, Any]]:
    """Fit a recipe for each part of a split and score it at the held-out places or days.

    Parameters
    ----------
    recipe
    data
    split
    folder
        Folder of finished fits, which are not repeated.
    workers
        Number of processes; the number of processors if not given.

    Returns
    -------
    Predicted
        On all days of the scoring period.
    dict
        The result of `scores.evaluation`, the medians without the level jumpers of the protocol,
        the calibration of each part, and the hashes of recipe, data and code; can be written as
        JSON.

    Raises
    ------
    RecipeError
        If the recipe is trained on the test period of the split, or does not predict its target.
    """
    tested, fitted = tested_places(data, split), fit_parts(recipe, data, split, folder, workers)
    soil_moisture, uncertainty = (np.full(tested.target.shape, np.nan, np.float32) for _ in "12")
    calibration = {}
    for part, checkpoint in fitted:
        found = predict_stations(checkpoint, tested.at(part.held_out))
        soil_moisture[part.held_out] = found.soil_moisture
        uncertainty[part.held_out] = found.uncertainty
        factors = checkpoint.card.uncertainty
        calibration[part.name] = {
            "aleatoric": factors.aleatoric,
            "without_level": factors.without_level,
            "level": {term.name: term.slope for term in checkpoint.card.level},
        }
    held_out = [part for part, _ in fitted]
    predicted = as_predicted(tested, held_out, split, soil_moisture, uncertainty)
    return predicted, score(predicted, split) | {
        "recipe": recipe.recipe.name,
        "recipe_sha256": recipe.sha256,
        "data_sha256": data.sha256,
        "code_sha256": code_sha256(CODE),
        "calibration": calibration,
    }


def fit_parts(
    recipe: WrittenRecipe, data: Data, split: Split, folder: Path, workers: int | None = None
) -> list[tuple[Part, Checkpoint]]:
    """Fit a recipe for each part of a split; parameters and errors as for `crossval`."""
    _refuse_test_period(recipe, split)
    held_out = list(parts(data, split))
    plans = [plan(recipe, part.ground, part.satellite, data.sha256) for part in held_out]
    weights = iter(fit_all([job for each in plans for job in each.jobs], folder, workers))
    return [
        (part, each.finish([next(weights) for _ in each.jobs]))
        for part, each in zip(held_out, plans, strict=True)
    ]


def score(predicted: Predicted, split: Split) -> dict[str, Any]:
    """Evaluate the predictions of a split by the protocol, with and without level jumpers."""
    min_days = 1 if split == Split.satellite else protocol().scoring.min_days
    whole = evaluate_sites(predicted, min_days)
    part_of = dict(zip(predicted.names, predicted.part, strict=True))
    for site in whole["sites"]:
        site["part"] = part_of[site["name"]]
    steady = ~np.isin(predicted.names, protocol().level_jumpers.stations)
    without_jumpers = evaluate_sites(predicted.at(steady), min_days)["median"]
    return {"split": split.value} | whole | {"median_without_jumpers": without_jumpers}


def evaluate_sites(sites: Predicted, min_days: int) -> dict[str, Any]:
    """Evaluate the sites with at least `min_days` days; see `scores.evaluation`."""
    return evaluation(
        sites.names,
        sites.soil_moisture,
        sites.truth,
        sites.days,
        sites.uncertainty,
        min_days=min_days,
        anomalies=protocol().anomaly_rules,
    )


def save(predicted: Predicted, result: dict[str, Any], folder: Path) -> Path:
    """Write a cross-validation as ``<recipe>-<split>.json`` and its predictions as ``.npz``.

    Returns
    -------
    Path
        The JSON file.
    """
    path = folder / f"{result['recipe']}-{result['split']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".npz")) as new, new.open("wb") as file:
        np.savez_compressed(file, **vars(predicted))
    with replacing(path) as new:
        new.write_text(json.dumps(result, indent=1) + "\n")
    return path


def load(path: Path) -> tuple[Predicted, dict[str, Any]]:
    """Read what `save` wrote, by the path of the JSON file."""
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {name: file[name] for name in file.files}
    names, part = (tuple(arrays.pop(key).tolist()) for key in ("names", "part"))
    return Predicted(names=names, part=part, **arrays), json.loads(path.read_text())


def tested_places(data: Data, split: Split) -> Samples:
    """Return the places that a split tests, from the first day of their spin-up on."""
    rules = protocol()
    if split == Split.satellite:
        return data.satellite.between(rules.satellite.train_first, rules.satellite.test_last)
    return data.ground.between(data.ground.days[0].astype(date), rules.scoring.last)


def parts(data: Data, split: Split) -> Iterator[Part]:
    """Yield the parts of a split; each tested place is held out in exactly one."""
    rules, ground = protocol(), data.ground
    if split == Split.satellite:
        yield Part("all", ground, data.satellite, np.ones(data.satellite.n_cell, bool))
        return
    if split == Split.folds:
        folds = partition(ground.lat, ground.lon, rules.folds.number, rules.folds)
        label = np.array([f"fold {number + 1}" for number in folds])
    else:
        label = region_of(ground.state, rules.regions)
    for name in sorted(set(label.tolist())):
        held_out = label == name
        yield Part(name, ground.at(~held_out), data.satellite, held_out)


def as_predicted(
    tested: Samples,
    held_out: Sequence[Part],
    split: Split,
    soil_moisture: NDArray[np.floating],
    uncertainty: NDArray[np.floating],
) -> Predicted:
    """Combine predictions of all days of the tested places with the truth of the scored days.

    Parameters
    ----------
    tested
        From `tested_places`.
    held_out
        All parts of the split.
    split
    soil_moisture, uncertainty
        Broadcastable to (n_site, n_day). On the days of `tested`, m3 m-3.
    """
    scored = within(tested.days, *_scored_period(split))
    shape = tested.target.shape
    part = np.empty(tested.n_cell, object)
    for each in held_out:
        part[each.held_out] = each.name
    return Predicted(
        names=_names(tested),
        part=tuple(part.tolist()),
        lat=tested.lat,
        lon=tested.lon,
        days=tested.days[scored],
        truth=tested.target[:, scored],
        soil_moisture=np.broadcast_to(soil_moisture, shape)[:, scored].astype(np.float32),
        uncertainty=np.broadcast_to(uncertainty, shape)[:, scored].astype(np.float32),
    )


def _refuse_test_period(recipe: WrittenRecipe, split: Split) -> None:
    """Refuse a recipe that is trained on the test year or does not predict the satellite."""
    if split != Split.satellite:
        return
    wanted, year = recipe.recipe, protocol().satellite
    if wanted.published != "satellite":
        raise RecipeError(f"Recipe {wanted.name} publishes {wanted.published}, not satellite.")
    for name, stream in wanted.streams.items():
        if stream.last > year.train_last:
            raise RecipeError(
                f"Recipe {wanted.name} is trained on {name} until {stream.last}, and the test"
                f" begins on {year.test_first}: end the training on {year.train_last}."
            )


def _scored_period(split: Split) -> tuple[date, date]:
    """Return the first and last day that are scored."""
    rules = protocol()
    if split == Split.satellite:
        return rules.satellite.test_first, rules.satellite.test_last
    return rules.scoring.first, rules.scoring.last


def _names(samples: Samples) -> tuple[str, ...]:
    if isinstance(samples, Stations):
        return tuple(samples.names.tolist())
    return tuple(f"{a:.2f} {b:.2f}" for a, b in zip(samples.lat, samples.lon, strict=True))
