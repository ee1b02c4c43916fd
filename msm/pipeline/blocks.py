"""What is done for a day on a block of cells; a crew may do it anywhere.

Every function takes an open run first. What goes from one to the next are arrays of a block and
small records; what lasts is in files.
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
from msm.pipeline.day_sources import Gathered
from msm.pipeline.model_inputs import columns, given, make_forcing, stored_statics
from msm.pipeline.publish import publish
from msm.pipeline.run import Run

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Weather:
    """What the network is given of a day."""

    forcing_sha256: str
    columns: Float32
    """Shape (n_cell, n_forcing), NaN only where an optional input is missing."""
    statics: Float32
    """Shape (n_cell, n_static), NaN only where an optional input is missing."""
    lacking: NDArray[np.bool_]
    """Cells without an input that is needed, shape (n_cell,): they were given training means."""

    def __sizeof__(self) -> int:
        """Return the bytes, by which a cluster decides where to work."""
        return self.columns.nbytes + self.statics.nbytes + self.lacking.nbytes


@dataclass(frozen=True, eq=False)
class Summary:
    """What is to be known of a block after a day, beside its state."""

    forcing_sha256: str
    prediction: Prediction
    """NaN where inputs are lacking."""
    tile_hashes: tuple[bytes, ...]
    """Of the state."""


@dataclass(frozen=True, eq=False)
class Stepped:
    """A block of cells after a day."""

    summary: Summary
    state: State

    def __sizeof__(self) -> int:
        """Return the bytes, by which a cluster decides where to work."""
        return getsizeof(self.summary.prediction) + getsizeof(self.state)


@dataclass(frozen=True)
class Outcome:
    """What came of a day."""

    content_hash: str
    """Of the state of all cells."""
    forcing_sha256: str
    prediction_sha256: str | None
    """Content of what the network says of the day, None where that was not to be stored."""


def forcing(run: Run, day: date, gathered: Gathered) -> None:
    """Make a day's forcing and store it."""
    make_forcing(run, day, gathered)


def weather(run: Run, day: date, stored: None) -> Weather:
    """Read what the network is given of a day, after its forcing was `stored`."""
    card = run.checkpoint.card
    today = given(run, day)
    daily = columns(today.fields, card.forcing)
    statics = columns(stored_statics(run), card.statics)
    inputs = zip(card.inputs, (*daily.T, *statics.T), strict=True)
    lacking = np.logical_or.reduce([np.isnan(c) for spec, c in inputs if not spec.optional])
    # The network runs on every cell, so that tiles stay the same; where a source does not reach it
    # is given the training mean, and what it says there is not used.
    daily[lacking] = [_untransformed_mean(spec) for spec in card.forcing]
    statics[lacking] = [_untransformed_mean(spec) for spec in card.statics]
    return Weather(today.fingerprint, daily, statics, lacking)


def cold(run: Run, block: slice) -> State:
    """Return the state of a block before the first day of a chain."""
    return State.zeros(block.stop - block.start, run.checkpoint.card.state_size)


def state(run: Run, chain: Chain, day: date, block: slice, stored: None = None) -> State:
    """Read the state of a block after a day, when its snapshot was `stored`."""
    return chain.read_block(day, block)


def step(
    run: Run, block: slice, given: Weather, before: State | Stepped, threads: int | None
) -> Stepped:
    """Advance a block by a day."""
    prediction, after = inference.step(
        run.checkpoint,
        given.columns[block],
        given.statics[block],
        before.state if isinstance(before, Stepped) else before,
        run.settings.device,
        threads,
        run.settings.precision,
    )
    for field in (prediction.soil_moisture, prediction.aleatoric, prediction.epistemic):
        field[given.lacking[block]] = np.nan
    return Stepped(Summary(given.forcing_sha256, prediction, after.tile_hashes), after)


def hashes(run: Run, part: State) -> tuple[bytes, ...]:
    """Return the hashes of a block's tiles."""
    return part.tile_hashes


def summary(run: Run, part: Stepped) -> Summary:
    """Return what is to be known of a block."""
    return part.summary


def outcome(
    run: Run, chain: Chain, day: date, parts: list[Summary], *, stores_prediction: bool
) -> Outcome:
    """Put together what came of a day, and store what the network says of it where that is asked.

    All parts were given the same forcing.
    """
    tiles = tuple(tile for part in parts for tile in part.tile_hashes)
    return Outcome(
        content_hash(run.domain.n_cell, run.checkpoint.card.state_size, tiles),
        parts[0].forcing_sha256,
        _prediction(run, chain, day, parts) if stores_prediction else None,
    )


def _prediction(run: Run, chain: Chain, day: date, parts: list[Summary]) -> str:
    nothing = np.zeros(run.domain.n_cell, bool)
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
        filled=nothing,
        inputs=(),
        lower_tier=nothing,
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
