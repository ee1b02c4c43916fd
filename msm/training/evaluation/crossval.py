"""Cross-validate a recipe: fit it without a part of the places, and score it there."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

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
from msm.training.fitting import calibration, predict_stations
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fits import CODE as CODE_OF_FITS
from msm.training.fitting.fits import fit_all
from msm.training.fitting.predict_stations import hindcast
from msm.training.fitting.recipe import RecipeError, WrittenRecipe
from msm.training.metrics import Days, within
from msm.training.protocol import deal, protocol, region_of
from msm.training.split import Split

CODE = (*CODE_OF_FITS, level, calibration, predict_stations, metrics, scores)
"""Modules that a result depends on."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Part:
    """One fit of a cross-validation: what it may learn from, and where it is tested."""

    name: str
    ground: Stations
    satellite: Samples
    held_out: npt.NDArray[np.bool_]
    """Which of the tested places are predicted by this fit."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What is said of places or days that nothing was learned from, and the truth there.

    The last three have the shape (n_site, n_day); m3 m-3, NaN where there is none.
    """

    names: tuple[str, ...]
    part: tuple[str, ...]
    """Name of the part that each site was held out in."""
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    """Degrees, shape (n_site,)."""
    days: Days
    truth: Floats
    soil_moisture: Floats
    uncertainty: Floats
    """Standard deviation of the error of `soil_moisture`."""

    def at(self, sites: npt.NDArray[np.bool_]) -> Self:
        """Return a selection of the sites, by mask."""

        def chosen(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(np.array(values, str)[sites].tolist())

        return replace(
            self,
            names=chosen(self.names),
            part=chosen(self.part),
            lat=self.lat[sites],
            lon=self.lon[sites],
            truth=self.truth[sites],
            soil_moisture=self.soil_moisture[sites],
            uncertainty=self.uncertainty[sites],
        )


def crossval(
    recipe: WrittenRecipe, data: Data, split: Split, folder: Path, workers: int | None = None
) -> tuple[Predicted, dict[str, Any]]:
    """Fit a recipe on all parts of a split and score it where it has not learned.

    Parameters
    ----------
    recipe : WrittenRecipe
    data : Data
    split : Split
    folder : Path
        Where finished fits lie; those that are there are not done again.
    workers : int, optional
        Processes; as many as there are processors if not given.

    Returns
    -------
    Predicted
        On all days of the scoring period.
    dict
        The evaluation of `scores.evaluation`, the medians without the stations that
        the protocol lists as jumping, each part's calibration, and the hashes of recipe, data and
        code; ready for JSON.

    Raises
    ------
    RecipeError
        If the recipe learns from what the split tests, or gives nothing that it could be tested on.
    """
    tested, fitted = tested_places(data, split), checkpoints(recipe, data, split, folder, workers)
    soil_moisture, uncertainty = (np.full(tested.target.shape, np.nan, np.float32) for _ in "12")
    calibration = {}
    for part, checkpoint in fitted:
        found = hindcast(checkpoint, tested.at(part.held_out))
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


def checkpoints(
    recipe: WrittenRecipe, data: Data, split: Split, folder: Path, workers: int | None = None
) -> list[tuple[Part, Checkpoint]]:
    """Fit a recipe on all parts of a split; parameters and errors as for `crossval`."""
    _refuse_what_is_tested(recipe, split)
    held_out = list(parts(data, split))
    plans = [plan(recipe, part.ground, part.satellite, data.sha256) for part in held_out]
    weights = iter(fit_all([job for each in plans for job in each.jobs], folder, workers))
    return [
        (part, each.finish([next(weights) for _ in each.jobs]))
        for part, each in zip(held_out, plans, strict=True)
    ]


def score(predicted: Predicted, split: Split) -> dict[str, Any]:
    """Evaluate a prediction of a split by the protocol, with and without the level jumpers."""
    min_days = 1 if split == Split.satellite else protocol().scoring.min_days
    whole = evaluated(predicted, min_days)
    part_of = dict(zip(predicted.names, predicted.part, strict=True))
    for site in whole["sites"]:
        site["part"] = part_of[site["name"]]
    steady = ~np.isin(predicted.names, protocol().level_jumpers.stations)
    without_jumpers = evaluated(predicted.at(steady), min_days)["median"]
    return {"split": split.value} | whole | {"median_without_jumpers": without_jumpers}


def evaluated(sites: Predicted, min_days: int) -> dict[str, Any]:
    """Evaluate a prediction where a site has so many days; see `scores.evaluation`."""
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
    """Keep a cross-validation as ``<recipe>-<split>.json``, its predictions beside it (``.npz``).

    Returns
    -------
    Path
        Of the JSON file.
    """
    path = folder / f"{result['recipe']}-{result['split']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".npz")) as new, new.open("wb") as file:
        np.savez_compressed(file, **vars(predicted))
    with replacing(path) as new:
        new.write_text(json.dumps(result, indent=1) + "\n")
    return path


def load(path: Path) -> tuple[Predicted, dict[str, Any]]:
    """Read what `save` kept, by the path of the JSON file."""
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {name: file[name] for name in file.files}
    names, part = (tuple(arrays.pop(key).tolist()) for key in ("names", "part"))
    return Predicted(names=names, part=part, **arrays), json.loads(path.read_text())


def tested_places(data: Data, split: Split) -> Samples:
    """Return the places that a split tests, from the first day that their state is filled."""
    rules = protocol()
    if split == Split.satellite:
        return data.satellite.between(rules.satellite.train_first, rules.satellite.test_last)
    return data.ground.between(data.ground.days[0].astype(date), rules.scoring.last)


def parts(data: Data, split: Split) -> Iterator[Part]:
    """Give the parts of a split; each of the tested places is held out in one of them."""
    rules, ground = protocol(), data.ground
    if split == Split.satellite:
        yield Part("all", ground, data.satellite, np.ones(data.satellite.n_cell, bool))
        return
    if split == Split.folds:
        dealt = deal(ground.lat, ground.lon, rules.folds.number, rules.folds)
        label = np.array([f"fold {number + 1}" for number in dealt])
    else:
        label = region_of(ground.state, rules.regions)
    for name in sorted(set(label.tolist())):
        held_out = label == name
        yield Part(name, ground.at(~held_out), data.satellite, held_out)


def as_predicted(
    tested: Samples,
    held_out: Sequence[Part],
    split: Split,
    soil_moisture: npt.NDArray[np.floating],
    uncertainty: npt.NDArray[np.floating],
) -> Predicted:
    """Put what is said of all days of the tested places beside the truth, on the days that count.

    Parameters
    ----------
    tested : Samples
        As `tested_places` gives them.
    held_out : sequence of Part
        All parts of the split.
    split : Split
    soil_moisture, uncertainty : ndarray, broadcastable to (n_site, n_day)
        On the days of `tested`, m3 m-3.
    """
    scored = within(tested.days, *_scored(split))
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


def _refuse_what_is_tested(recipe: WrittenRecipe, split: Split) -> None:
    """Refuse a recipe that learns from the year that is tested, or says nothing of it."""
    if split != Split.satellite:
        return
    wanted, year = recipe.recipe, protocol().satellite
    if wanted.published != "satellite":
        raise RecipeError(f"recipe {wanted.name} publishes {wanted.published}, not satellite")
    for name, stream in wanted.streams.items():
        if stream.last > year.train_last:
            raise RecipeError(
                f"recipe {wanted.name} learns from {name} until {stream.last}, and the test begins"
                f" on {year.test_first}: let it end on {year.train_last}"
            )


def _scored(split: Split) -> tuple[date, date]:
    """Return the first and last day that count."""
    rules = protocol()
    if split == Split.satellite:
        return rules.satellite.test_first, rules.satellite.test_last
    return rules.scoring.first, rules.scoring.last


def _names(samples: Samples) -> tuple[str, ...]:
    if isinstance(samples, Stations):
        return tuple(samples.names.tolist())
    return tuple(f"{a:.2f} {b:.2f}" for a, b in zip(samples.lat, samples.lon, strict=True))
