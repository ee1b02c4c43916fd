"""The protocol of all published accuracy figures, and the splits that it defines."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from pyproj import Geod

from msm.errors import MsmError
from msm.frozen import FrozenModel
from msm.training.metrics import AnomalyRules

FILE = Path(__file__).parent / "protocol.toml"

Indices = NDArray[np.intp]


class ProtocolError(MsmError):
    """The data do not fit the protocol."""


class Scoring(FrozenModel):
    """Which days and sites are scored."""

    first: date
    last: date
    min_days: int
    min_sites: int


class Anomaly(FrozenModel):
    """Definition of an anomaly; see `AnomalyRules`."""

    window_days: int
    min_years: int
    min_days_per_year: int


class Folds(FrozenModel):
    """How stations are partitioned into folds."""

    number: int = Field(gt=1)
    together_km: float
    seed: int


class Calibration(FrozenModel):
    """Number of ensemble members, each of which leaves out a part of its stations."""

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
    """Stations with jumps in the level of their soil moisture."""

    stations: tuple[str, ...]


class Protocol(FrozenModel):
    """The contents of `protocol.toml`, which gives the reasons."""

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
        """The anomaly rules as the metrics take them."""
        return AnomalyRules(**self.anomaly.model_dump())


@lru_cache
def protocol() -> Protocol:
    """Read `protocol.toml`."""
    return Protocol.model_validate(tomllib.loads(FILE.read_text()))


def below_headline(n_sites: int) -> str | None:
    """Return why medians over so many sites are not a headline figure, None if they are."""
    min_sites = protocol().scoring.min_sites
    if n_sites >= min_sites:
        return None
    return (
        f"The medians over {n_sites} sites are not comparable with the published accuracy: the"
        f" protocol requires {min_sites} sites."
    )


def partition(lat: ArrayLike, lon: ArrayLike, parts: int, folds: Folds) -> Indices:
    """Partition stations into parts of about the same size; neighbours share a part.

    Parameters
    ----------
    lat, lon
        Shape (n_station,). Degrees.
    parts
        Number of parts.
    folds
        Distance within which stations are neighbours, and the seed.

    Returns
    -------
    ndarray of int, shape (n_station,)
        Part of each station, from 0.

    Raises
    ------
    ProtocolError
        If there are fewer groups of neighbours than parts.
    """
    groups = list(
        _neighbour_groups(np.asarray(lat, float), np.asarray(lon, float), folds.together_km)
    )
    if len(groups) < parts:
        raise ProtocolError(
            f"Stations in {len(groups)} places cannot be partitioned into {parts} parts: give more."
        )
    order = np.random.default_rng(folds.seed).permutation(len(groups))
    part = np.empty(sum(group.size for group in groups), np.intp)
    sizes = np.zeros(parts, int)
    for number in sorted(order, key=lambda n: -groups[n].size):
        smallest = int(sizes.argmin())
        part[groups[number]] = smallest
        sizes[smallest] += groups[number].size
    return part


def region_of(state: ArrayLike, regions: dict[str, tuple[str, ...]]) -> NDArray[np.str_]:
    """Return the region of each station by its state.

    Raises
    ------
    ProtocolError
        If a state lies in no region.
    """
    by_state = {name: region for region, states in regions.items() for name in states}
    states = np.asarray(state).tolist()
    if unknown := sorted(set(states) - set(by_state)):
        raise ProtocolError(f"State {unknown[0]} lies in none of the regions of {FILE.name}.")
    return np.array([by_state[name] for name in states])


def _neighbour_groups(
    lat: NDArray[np.float64], lon: NDArray[np.float64], together_km: float
) -> Iterator[Indices]:
    """Yield groups of stations that are connected by distances below a limit."""
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
