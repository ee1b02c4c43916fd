"""Self-describing checkpoints: weights, and a card that says what they take, give and saw.

A checkpoint is two files side by side, ``<name>.json`` (the card) and ``<name>.safetensors``.
It is immutable: the card holds the hash of the weights, and is written last.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import SafetensorError

from msm.durable import replacing
from msm.errors import MsmError

FORCING_UNITS = {
    "precipitation": "mm day-1",
    "air_temperature": "K",
    "specific_humidity": "kg kg-1",
    "shortwave_down": "W m-2",
    "longwave_down": "W m-2",
    "surface_pressure": "Pa",
    "wind_speed": "m s-1",
}
"""Canonical daily forcing: what a checkpoint may ask for, and in which unit."""

STATIC_UNITS = {
    "sand": "1",
    "clay": "1",
    "vegetation_water_content": "kg m-2",
    "land_fraction": "1",
}
"""Canonical static attributes: what a checkpoint may ask for, and in which unit."""

SHIPPED = Path(__file__).parent / "weights" / "first.json"
"""The checkpoint that comes with msm."""


class CheckpointError(MsmError):
    """A checkpoint cannot be used, or must not be overwritten."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Frozen):
    """One input channel: normalised as (transform(value) - mean) / std."""

    name: str
    """Canonical name."""
    units: str
    """Canonical units of the raw value."""
    transform: Literal["identity", "log1p"]
    """Applied to the raw value before it is centred and scaled."""
    mean: float
    """Mean of the transformed training values."""
    std: float
    """Standard deviation of the transformed training values."""
    minimum: float
    """Smallest raw value seen in training."""
    maximum: float
    """Largest raw value seen in training."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.std > 0:
            raise ValueError(f"input {self.name}: std must be positive, not {self.std}")
        if self.minimum > self.maximum:
            raise ValueError(f"input {self.name}: minimum lies above maximum")
        return self


class TargetSpec(_Frozen):
    """What the network predicts: network output times std plus mean, within physical bounds."""

    name: Literal["soil_moisture"]
    units: Literal["m3 m-3"]
    mean: float
    std: float
    minimum: float
    """Lower physical bound of the output."""
    maximum: float
    """Upper physical bound of the output."""
    error: float
    """One standard uncertainty for every cell and day: the root-mean-square error against the
    training target at cells that were held out of training, in the training year."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not (self.std > 0 and self.error > 0 and self.minimum < self.maximum):
            raise ValueError("target: std and error must be positive, and minimum below maximum")
        return self


class Period(_Frozen):
    """An inclusive span of days."""

    first: date
    last: date


class TrainingRecord(_Frozen):
    """What the weights were learned from, for whoever must judge where they hold."""

    data: str
    """Description of the training data and its source."""
    cells: tuple[tuple[float, float], ...]
    """Latitude and longitude (degrees) of the gridded cells that gave targets."""
    stations: tuple[str, ...]
    """In-situ stations that gave targets."""
    periods: tuple[Period, ...]
    """Days that gave targets."""
    command: str
    """The command that trained."""
    recipe: str
    """The recipe as text (TOML)."""
    code_version: str
    """Version of msm that trained."""


class Card(_Frozen):
    """Everything there is to know about a checkpoint besides its weights."""

    format: Literal["msm-checkpoint-1"]
    name: str
    version: str
    created: datetime
    licence: str
    forcing: tuple[InputSpec, ...]
    """Daily inputs, in the order of the network's channels."""
    statics: tuple[InputSpec, ...]
    """Static inputs, in the order of the network's channels after the daily ones."""
    target: TargetSpec
    hidden_size: int
    weights_sha256: str
    """SHA-256 (hex) of the safetensors file."""
    training: TrainingRecord

    @model_validator(mode="after")
    def _known_inputs(self) -> Self:
        if not self.forcing:
            raise ValueError("forcing: at least one daily input is needed")
        for kind, specs, known in (
            ("forcing", self.forcing, FORCING_UNITS),
            ("static", self.statics, STATIC_UNITS),
        ):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                raise ValueError(f"a {kind} input is named twice")
            for spec in specs:
                if spec.name not in known:
                    raise ValueError(f"{kind} input {spec.name!r} is not one that msm knows")
                if spec.units != known[spec.name]:
                    raise ValueError(
                        f"{kind} input {spec.name} is in {spec.units!r}, not {known[spec.name]!r}"
                    )
        return self

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """All channels in the order of the network's inputs."""
        return self.forcing + self.statics


@dataclass(frozen=True)
class Checkpoint:
    """A card and the weights it describes; checkpoints are equal where their `sha256` is.

    Attributes
    ----------
    card : Card
    weights : mapping of str to ndarray
        Float32 arrays by the parameter names of `msm.model.network.SoilMoistureLSTM`.
    sha256 : str
        SHA-256 (hex) over the canonical JSON of the card and the bytes of the weights file: the
        identity of the checkpoint in chains, fingerprints and published files.
    """

    card: Card = field(compare=False)
    weights: Mapping[str, npt.NDArray[np.float32]] = field(compare=False)
    sha256: str


def weight_shapes(n_inputs: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every parameter of the network.

    Parameters
    ----------
    n_inputs : int
    hidden_size : int
    """
    return {
        "inlet.weight": (hidden_size, n_inputs),
        "inlet.bias": (hidden_size,),
        "lstm.weight_ih_l0": (4 * hidden_size, hidden_size),
        "lstm.weight_hh_l0": (4 * hidden_size, hidden_size),
        "lstm.bias_ih_l0": (4 * hidden_size,),
        "lstm.bias_hh_l0": (4 * hidden_size,),
        "head.weight": (1, hidden_size),
        "head.bias": (1,),
    }


def load_checkpoint(path: Path | None = None) -> Checkpoint:
    """Read a checkpoint and check that it is whole and that msm can use it.

    Parameters
    ----------
    path : Path, optional
        The card (``<name>.json``); the weights lie beside it. The shipped one if not given.

    Raises
    ------
    CheckpointError
        If a file is missing or not readable, the card has another format, unknown fields or
        inputs that msm does not know, or the weights are not those that the card describes.
    """
    card_path = SHIPPED if path is None else Path(path)
    weights_path = card_path.with_suffix(".safetensors")
    try:
        card = Card.model_validate_json(card_path.read_bytes())
        raw = weights_path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {card_path} cannot be read ({error.strerror}: {error.filename}): give the"
            " path of a .json card with its .safetensors file beside it"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"checkpoint {card_path} has a card that this version of msm cannot use"
            f" ({where + ': ' if where else ''}{first['msg']}): use a checkpoint made for it"
        ) from error
    if hashlib.sha256(raw).hexdigest() != card.weights_sha256:
        raise CheckpointError(
            f"checkpoint {card_path}: the weights in {weights_path.name} are not those of the card"
            " (SHA-256 differs), copy both files again"
        )
    return _assemble(card, raw, f"checkpoint {card_path}")


def make_checkpoint(card: Card, weights: Mapping[str, npt.NDArray[np.float32]]) -> Checkpoint:
    """Put a card and weights together in memory.

    Parameters
    ----------
    card : Card
        Its `weights_sha256` is set here from the weights.
    weights : mapping of str to ndarray
        Float32 arrays as `weight_shapes` lists them.

    Raises
    ------
    CheckpointError
        If the weights do not fit the card.
    """
    raw = _serialise(weights)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(raw).hexdigest()})
    return _assemble(card, raw, f"checkpoint {card.name}")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; it becomes visible whole, with its card, or not at all.

    Parameters
    ----------
    path : Path
        The card's path, ``<name>.json``; the weights go beside it.
    checkpoint : Checkpoint

    Raises
    ------
    CheckpointError
        If a checkpoint of that name exists already.
    """
    path = Path(path)
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.with_suffix(".safetensors")) as new:
        new.write_bytes(_serialise(checkpoint.weights))
    with replacing(path) as new:
        new.write_text(checkpoint.card.model_dump_json(indent=1) + "\n")


def refuse_existing(path: Path) -> None:
    """Raise CheckpointError if a checkpoint's card lies at `path`: checkpoints are immutable."""
    if Path(path).exists():
        raise CheckpointError(
            f"checkpoint {path} exists and is not overwritten: choose another name or remove it"
        )


def _serialise(weights: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    return safetensors.numpy.save({name: np.ascontiguousarray(w) for name, w in weights.items()})


def _assemble(card: Card, raw: bytes, what: str) -> Checkpoint:
    try:
        weights = safetensors.numpy.load(raw)
    except SafetensorError as error:
        raise CheckpointError(
            f"{what}: its weights are not a safetensors file ({error}), copy it again"
        ) from error
    wanted = weight_shapes(len(card.inputs), card.hidden_size)
    found = {name: weight.shape for name, weight in weights.items()}
    wrong = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if wrong:
        raise CheckpointError(
            f"{what}: weight {wrong[0]} has shape {found.get(wrong[0])} where"
            f" {len(card.inputs)} inputs and hidden size {card.hidden_size} need"
            f" {wanted.get(wrong[0])}; use weights and a card of the same training"
        )
    bad = [n for n, w in weights.items() if w.dtype != np.float32 or not np.isfinite(w).all()]
    if bad:
        raise CheckpointError(f"{what}: weight {bad[0]} is not finite float32; train it again")
    canonical = json.dumps(card.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    identity = hashlib.sha256(canonical.encode())
    identity.update(raw)
    return Checkpoint(card=card, weights=weights, sha256=identity.hexdigest())
