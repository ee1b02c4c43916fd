"""Predictions of the tested places that are not from a network of msm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.skill.baselines import Values, antecedent_precipitation, boosted_trees, climatology
from msm.fields.retrievals import newest_retrievals
from msm.training.data.datasets import Data
from msm.training.data.gaps import season_means
from msm.training.data.samples import SamplesError
from msm.training.data.stations import Stations
from msm.training.evaluation.crossval import Predicted, as_predicted, parts, tested_places
from msm.training.protocol import protocol
from msm.training.split import Split

HYDRODL = "conus_pixels/hydrodl_predictions.nc"
"""Path of hydroDL's predictions in the folder of real data."""

TREES_SEED = 1

PERSISTENCE_DAYS = (1, 2, 3)
"""Minimum ages of the retrieval that persistence repeats."""

STATION_BASELINES: dict[str, Callable[[Stations, Stations], Values]] = {
    "climatology": climatology,
    "antecedent precipitation": antecedent_precipitation,
    "boosted trees": partial(boosted_trees, seed=TREES_SEED),
}


def station_baseline(name: str, data: Data, split: Split) -> Predicted:
    """Predict the stations of each part of a split from the other stations.

    Parameters
    ----------
    name
        One of `STATION_BASELINES`.
    data
        Data with the stations.
    split
        `folds` or `regions`.

    Returns
    -------
    Predicted
        Without an uncertainty.
    """
    ground, held_out = tested_places(data, split), list(parts(data, split))
    assert isinstance(ground, Stations)
    predicted = np.full(ground.target.shape, np.nan)
    for part in held_out:
        training, others = ground.at(~part.held_out), ground.at(part.held_out)
        predicted[part.held_out] = STATION_BASELINES[name](training, others)
    return as_predicted(ground, held_out, split, predicted, np.full((), np.nan))


def cell_baselines(folder: Path, data: Data) -> dict[str, Predicted]:
    """Predict the satellite cells in the test year.

    Parameters
    ----------
    folder
        Folder of real data.
    data
        Data read from it.

    Returns
    -------
    dict of str to Predicted
        hydroDL's own predictions, trained on the year before; the seasonal mean of each cell's
        training year; and the newest retrieval of a minimum age, the input of a network with data
        integration. None has an uncertainty.

    Raises
    ------
    SamplesError
        If hydroDL's predictions are missing or have other cells or days.
    """
    split = Split.satellite
    cells, held_out = tested_places(data, split), list(parts(data, split))
    training = cells.days <= np.datetime64(protocol().satellite.train_last)
    predicted = _hydrodl(folder, cells.target.shape[0], cells.days)
    predicted["climatology of the training year"] = season_means(
        np.where(training, cells.target, np.float32(np.nan)), cells.days
    )
    for age in PERSISTENCE_DAYS:
        newest = newest_retrievals(cells.target.T, age, len(cells.days))["retrieval"]
        predicted[f"persistence, {age} d or older"] = newest.T
    no_uncertainty = np.full((), np.nan)
    return {
        name: as_predicted(cells, held_out, split, values, no_uncertainty)
        for name, values in predicted.items()
    }


def _hydrodl(
    folder: Path, n_cell: int, days: NDArray[np.datetime64]
) -> dict[str, NDArray[np.float32]]:
    """Read hydroDL's predictions, shape (n_cell, n_day); NaN on days without one."""
    import xarray as xr

    path = folder / HYDRODL
    if not path.is_file():
        raise SamplesError(f"Predictions {path} not found: give the folder with {HYDRODL}.")
    with xr.open_dataset(path) as file:
        available = np.isin(days, file["time"].to_numpy().astype("datetime64[D]"))
        if file.sizes["pixel"] != n_cell or available.sum() != file.sizes["time"]:
            raise SamplesError(f"{path} has other cells or days than the test: get it again.")
        found = {}
        for task in ("single", "multi"):
            values = np.full((n_cell, days.size), np.nan, np.float32)
            values[:, available] = file[f"hydrodl_{task}_task"].to_numpy()
            found[f"hydroDL, {task} task"] = values
    return found
