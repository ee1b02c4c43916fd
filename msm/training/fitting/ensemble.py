"""Training of a checkpoint: an ensemble of networks and the calibration of its uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from msm.model.card import (
    Card,
    Head,
    InputSpec,
    MemberRecord,
    Period,
    Retrievals,
    TargetSpec,
    TrainingRecord,
)
from msm.model.checkpoint import Checkpoint, make_checkpoint, refuse_existing, save_checkpoint
from msm.model.variables import FORCING_UNITS, STATIC_UNITS
from msm.training.data.datasets import DESCRIPTIONS, RETRIEVAL_WINDOW_DAYS, Data, select_inputs
from msm.training.data.samples import Floats, Samples
from msm.training.data.stations import Stations
from msm.training.fitting.calibration import calibrate
from msm.training.fitting.fit import Stream, one_to_one
from msm.training.fitting.fits import Job, Weights, fit_all
from msm.training.fitting.recipe import Measurement, Recipe, RecipeError, WrittenRecipe
from msm.training.protocol import partition, protocol

S = TypeVar("S", bound=Samples)

PREDICTION_RANGE = (0.0, 0.6)
"""Physical bounds of the output, m3 m-3: dry soil, and a porosity that topsoil rarely exceeds."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The fits of a checkpoint, before they are run.

    Attributes
    ----------
    recipe
    card
        Card without weights and calibration.
    ground
    left_out
        Shape (n_station,). Member that leaves out the targets of each station.
    streams
        All training data, by the kind of measurement.
    """

    recipe: WrittenRecipe
    card: Card
    ground: Stations | None
    left_out: NDArray[np.intp]
    streams: dict[Measurement, Stream]

    @property
    def jobs(self) -> list[Job]:
        """The fit of each member."""
        return [
            Job(self.recipe, self.card, self._streams_of(n), member.seed)
            for n, member in enumerate(self.card.training.members)
        ]

    def finish(self, weights: Iterable[Weights]) -> Checkpoint:
        """Assemble the checkpoint and calibrate it on the stations that the members left out."""
        named = {f"{n}.{name}": w for n, each in enumerate(weights) for name, w in each.items()}
        checkpoint = make_checkpoint(self.card, named)
        if self.ground is None or self.card.members == 1 or self.card.published != "ground":
            return checkpoint
        return make_checkpoint(calibrate(checkpoint, self.ground, self.left_out), named)

    def _streams_of(self, member: int) -> dict[Measurement, Stream]:
        streams = dict(self.streams)
        if self.ground is not None and self.card.members > 1:
            streams["ground"] = _stream(self.ground.at(self.left_out != member), self.recipe)
        return streams


def train(
    recipe: WrittenRecipe, data: Data, out: Path, work: Path, workers: int | None = None
) -> Checkpoint:
    """Train a checkpoint on all places, and save it.

    Parameters
    ----------
    recipe
    data
    out
        Card of the new checkpoint, ``<name>.json``.
    work
        Folder whose subfolder ``fits`` keeps finished fits.
    workers
        Number of processes; the number of processors if not given.

    Raises
    ------
    CheckpointError
        If `out` exists.
    """
    refuse_existing(out)
    planned = plan(recipe, data.ground, data.satellite, data.sha256)
    checkpoint = planned.finish(fit_all(planned.jobs, work / "fits", workers))
    save_checkpoint(out, checkpoint)
    return checkpoint


def plan(
    recipe: WrittenRecipe,
    ground: Stations,
    satellite: Samples,
    data_sha256: str,
) -> Plan:
    """Plan the fits of a checkpoint.

    Parameters
    ----------
    recipe
    ground, satellite
        Available training data, from which the recipe selects days.
    data_sha256
        Hash of the data files, for the card.

    Raises
    ------
    RecipeError, SamplesError
        If the samples do not have an input or the days of the recipe.
    """
    wanted = recipe.recipe
    streams: dict[Measurement, Stream] = {}
    own, left_out = None, np.zeros(0, np.intp)
    if taken := wanted.ground:
        own = _recipe_inputs(ground, wanted).between(taken.first, taken.last)
        streams["ground"] = _stream(own, recipe)
        if wanted.members > 1:
            left_out = partition(own.lat, own.lon, wanted.members, protocol().folds)
    if taken := wanted.satellite:
        cells = _recipe_inputs(satellite, wanted).between(taken.first, taken.last)
        streams["satellite"] = _stream(cells, recipe)
    samples = {name: stream.places for name, stream in streams.items()}
    card = _card(recipe, samples, left_out, data_sha256)
    return Plan(recipe, card, own, left_out, streams)


def _recipe_inputs(samples: S, recipe: Recipe) -> S:
    return select_inputs(
        samples, recipe.forcing, recipe.statics, recipe.optional, recipe.retrieval_lag_days
    )


def _stream(samples: Samples, recipe: WrittenRecipe) -> Stream:
    """Return a stream in which each place is one sample.

    The satellite cells of 36 km have one value of the weather each, as distributed.
    """
    ground = recipe.recipe.ground
    if ground is None or not isinstance(samples, Stations):
        return Stream(samples, one_to_one(samples))
    for name in ground.auxiliary:
        if name not in samples.auxiliary:
            raise RecipeError(
                f"Recipe {recipe.recipe.name} asks for {name}, which its stations do not have."
            )
    auxiliary = {name: samples.auxiliary[name] for name in ground.auxiliary}
    return Stream(samples, one_to_one(samples), auxiliary)


def _card(
    recipe: WrittenRecipe,
    samples: Mapping[Measurement, Samples],
    left_out: NDArray[np.intp],
    data_sha256: str,
) -> Card:
    wanted = recipe.recipe

    def specs(names: tuple[str, ...], units: dict[str, str], kind: str) -> tuple[InputSpec, ...]:
        return tuple(
            _spec(
                name,
                units.get(name, ""),
                [getattr(s, kind)[name] for s in samples.values()],
                wanted,
            )
            for name in names
        )

    lag = wanted.retrieval_lag_days
    return Card(
        format="msm-checkpoint-2",
        name=wanted.name,
        version=wanted.version,
        created=datetime.now(UTC).replace(microsecond=0),
        licence=wanted.licence,
        forcing=specs(wanted.forcing, FORCING_UNITS, "forcing"),
        statics=specs(wanted.statics, STATIC_UNITS, "statics"),
        retrievals=Retrievals(lag_days=lag, window_days=RETRIEVAL_WINDOW_DAYS) if lag else None,
        target=TargetSpec(
            name="soil_moisture",
            units="m3 m-3",
            minimum=PREDICTION_RANGE[0],
            maximum=PREDICTION_RANGE[1],
        ),
        heads=tuple(_head(name, found.target) for name, found in samples.items()),
        published=wanted.published,
        members=wanted.members,
        hidden_size=wanted.hidden_size,
        weights_sha256="",
        training=_record(recipe, samples, left_out, data_sha256),
    )


def _spec(name: str, units: str, values: list[Floats], recipe: Recipe) -> InputSpec:
    known = np.concatenate([found[np.isfinite(found)] for found in values]).astype(np.float64)
    if not known.size:
        raise RecipeError(f"Recipe {recipe.name} asks for {name}, which none of its samples have.")
    log = name in recipe.log1p
    transformed = np.log1p(known) if log else known
    return InputSpec(
        name=name,
        units=units,
        transform="log1p" if log else "identity",
        mean=float(transformed.mean()),
        std=float(transformed.std()),
        minimum=float(known.min()),
        maximum=float(known.max()),
        optional=name in recipe.optional,
    )


def _head(name: Measurement, target: Floats) -> Head:
    known = target[np.isfinite(target)].astype(np.float64)
    return Head(name=name, mean=float(known.mean()), std=float(known.std()), error=None)


def _record(
    recipe: WrittenRecipe,
    samples: Mapping[Measurement, Samples],
    left_out: NDArray[np.intp],
    data_sha256: str,
) -> TrainingRecord:
    wanted, cells, names = recipe.recipe, samples.get("satellite"), np.zeros(0, str)
    if isinstance(stations := samples.get("ground"), Stations):
        names = stations.names
    spans = sorted({(stream.first, stream.last) for stream in wanted.streams.values()})
    return TrainingRecord(
        data="; ".join(DESCRIPTIONS[name] for name in samples) + f" (files {data_sha256[:12]})",
        cells=tuple(
            (round(float(lat), 4), round(float(lon), 4))
            for lat, lon in zip(cells.lat, cells.lon, strict=True)
        )
        if cells is not None
        else (),
        stations=tuple(names.tolist()),
        periods=tuple(Period(first=first, last=last) for first, last in spans),
        command=f"msm train {wanted.name}",
        recipe=recipe.text,
        code_version=version("msm"),
        members=tuple(
            MemberRecord(
                seed=wanted.seed + number,
                left_out_stations=tuple(names[left_out == number].tolist())
                if left_out.size
                else (),
            )
            for number in range(wanted.members)
        ),
    )
