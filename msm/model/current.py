"""The record of which checkpoint of a folder is in use, and which were before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from msm.atomic_files import replacing
from msm.frozen import FrozenModel
from msm.model.checkpoint import CheckpointError, load_checkpoint

POINTER = "current.json"
"""Name of the record in the folder of the checkpoints."""


class Comparison(FrozenModel):
    """A new checkpoint compared with the one in use, at sites that neither was trained on.

    Differences are new minus old, at the same sites and days.
    """

    figure: Literal["ubRMSE"] = "ubRMSE"
    n_sites: int
    new: float
    """Median over the sites, m3 m-3."""
    old: float
    """Median over the same sites, m3 m-3."""
    difference: float
    """Median over the sites of (new - old), m3 m-3."""
    low: float
    """Lower bound of the interval of `difference`."""
    high: float
    """Upper bound of the interval of `difference`."""
    level: float
    """Share of the bootstrap samples inside the interval."""


class Promotion(FrozenModel):
    """How a checkpoint came into use."""

    file: str = Field(pattern=r"^[^/\\]+\.json$")
    """Name of its card in the folder."""
    checkpoint: str
    """Name and version, as in maps and their catalogue."""
    sha256: str
    promoted: datetime
    why: Literal["first", "not worse", "back"]
    """No checkpoint was in use; the comparison; or the checkpoint had been in use before."""
    replaced: str | None
    """SHA-256 of the previous checkpoint in use."""
    comparison: Comparison | None
    """None if it was not compared."""


class Current(FrozenModel):
    """The contents of the record."""

    format: Literal["msm-current-1"] = "msm-current-1"
    promotions: tuple[Promotion, ...] = Field(min_length=1)
    """Newest first: the first is in use."""

    @property
    def in_use(self) -> Promotion:
        """The promotion of the checkpoint in use."""
        return self.promotions[0]

    def of(self, sha256: str) -> Promotion | None:
        """Return the last promotion of a checkpoint, None if there was none."""
        return next((found for found in self.promotions if found.sha256 == sha256), None)


def read_current(folder: Path) -> Current | None:
    """Read the record of a folder, None if no checkpoint was ever in use.

    Raises
    ------
    CheckpointError
        If the file cannot be read.
    """
    path = folder / POINTER
    try:
        return Current.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            f"{path} does not name the checkpoint in use ({_reason(error)}): restore it from a"
            " copy, or move it away and promote a checkpoint."
        ) from error


def write_current(folder: Path, current: Current) -> None:
    """Write the record of a folder; readers see the old file or the new one."""
    with replacing(folder / POINTER) as new:
        new.write_text(current.model_dump_json(indent=1) + "\n")


def card_in_use(chosen: Path | None) -> Path | None:
    """Return the card that a configured checkpoint currently refers to.

    Parameters
    ----------
    chosen
        A card or None, which is returned unchanged; or a folder of checkpoints or its `POINTER`
        file, which is resolved to the card in use.

    Raises
    ------
    CheckpointError
        If no checkpoint of the folder is in use, or the one in use has changed.
    """
    if chosen is None or not (chosen.is_dir() or chosen.name == POINTER):
        return chosen
    folder = chosen if chosen.is_dir() else chosen.parent
    current = read_current(folder)
    if current is None:
        raise CheckpointError(
            f"No checkpoint in {folder} is in use: promote one with `msm promote`, or give the path"
            " of a card."
        )
    card = folder / current.in_use.file
    if load_checkpoint(card).sha256 != current.in_use.sha256:
        raise CheckpointError(
            f"Checkpoint {card} is not the one that was promoted (SHA-256 differs from {POINTER}):"
            " restore its two files from a copy."
        )
    return card


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return error.strerror or str(error)
