"""The protocol of every accuracy that msm states, and who is held out of what under it."""

import tomllib
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pyproj import Geod

from msm.errors import MsmError
from msm.frozen import FrozenModel
from msm.training.metrics import AnomalyRules

FILE = Path(__file__).parent / "protocol.toml"

Indices = npt.NDArray[np.intp]


class ProtocolError(MsmError):
    """The data do not fit the protocol."""


class Scoring(FrozenModel):
    """Which days and sites are scored."""

    first: date
    last: date
    min_days: int
    min_sites: int


class Anomaly(FrozenModel):
    """What an anomaly is, as `AnomalyRules` has it."""

    window_days: int
    min_years: int
    min_days_per_year: int


class Folds(FrozenModel):
    """How stations are dealt out into folds."""

    number: int = Field(gt=1)
    together_km: float
    seed: int


class Calibration(FrozenModel):
    """How many members there are, each of which leaves a part of its stations out."""

    members: int = Field(gt=1)


class Satellite(FrozenModel):
    """The years of the satellite test."""

    train_first: date
    train_last: date
    test_first: date
    test_last: date
    cells: int


class Bootstrap(FrozenModel):
    """How two predictions are compared, paired over sites."""

    resamples: int
    seed: int
    level: float


class Jumpers(FrozenModel):
    """Stations whose level changes."""

    stations: tuple[str, ...]


class Protocol(FrozenModel):
    """The protocol, as `protocol.toml` states it and says why."""

    scoring: Scoring
    anomaly: Anomaly
    folds: Folds
    calibration: Calibration
    satellite: Satellite
    bootstrap: Bootstrap
    regions: dict[str, tuple[str, ...]]
    level_jumpers: Jumpers

    @property
    def anomaly_rules(self) -> AnomalyRules:
        """The rules of anomalies, as the metrics take them."""
        return AnomalyRules(**self.anomaly.model_dump())


@lru_cache
def protocol() -> Protocol:
    """Read the protocol that comes with msm."""
    return Protocol.model_validate(tomllib.loads(FILE.read_text()))


def deal(lat: npt.ArrayLike, lon: npt.ArrayLike, parts: int, folds: Folds) -> Indices:
    """Deal stations out into parts of about the same size; neighbours share a part.

    Parameters
    ----------
    lat, lon : array_like, shape (n_station,)
        Degrees.
    parts : int
        How many.
    folds : Folds
        What counts as a neighbour, and the seed.

    Returns
    -------
    ndarray of int, shape (n_station,)
        Part of each station, from 0.

    Raises
    ------
    ProtocolError
        If there are fewer groups of neighbours than parts.
    """
    groups = list(_groups(np.asarray(lat, float), np.asarray(lon, float), folds.together_km))
    if len(groups) < parts:
        raise ProtocolError(
            f"stations in {len(groups)} places cannot be dealt out into {parts} parts: give more"
        )
    order = np.random.default_rng(folds.seed).permutation(len(groups))
    part = np.empty(sum(group.size for group in groups), np.intp)
    sizes = np.zeros(parts, int)
    for number in sorted(order, key=lambda n: -groups[n].size):
        smallest = int(sizes.argmin())
        part[groups[number]] = smallest
        sizes[smallest] += groups[number].size
    return part


def region_of(state: npt.ArrayLike, regions: dict[str, tuple[str, ...]]) -> npt.NDArray[np.str_]:
    """Return the region of each station by its state.

    Raises
    ------
    ProtocolError
        If a state lies in no region.
    """
    by_state = {name: region for region, states in regions.items() for name in states}
    states = np.asarray(state).tolist()
    if unknown := sorted(set(states) - set(by_state)):
        raise ProtocolError(f"state {unknown[0]} lies in none of the regions of {FILE.name}")
    return np.array([by_state[name] for name in states])


def _groups(
    lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], together_km: float
) -> Iterator[Indices]:
    """Give the stations that are joined by steps shorter than a distance, group by group."""
    one, other = np.indices((lat.size, lat.size)).reshape(2, -1)
    _, _, metres = Geod(ellps="WGS84").inv(lon[one], lat[one], lon[other], lat[other])
    near = np.asarray(metres).reshape(lat.size, lat.size) < 1000 * together_km
    left = set(range(lat.size))
    while left:
        group = {min(left)}
        while grown := set(np.flatnonzero(near[sorted(group)].any(axis=0)).tolist()) - group:
            group |= grown
        left -= group
        yield np.array(sorted(group))
