"""Which checkpoint of a folder is in use: a small file beside them says so, and what was before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from msm.atomic_files import replacing
from msm.frozen import FrozenModel
from msm.model.checkpoint import CheckpointError, load_checkpoint

POINTER = "current.json"
"""Name of the file in the folder of the checkpoints."""


class Comparison(FrozenModel):
    """A checkpoint beside the one that it was to replace, at sites that neither had learned from.

    Differences are those of the new one less the old one at the same sites and days.
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
    """Lower bound of its interval."""
    high: float
    """Upper bound of its interval."""
    level: float
    """Share of the bootstrap samples inside the interval."""


class Promotion(FrozenModel):
    """How a checkpoint came into use."""

    file: str = Field(pattern=r"^[^/\\]+\.json$")
    """Name of its card in the folder."""
    checkpoint: str
    """Name and version, as maps and their catalogue state them."""
    sha256: str
    promoted: datetime
    why: Literal["first", "not worse", "back"]
    """Nothing was in use before; it was compared; or it had been in use before."""
    replaced: str | None
    """SHA-256 of the checkpoint that was in use until then."""
    comparison: Comparison | None
    """Given where it was compared."""


class Current(FrozenModel):
    """What the file holds."""

    format: Literal["msm-current-1"] = "msm-current-1"
    promotions: tuple[Promotion, ...] = Field(min_length=1)
    """Newest first: the first is in use."""

    @property
    def in_use(self) -> Promotion:
        """How the checkpoint in use came into use."""
        return self.promotions[0]

    def of(self, sha256: str) -> Promotion | None:
        """Return how a checkpoint came into use the last time, None if it never was."""
        return next((found for found in self.promotions if found.sha256 == sha256), None)


def read_current(folder: Path) -> Current | None:
    """Read which checkpoint of a folder is in use, None where none ever was.

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
            f"{path} does not tell which checkpoint is in use ({_reason(error)}): bring it back"
            " from a copy, or move it away and promote a checkpoint"
        ) from error


def write_current(folder: Path, current: Current) -> None:
    """Say which checkpoint of a folder is in use; readers see the old file or the new one."""
    with replacing(folder / POINTER) as new:
        new.write_text(current.model_dump_json(indent=1) + "\n")


def card_in_use(chosen: Path | None) -> Path | None:
    """Return the card that a choice of checkpoint means at this moment.

    Parameters
    ----------
    chosen : Path or None
        A card, which is returned as it is, as None is; or a folder of checkpoints, or the file
        `POINTER` in one, which is followed.

    Raises
    ------
    CheckpointError
        If no checkpoint of the folder is in use, or the one that is has changed since.
    """
    if chosen is None or not (chosen.is_dir() or chosen.name == POINTER):
        return chosen
    folder = chosen if chosen.is_dir() else chosen.parent
    current = read_current(folder)
    if current is None:
        raise CheckpointError(
            f"no checkpoint in {folder} is in use: let one be with `msm promote`, or give the path"
            " of a card"
        )
    card = folder / current.in_use.file
    if load_checkpoint(card).sha256 != current.in_use.sha256:
        raise CheckpointError(
            f"checkpoint {card} is not the one that came into use (SHA-256 differs from"
            f" {POINTER}): bring its two files back from a copy"
        )
    return card


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return error.strerror or str(error)
