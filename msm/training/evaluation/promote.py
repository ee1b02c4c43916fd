"""Promote a checkpoint: maps are made with it from then on, unless it is worse than the one before.

All checkpoints of a service lie in one folder and are never overwritten; `msm.model.current` tells
which is in use. Beside each that ever was lies the cross-validation of its recipe, so that the next
one can be compared with it at places that neither has learned from.
"""

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
"""Sites of a comparison: the interval of a median over fewer is too rough to decide by."""


class PromotionError(MsmError):
    """A checkpoint does not come into use."""


class WorseError(PromotionError):
    """It is worse than the one in use.

    Parameters
    ----------
    new, old : str
        Name and version of the checkpoint and of the one in use.
    comparison : Comparison
    """

    def __init__(self, new: str, old: str, comparison: Comparison) -> None:
        super().__init__(new, old, comparison)
        self.new, self.old, self.comparison = new, old, comparison

    def __str__(self) -> str:
        found = self.comparison
        return (
            f"checkpoint {self.new} is worse than {self.old}, which stays in use: its"
            f" {found.figure} at {found.n_sites} stations that neither had learned from is"
            f" {found.new:.4f} against {found.old:.4f} m3 m-3, higher by {found.difference:.4f}"
            f" ({found.low:.4f} to {found.high:.4f}, {found.level:.0%}); improve the recipe, raise"
            " its version and train again"
        )


def promote(card: Path, crossval: Path, now: datetime) -> Promotion:
    """Bring a checkpoint into use if it is not worse than the one of its folder that is.

    It is worse where the interval of the median difference of ubRMSE lies above 0 as a whole. What
    is the first in its folder is compared with nothing; what is in use already stays so.

    Parameters
    ----------
    card : Path
        In the folder of the checkpoints.
    crossval : Path
        What `crossval.save` kept of its recipe, split by folds. A copy goes beside
        the card; where there is one already, that is taken instead.
    now : datetime

    Raises
    ------
    WorseError
        If it is worse.
    PromotionError
        If the cross-validation is missing or not that of the checkpoint's recipe and data, or has
        too few places in common with the one in use; or if another checkpoint of its name and
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
                    f"another checkpoint called {checkpoint} was in use ({before.file}), and maps"
                    " of the two could not be told apart: raise the version in the recipe and"
                    " train again"
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
            # As `save` does it: where the text is, the numbers are.
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
    """Bring a checkpoint into use that was before, whatever the figures say.

    Raises
    ------
    PromotionError
        If it never was.
    CheckpointError
        If it cannot be used.
    """
    folder, old = card.parent, load_checkpoint(card)
    with locked(folder / ".lock"):
        current = read_current(folder)
        before = current.of(old.sha256) if current else None
        if current is None or before is None:
            raise PromotionError(
                f"checkpoint {card} never was in use: promote it without --back, which compares it"
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
    """Path of the cross-validation that is kept beside a card."""
    return card.with_name(f"{card.stem}-folds.json")


def compare(new: Predicted, old: Predicted) -> Comparison:
    """Compare two cross-validations at the same sites and days, by the protocol.

    Where the measurements were revised in between, both are held against the new ones.

    Raises
    ------
    PromotionError
        If they have too few sites in common.
    """
    rules = protocol()
    _, days, old_days = np.intersect1d(new.days, old.days, return_indices=True)
    _, sites, old_sites = np.intersect1d(new.names, old.names, return_indices=True)
    truth = new.truth[np.ix_(sites, days)]
    said = new.soil_moisture[np.ix_(sites, days)], old.soil_moisture[np.ix_(old_sites, old_days)]
    there = np.isfinite([truth, *said]).all(axis=0)
    there &= there.sum(axis=1, keepdims=True) >= rules.scoring.min_days
    figures = [site_metrics(values, np.where(there, truth, np.nan)).ubrmse for values in said]
    found = paired_difference(*figures, **rules.bootstrap.model_dump())
    if found.n_sites < MIN_SITES:
        raise PromotionError(
            f"the cross-validations of the new and the old checkpoint have {found.n_sites} sites in"
            f" common with {rules.scoring.min_days} days or more, and {MIN_SITES} are needed to"
            " compare them: cross-validate both recipes on the same stations"
        )
    return Comparison(
        n_sites=found.n_sites,
        new=median(figures[0]),
        old=median(figures[1]),
        difference=found.median,
        low=found.low,
        high=found.high,
        level=rules.bootstrap.level,
    )


def _crossval_of(card: Card, path: Path, crossval: Path) -> Predicted:
    """Read a cross-validation, which is to be that of a checkpoint."""
    try:
        predicted, result = load(crossval)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PromotionError(
            f"the cross-validation {crossval} of checkpoint {path} cannot be read: make it and its"
            f" .npz with `msm crossval` and the recipe of {card.name} {card.version}"
        ) from error
    if not _belongs(card, result):
        raise PromotionError(
            f"{crossval} is not the cross-validation by folds of the recipe and the data that"
            f" checkpoint {path} was trained with: make it with `msm crossval`"
        )
    return predicted


def _belongs(card: Card, result: dict[str, Any]) -> bool:
    recipe = hashlib.sha256(card.training.recipe.encode()).hexdigest()
    return (
        result.get("split") == Split.folds
        and result.get("recipe_sha256") == recipe
        # The card names the files by the beginning of their hash.
        and str(result.get("data_sha256"))[:12] in card.training.data
    )


def _write(folder: Path, promotion: Promotion, current: Current | None) -> None:
    before = current.promotions if current else ()
    write_current(folder, Current(promotions=(promotion, *before)))
