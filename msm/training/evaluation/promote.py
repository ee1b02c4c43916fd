"""Promotion of a checkpoint: runs use it from then on, unless it is worse than the one in use.

All checkpoints of a service are in one folder and are never overwritten; `msm.model.current`
records which is in use. Each promoted checkpoint has the cross-validation of its recipe next to it.
The next checkpoint is compared with that at places that neither was trained on.
"""

from __future__ import annotations

import hashlib
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from msm.atomic_files import locked, replacing
from msm.errors import MsmError
from msm.model.card import Card
from msm.model.checkpoint import load_checkpoint
from msm.model.current import Comparison, Current, Promotion, read_current, write_current
from msm.training.evaluation.crossval import Predicted, load
from msm.training.evaluation.scores import paired_difference
from msm.training.metrics import median, site_metrics
from msm.training.protocol import protocol
from msm.training.split import Split

MIN_SITES = 10
"""Least number of sites of a comparison: with fewer the interval of the median is too wide."""


class PromotionError(MsmError):
    """A checkpoint cannot be promoted."""


class WorseError(PromotionError):
    """A checkpoint is worse than the one in use.

    Parameters
    ----------
    new, old
        Name and version of the checkpoint, and of the one in use.
    comparison
    """

    def __init__(self, new: str, old: str, comparison: Comparison) -> None:
        super().__init__(new, old, comparison)
        self.new, self.old, self.comparison = new, old, comparison

    def __str__(self) -> str:
        found = self.comparison
        return (
            f"Checkpoint {self.new} is worse than {self.old}, which stays in use: its"
            f" {found.figure} at {found.n_sites} stations that neither was trained on is"
            f" {found.new:.4f} against {found.old:.4f} m3 m-3, higher by {found.difference:.4f}"
            f" ({found.low:.4f} to {found.high:.4f}, {found.level:.0%}); improve the recipe, raise"
            " its version and train again."
        )


def promote(card: Path, crossval: Path, now: datetime) -> Promotion:
    """Bring a checkpoint into use if it is not worse than the one in use in its folder.

    It is worse if the interval of the median difference of ubRMSE lies entirely above 0. The first
    checkpoint of a folder is promoted without a comparison. A checkpoint in use stays in use.

    Parameters
    ----------
    card
        Card in the folder of the checkpoints.
    crossval
        Cross-validation of its recipe by folds, from `crossval.save`. It is copied next to the
        card; an existing copy is used instead.
    now

    Raises
    ------
    WorseError
        If the checkpoint is worse.
    PromotionError
        If the cross-validation is missing, belongs to another recipe or other data, or has too few
        sites in common with that of the checkpoint in use; or if another checkpoint of its name and
        version was in use.
    CheckpointError
        If a checkpoint cannot be used.
    """
    folder, new = card.parent, load_checkpoint(card)
    with locked(folder / ".lock"):
        current = read_current(folder)
        if current and current.in_use.sha256 == new.sha256:
            return current.in_use
        checkpoint = f"{new.card.name} {new.card.version}"
        for before in current.promotions if current else ():
            if before.checkpoint == checkpoint and before.sha256 != new.sha256:
                raise PromotionError(
                    f"Another checkpoint called {checkpoint} was in use ({before.file}), and maps"
                    " of the two could not be distinguished: raise the version in the recipe and"
                    " train again."
                )
        kept = kept_crossval(card)
        found = kept if kept.exists() else crossval
        predicted = _crossval_of(new.card, card, found)
        comparison = None
        if current:
            old = folder / current.in_use.file
            old_predicted = _crossval_of(load_checkpoint(old).card, old, kept_crossval(old))
            comparison = compare(predicted, old_predicted)
            if comparison.low > 0:
                raise WorseError(checkpoint, current.in_use.checkpoint, comparison)
        if found != kept:
            # In the order of `save`: where the JSON file exists, so does the .npz file.
            for suffix in (".npz", ".json"):
                with replacing(kept.with_suffix(suffix)) as copy:
                    copy.write_bytes(found.with_suffix(suffix).read_bytes())
        promotion = Promotion(
            file=card.name,
            checkpoint=checkpoint,
            sha256=new.sha256,
            promoted=now,
            why="not worse" if comparison else "first",
            replaced=current.in_use.sha256 if current else None,
            comparison=comparison,
        )
        _write(folder, promotion, current)
    return promotion


def go_back(card: Path, now: datetime) -> Promotion:
    """Bring a checkpoint back into use that was in use before, without a comparison.

    Raises
    ------
    PromotionError
        If it never was in use.
    CheckpointError
        If the checkpoint cannot be used.
    """
    folder, old = card.parent, load_checkpoint(card)
    with locked(folder / ".lock"):
        current = read_current(folder)
        before = current.of(old.sha256) if current else None
        if current is None or before is None:
            raise PromotionError(
                f"Checkpoint {card} never was in use: promote it without --back, with a comparison."
            )
        if current.in_use.sha256 == old.sha256:
            return current.in_use
        promotion = before.model_copy(
            update={
                "file": card.name,
                "promoted": now,
                "why": "back",
                "replaced": current.in_use.sha256,
                "comparison": None,
            }
        )
        _write(folder, promotion, current)
    return promotion


def kept_crossval(card: Path) -> Path:
    """Return the path of the cross-validation that is kept next to a card."""
    return card.with_name(f"{card.stem}-folds.json")


def compare(new: Predicted, old: Predicted) -> Comparison:
    """Compare two cross-validations at their common sites and days, by the protocol.

    Both are scored by the measurements of the new one, in case these were revised.

    Raises
    ------
    PromotionError
        If they have too few sites in common.
    """
    rules = protocol()
    _, days, old_days = np.intersect1d(new.days, old.days, return_indices=True)
    _, sites, old_sites = np.intersect1d(new.names, old.names, return_indices=True)
    truth = new.truth[np.ix_(sites, days)]
    predictions = (
        new.soil_moisture[np.ix_(sites, days)],
        old.soil_moisture[np.ix_(old_sites, old_days)],
    )
    common = np.isfinite([truth, *predictions]).all(axis=0)
    common &= common.sum(axis=1, keepdims=True) >= rules.scoring.min_days
    ubrmse = [
        site_metrics(values, np.where(common, truth, np.nan)).ubrmse for values in predictions
    ]
    found = paired_difference(*ubrmse, **rules.bootstrap.model_dump())
    if found.n_sites < MIN_SITES:
        raise PromotionError(
            f"The cross-validations of the new and the old checkpoint have {found.n_sites} sites in"
            f" common with {rules.scoring.min_days} days or more, and {MIN_SITES} are needed to"
            " compare them: cross-validate both recipes on the same stations."
        )
    return Comparison(
        n_sites=found.n_sites,
        new=median(ubrmse[0]),
        old=median(ubrmse[1]),
        difference=found.median,
        low=found.low,
        high=found.high,
        level=rules.bootstrap.level,
    )


def _crossval_of(card: Card, path: Path, crossval: Path) -> Predicted:
    """Read a cross-validation and check that it belongs to the checkpoint."""
    try:
        predicted, result = load(crossval)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PromotionError(
            f"The cross-validation {crossval} of checkpoint {path} cannot be read: create it and"
            f" its .npz with `msm crossval` and the recipe of {card.name} {card.version}."
        ) from error
    if not _belongs(card, result):
        raise PromotionError(
            f"{crossval} is not the cross-validation by folds of the recipe and the data that"
            f" checkpoint {path} was trained with: create it with `msm crossval`."
        )
    return predicted


def _belongs(card: Card, result: dict[str, Any]) -> bool:
    recipe = hashlib.sha256(card.training.recipe.encode()).hexdigest()
    return (
        result.get("split") == Split.folds
        and result.get("recipe_sha256") == recipe
        # The card contains the first digits of the files' hash.
        and str(result.get("data_sha256"))[:12] in card.training.data
    )


def _write(folder: Path, promotion: Promotion, current: Current | None) -> None:
    before = current.promotions if current else ()
    write_current(folder, Current(promotions=(promotion, *before)))
