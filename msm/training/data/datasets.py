"""All that a recipe may learn from, in one folder of real data."""

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
"""Where the stations lie in the folder of real data."""

DESCRIPTIONS = {
    "ground": "soil moisture and weather of the U.S. Climate Reference Network (NOAA), 5 cm",
    "satellite": PIXELS_DESCRIPTION,
}

RETRIEVAL_WINDOW_DAYS = 8
"""Days back from the newest admissible one that a retrieval is looked for: SMAP's repeat cycle."""


@dataclass(frozen=True, eq=False)
class Data:
    """Stations and satellite cells, and the hash of the files they were read from."""

    ground: Stations
    satellite: Samples
    sha256: str


def read_data(folder: Path) -> Data:
    """Read a folder of real data.

    Raises
    ------
    SamplesError, UscrnError
        If a file is missing or not what it should be.
    """
    folder = Path(folder)
    ground, _ = read_stations(folder / STATIONS)
    satellite = with_past(read_pixels(folder))
    ground = with_map(ground, satellite)
    files = [folder / STATIONS / DAILY_TABLE, folder / STATIONS / STATION_TABLE, folder / FILE]
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return Data(ground, satellite, whole.hexdigest())


def with_past(cells: Samples) -> Samples:
    """Give cells what their retrievals of the training year say of them.

    That is their mean and standard deviation, and among the forcing what a regression learns from
    them (`local`). The year is the protocol's: what it was like is known before any
    day that is tested.
    """
    year = protocol().satellite
    learned = within(cells.days, year.train_first, year.train_last)
    past = cells.target[:, learned].astype(np.float64)
    there = np.isfinite(past)
    n = np.where(there.any(axis=1), there.sum(axis=1), np.nan)
    mean = np.where(there, past, 0).sum(axis=1) / n
    square = np.where(there, (past - mean[:, None]) ** 2, 0).sum(axis=1) / n
    own = {"retrieval_mean": mean, "retrieval_std": np.sqrt(square)}
    statics = {name: values.astype(np.float32) for name, values in own.items()}
    local = local_retrieval(cells, year.train_first, year.train_last)
    return replace(
        cells,
        statics=cells.statics | statics,
        forcing=cells.forcing | {"local_retrieval": local},
    )


def with_map(stations: Stations, cells: Samples) -> Stations:
    """Give stations the static attributes of the nearest cell that has them.

    These are what a map says, as in the product, beside what was measured on the spot.
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


def prepared(
    samples: S,
    forcing: Sequence[str],
    statics: Sequence[str],
    optional: Collection[str],
    retrieval_lag_days: int | None,
) -> S:
    """Give samples the inputs of a network: what they lack is missing, where it may be.

    Parameters
    ----------
    samples : Samples
    forcing, statics : sequence of str
        Canonical names of what the network takes.
    optional : collection of str
        Those that may be missing.
    retrieval_lag_days : int or None
        Least age of the retrievals among the inputs; those are the samples' own targets.

    Raises
    ------
    SamplesError
        If the samples lack an input that may not be missing.
    """
    shape = samples.target.shape
    known = dict(samples.forcing)
    if retrieval_lag_days is not None:
        found = newest_retrievals(samples.target.T, retrieval_lag_days, RETRIEVAL_WINDOW_DAYS)
        known |= {name: np.ascontiguousarray(values.T) for name, values in found.items()}
    for name in (*forcing, *statics):
        if name not in known and name not in samples.statics and name not in optional:
            raise SamplesError(
                f"the samples have no {name}, which the network takes: let it be optional, or use"
                " samples that have it"
            )
    missing = np.float32(np.nan)
    return replace(
        samples,
        forcing={name: known.get(name, np.full(shape, missing)) for name in forcing},
        statics={name: samples.statics.get(name, np.full(shape[0], missing)) for name in statics},
    )
