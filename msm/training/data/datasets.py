"""The training data of all recipes, read from one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from pyproj import Geod

from msm.fields.retrievals import newest_retrievals
from msm.training.data.local import local_retrieval
from msm.training.data.pixels import DESCRIPTION as PIXELS_DESCRIPTION
from msm.training.data.pixels import FILE, read_pixels
from msm.training.data.samples import Samples, SamplesError
from msm.training.data.stations import Stations, read_stations
from msm.training.data.uscrn import DAILY_TABLE, STATION_TABLE
from msm.training.metrics import within
from msm.training.protocol import protocol

STATIONS = "uscrn"
"""Subfolder of the stations in the folder of training data."""

DESCRIPTIONS = {
    "ground": "soil moisture and weather of the U.S. Climate Reference Network (NOAA), 5 cm",
    "satellite": PIXELS_DESCRIPTION,
}

RETRIEVAL_WINDOW_DAYS = 8
"""Days searched for a retrieval, from the newest admissible one back: SMAP's repeat cycle."""


@dataclass(frozen=True, eq=False)
class Data:
    """Stations and satellite cells, and the SHA-256 of their files."""

    ground: Stations
    satellite: Samples
    sha256: str


def read_data(folder: Path) -> Data:
    """Read a folder of training data.

    Raises
    ------
    SamplesError, UscrnError
        If a file is missing or invalid.
    """
    folder = Path(folder)
    ground, _ = read_stations(folder / STATIONS)
    satellite = add_retrieval_statistics(read_pixels(folder))
    ground = add_map_statics(ground, satellite)
    files = [folder / STATIONS / DAILY_TABLE, folder / STATIONS / STATION_TABLE, folder / FILE]
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Data(ground, satellite, digest.hexdigest())


def add_retrieval_statistics(cells: Samples) -> Samples:
    """Add statistics of each cell's retrievals in the training year.

    These are the mean and the standard deviation, as statics, and the prediction of a regression
    (`local`), as forcing. The training year of the protocol precedes all days that are tested.
    """
    year = protocol().satellite
    in_year = within(cells.days, year.train_first, year.train_last)
    past = cells.target[:, in_year].astype(np.float64)
    known = np.isfinite(past)
    n = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    mean = np.where(known, past, 0).sum(axis=1) / n
    square = np.where(known, (past - mean[:, None]) ** 2, 0).sum(axis=1) / n
    own = {"retrieval_mean": mean, "retrieval_std": np.sqrt(square)}
    statics = {name: values.astype(np.float32) for name, values in own.items()}
    local = local_retrieval(cells, year.train_first, year.train_last)
    return replace(
        cells,
        statics=cells.statics | statics,
        forcing=cells.forcing | {"local_retrieval": local},
    )


def add_map_statics(stations: Stations, cells: Samples) -> Stations:
    """Add to each station the static attributes of the nearest cell that has them.

    As in the product, these come from maps; attributes measured at the station stay.
    """
    lon, lat, cell_lon, cell_lat = np.broadcast_arrays(
        stations.lon[:, None], stations.lat[:, None], cells.lon, cells.lat
    )
    _, _, distance = Geod(ellps="WGS84").inv(lon, lat, cell_lon, cell_lat)
    statics = dict(stations.statics)
    for name, values in cells.statics.items():
        nearest = np.where(np.isfinite(values), distance, np.inf).argmin(axis=1)
        statics[name] = values[nearest]
    return replace(stations, statics=statics)


S = TypeVar("S", bound=Samples)


def select_inputs(
    samples: S,
    forcing: Sequence[str],
    statics: Sequence[str],
    optional: Collection[str],
    retrieval_lag_days: int | None,
) -> S:
    """Return samples with exactly the inputs of a network; optional ones may be missing (NaN).

    Parameters
    ----------
    samples
    forcing, statics
        Canonical names of the inputs of the network.
    optional
        Names of those that may be missing.
    retrieval_lag_days
        Minimum age of the retrievals among the inputs, which are the targets of the samples.

    Raises
    ------
    SamplesError
        If the samples have no input that is not optional.
    """
    shape = samples.target.shape
    known = dict(samples.forcing)
    if retrieval_lag_days is not None:
        found = newest_retrievals(samples.target.T, retrieval_lag_days, RETRIEVAL_WINDOW_DAYS)
        known |= {name: np.ascontiguousarray(values.T) for name, values in found.items()}
    for name in (*forcing, *statics):
        if name not in known and name not in samples.statics and name not in optional:
            raise SamplesError(
                f"The samples have no {name}, which the network needs: make it optional, or use"
                " samples that have it."
            )
    missing = np.float32(np.nan)
    return replace(
        samples,
        forcing={name: known.get(name, np.full(shape, missing)) for name in forcing},
        statics={name: samples.statics.get(name, np.full(shape[0], missing)) for name in statics},
    )
