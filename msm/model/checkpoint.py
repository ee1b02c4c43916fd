"""Self-describing checkpoints: the weights of an ensemble and the card that describes them.

A checkpoint consists of two files, ``<name>.json`` (the card) and ``<name>.safetensors``. It is
immutable: the card contains the hash of the weights and is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError

from msm.atomic_files import replacing
from msm.errors import MsmError
from msm.model.card import Card

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the checkpoints that are part of msm."""

SHIPPED = WEIGHTS / "multiscale.json"
"""The default checkpoint."""

Weights = Mapping[str, NDArray[np.float32]]


class CheckpointError(MsmError):
    """A checkpoint cannot be used, or must not be overwritten."""


@dataclass(frozen=True)
class Checkpoint:
    """A card and its weights; checkpoints are equal if their `sha256` are.

    Attributes
    ----------
    card
    weights
        Float32 arrays by ``<member>.<parameter>``, as ``0.lstm.weight_ih_l0``: the number of the
        member and the name of a parameter of `msm.model.network.SoilMoistureLSTM`.
    sha256
        SHA-256 (hex) over the canonical JSON of the card and the bytes of the weights file: the
        identity of the checkpoint in chains, fingerprints and published files.
    """

    card: Card = field(compare=False)
    weights: Weights = field(compare=False)
    sha256: str

    def member(self, number: int) -> dict[str, NDArray[np.float32]]:
        """Return the weights of one member, by the names of its parameters."""
        return {name: self.weights[f"{number}.{name}"] for name in parameter_shapes(self.card)}


def parameter_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every parameter of a member."""
    hidden_size = card.hidden_size
    return {
        "inlet.weight": (hidden_size, card.n_channels),
        "inlet.bias": (hidden_size,),
        "lstm.weight_ih_l0": (4 * hidden_size, hidden_size),
        "lstm.weight_hh_l0": (4 * hidden_size, hidden_size),
        "lstm.bias_ih_l0": (4 * hidden_size,),
        "lstm.bias_hh_l0": (4 * hidden_size,),
        "head.weight": (card.n_outputs, hidden_size),
        "head.bias": (card.n_outputs,),
    }


def weight_shapes(card: Card) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight of a checkpoint."""
    shapes = parameter_shapes(card).items()
    return {f"{number}.{name}": shape for number in range(card.members) for name, shape in shapes}


def load_checkpoint(path: Path | None = None) -> Checkpoint:
    """Read a checkpoint and check that it is complete and usable.

    Parameters
    ----------
    path
        The card (``<name>.json``), next to its weights; the shipped one if not given.

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
            f"Checkpoint {card_path} cannot be read ({error.strerror}: {error.filename}): give the"
            " path of a .json card with its .safetensors file next to it, or of a folder of them."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"Checkpoint {card_path} has a card that this version of msm cannot use"
            f" ({where + ': ' if where else ''}{first['msg']}): use a checkpoint of this version."
        ) from error
    if hashlib.sha256(raw).hexdigest() != card.weights_sha256:
        raise CheckpointError(
            f"Checkpoint {card_path}: the weights in {weights_path.name} are not those of the card"
            " (SHA-256 differs), copy both files again."
        )
    return _assemble(card, raw, f"checkpoint {card_path}")


def make_checkpoint(card: Card, weights: Weights) -> Checkpoint:
    """Combine a card and weights to a checkpoint in memory.

    Parameters
    ----------
    card
        Its `weights_sha256` is replaced by the hash of the weights.
    weights
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
    """Write a checkpoint; it becomes visible with its card, when both files are complete.

    Parameters
    ----------
    path
        The card's path, ``<name>.json``; the weights are written next to it.
    checkpoint

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
    """Raise CheckpointError if the card `path` exists: checkpoints are immutable."""
    if Path(path).exists():
        raise CheckpointError(
            f"Checkpoint {path} exists and is not overwritten: choose another name or remove it."
        )


def _serialise(weights: Weights) -> bytes:
    return safetensors.numpy.save({name: np.ascontiguousarray(w) for name, w in weights.items()})


def _assemble(card: Card, raw: bytes, what: str) -> Checkpoint:
    try:
        weights = safetensors.numpy.load(raw)
    except SafetensorError as error:
        raise CheckpointError(
            f"{what}: its weights are not a safetensors file ({error}), copy it again."
        ) from error
    wanted = weight_shapes(card)
    found = {name: weight.shape for name, weight in weights.items()}
    wrong = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if wrong:
        raise CheckpointError(
            f"{what}: weight {wrong[0]} has shape {found.get(wrong[0])} where"
            f" {card.n_channels} channels, {card.n_outputs} outputs, hidden size"
            f" {card.hidden_size} and {card.members} members need {wanted.get(wrong[0])}; use"
            " weights and a card of the same training."
        )
    bad = [n for n, w in weights.items() if w.dtype != np.float32 or not np.isfinite(w).all()]
    if bad:
        raise CheckpointError(f"{what}: weight {bad[0]} is not finite float32; train it again.")
    canonical = json.dumps(card.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    identity = hashlib.sha256(canonical.encode())
    identity.update(raw)
    return Checkpoint(card=card, weights=weights, sha256=identity.hexdigest())
