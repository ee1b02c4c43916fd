"""What else can be said of the places that a split tests, by whatever is not a network of msm."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

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
"""Where hydroDL's predictions lie in the folder of real data."""

TREES_SEED = 1

PERSISTENCE_DAYS = (1, 2, 3)
"""Least ages of the retrieval that persistence repeats."""

STATION_BASELINES: dict[str, Callable[[Stations, Stations], Values]] = {
    "climatology": climatology,
    "antecedent precipitation": antecedent_precipitation,
    "boosted trees": partial(boosted_trees, seed=TREES_SEED),
}


def station_baseline(name: str, data: Data, split: Split) -> Predicted:
    """Predict the stations of each part of a split from the other stations.

    Parameters
    ----------
    name : str
        One of `STATION_BASELINES`.
    data : Data
    split : Split
        `folds` or `regions`.

    Returns
    -------
    Predicted
        Without an uncertainty.
    """
    ground, held_out = tested_places(data, split), list(parts(data, split))
    assert isinstance(ground, Stations)
    said = np.full(ground.target.shape, np.nan)
    for part in held_out:
        training, others = ground.at(~part.held_out), ground.at(part.held_out)
        said[part.held_out] = STATION_BASELINES[name](training, others)
    return as_predicted(ground, held_out, split, said, np.full((), np.nan))


def cell_baselines(folder: Path, data: Data) -> dict[str, Predicted]:
    """Predict the satellite cells in the year that is tested.

    Parameters
    ----------
    folder : Path
        Folder of real data.
    data : Data
        What was read from it.

    Returns
    -------
    dict of str to Predicted
        hydroDL's own predictions, after training on the year before; the mean of each cell's own
        training year for the season; and the newest retrieval that is some days old, however old
        it is then: what a network with data integration is given, repeated. None has an
        uncertainty.

    Raises
    ------
    SamplesError
        If hydroDL's predictions are missing or of other cells or days.
    """
    split = Split.satellite
    cells, held_out = tested_places(data, split), list(parts(data, split))
    learned = cells.days <= np.datetime64(protocol().satellite.train_last)
    said = _hydrodl(folder, cells.target.shape[0], cells.days)
    said["climatology of the training year"] = season_means(
        np.where(learned, cells.target, np.float32(np.nan)), cells.days
    )
    for age in PERSISTENCE_DAYS:
        newest = newest_retrievals(cells.target.T, age, len(cells.days))["retrieval"]
        said[f"persistence, {age} d or older"] = newest.T
    nothing = np.full((), np.nan)
    return {
        name: as_predicted(cells, held_out, split, values, nothing) for name, values in said.items()
    }


def _hydrodl(folder: Path, n_cell: int, days: np.ndarray) -> dict[str, np.ndarray]:
    """Read hydroDL's predictions and lay them out on days; NaN where it has none."""
    import xarray as xr

    path = Path(folder) / HYDRODL
    if not path.is_file():
        raise SamplesError(f"predictions {path} not found: give the folder that holds {HYDRODL}")
    with xr.open_dataset(path) as file:
        there = np.isin(days, file["time"].to_numpy().astype("datetime64[D]"))
        if file.sizes["pixel"] != n_cell or there.sum() != file.sizes["time"]:
            raise SamplesError(f"{path} is not of the cells and days that are tested: get it again")
        found = {}
        for task in ("single", "multi"):
            laid_out = np.full((n_cell, days.size), np.nan, np.float32)
            laid_out[:, there] = file[f"hydrodl_{task}_task"].to_numpy()
            found[f"hydroDL, {task} task"] = laid_out
    return found
