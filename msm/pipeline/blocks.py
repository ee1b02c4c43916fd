"""The work of a day on a block of cells, as an executor runs it.

Every function takes an open run first. Arrays of a block and small records pass from one to the
next; results that last are in files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from sys import getsizeof

import numpy as np
from numpy.typing import NDArray

from msm.archive.store import Published
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.model import inference
from msm.model.card import InputSpec
from msm.model.chain import Chain
from msm.model.prediction import Prediction
from msm.model.snapshot import Deflated, deflate
from msm.model.state import State, content_hash
from msm.pipeline.chains import prediction_path
from msm.pipeline.day_sources import DaySources
from msm.pipeline.model_inputs import columns, make_forcing, model_inputs, stored_statics
from msm.pipeline.publish import publish
from msm.pipeline.run import Run

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StepInputs:
    """What the network is given of a day, as arrays."""

    forcing_sha256: str
    columns: Float32
    """Shape (n_cell, n_forcing), NaN only where an optional input is missing."""
    statics: Float32
    """Shape (n_cell, n_static), NaN only where an optional input is missing."""
    incomplete: NDArray[np.bool_]
    """Cells without a required input, shape (n_cell,): they take the training means."""

    def __sizeof__(self) -> int:
        """Return the bytes, by which dask decides where to work."""
        return self.columns.nbytes + self.statics.nbytes + self.incomplete.nbytes


@dataclass(frozen=True, eq=False)
class Summary:
    """The results of a block and a day, without its state."""

    forcing_sha256: str
    prediction: Prediction
    """NaN where a required input is missing."""
    tile_hashes: tuple[bytes, ...]
    """Of the state."""


@dataclass(frozen=True, eq=False)
class Stepped:
    """A block of cells after a day."""

    summary: Summary
    state: State

    def __sizeof__(self) -> int:
        """Return the bytes, by which dask decides where to work."""
        return getsizeof(self.summary.prediction) + getsizeof(self.state)


@dataclass(frozen=True)
class Outcome:
    """The results of a day."""

    content_hash: str
    """Of the state of all cells."""
    forcing_sha256: str
    prediction_sha256: str | None
    """Content of the prediction; None where it was not to be stored."""


def forcing(run: Run, day: date, gathered: DaySources) -> None:
    """Make a day's forcing and store it."""
    make_forcing(run, day, gathered)


def inputs(run: Run, day: date, stored: None) -> StepInputs:
    """Read what the network is given of a day, after its forcing was `stored`."""
    card = run.checkpoint.card
    today = model_inputs(run, day)
    daily = columns(today.fields, card.forcing)
    statics = columns(stored_statics(run), card.statics)
    values = zip(card.inputs, (*daily.T, *statics.T), strict=True)
    incomplete = np.logical_or.reduce([np.isnan(c) for spec, c in values if not spec.optional])
    # The network runs on every cell, so that tiles stay the same. Where an input is missing it
    # takes the training mean, and its prediction is not used.
    daily[incomplete] = [_untransformed_mean(spec) for spec in card.forcing]
    statics[incomplete] = [_untransformed_mean(spec) for spec in card.statics]
    return StepInputs(today.fingerprint, daily, statics, incomplete)


def cold(run: Run, block: slice) -> State:
    """Return the state of a block before the first day of a chain."""
    return State.zeros(block.stop - block.start, run.checkpoint.card.state_size)


def state(run: Run, chain: Chain, day: date, block: slice, stored: None = None) -> State:
    """Read the state of a block after a day, when its snapshot was `stored`."""
    return chain.read_block(day, block)


def step(
    run: Run, block: slice, inputs: StepInputs, before: State | Stepped, threads: int | None
) -> Stepped:
    """Advance a block by a day."""
    prediction, after = inference.step(
        run.checkpoint,
        inputs.columns[block],
        inputs.statics[block],
        before.state if isinstance(before, Stepped) else before,
        run.settings.device,
        threads,
        run.settings.precision,
    )
    for field in (prediction.soil_moisture, prediction.aleatoric, prediction.epistemic):
        field[inputs.incomplete[block]] = np.nan
    return Stepped(Summary(inputs.forcing_sha256, prediction, after.tile_hashes), after)


def hashes(run: Run, part: State) -> tuple[bytes, ...]:
    """Return the hashes of a block's tiles."""
    return part.tile_hashes


def summary(run: Run, part: Stepped) -> Summary:
    """Return the results of a block without its state."""
    return part.summary


def outcome(
    run: Run, chain: Chain, day: date, parts: list[Summary], *, stores_prediction: bool
) -> Outcome:
    """Combine the results of a day's blocks, and store the prediction where that is wanted.

    All blocks were given the same forcing.
    """
    tiles = tuple(tile for part in parts for tile in part.tile_hashes)
    return Outcome(
        content_hash(run.domain.n_cell, run.checkpoint.card.state_size, tiles),
        parts[0].forcing_sha256,
        _prediction(run, chain, day, parts) if stores_prediction else None,
    )


def _prediction(run: Run, chain: Chain, day: date, parts: list[Summary]) -> str:
    none = np.zeros(run.domain.n_cell, bool)
    predicted = [part.prediction for part in parts]
    fields = {
        "soil_moisture": np.concatenate([part.soil_moisture for part in predicted]),
        "aleatoric_uncertainty": np.concatenate([part.aleatoric for part in predicted]),
        "epistemic_uncertainty": np.concatenate([part.epistemic for part in predicted]),
    }
    made = CellFields(
        mask_sha256=run.domain.mask_sha256,
        day=day,
        fields=fields,
        units=dict.fromkeys(fields, "m3 m-3"),
        filled=none,
        inputs=(),
        lower_tier=none,
    )
    cell_fields.write(prediction_path(chain, day), made)
    return made.sha256


def deflated(run: Run, part: Stepped, threads: int | None) -> Deflated:
    """Deflate the state of a block."""
    return deflate(part.state, run.domain.n_cell, threads)


def snapshot(run: Run, chain: Chain, day: date, parts: list[Deflated]) -> None:
    """Store the state of all cells after a day."""
    chain.write_snapshot(day, parts)


def publication(run: Run, chain: Chain, day: date, now: datetime) -> Published:
    """Publish a day that the chain has reached."""
    return publish(run, chain, day, now)


def _untransformed_mean(spec: InputSpec) -> float:
    return float(np.expm1(spec.mean)) if spec.transform == "log1p" else float(spec.mean)
