"""The training flow: a checkpoint from a recipe, its cross-validation, and its promotion.

As in the daily flow, correctness does not rest on Prefect's state. Every fit is kept under the hash
of all that it depends on, so that a run which was killed goes on with what is left when the flow is
run again. Between tasks go paths and small records, and Prefect caches nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from msm.errors import MsmError
from msm.model.checkpoint import CheckpointError, load_checkpoint
from msm.model.current import Comparison, Promotion, read_current
from msm.training.data.datasets import STATIONS, Data, read_data
from msm.training.data.samples import SamplesError
from msm.training.data.stations import RULES, read_stations
from msm.training.evaluation import crossval
from msm.training.evaluation.promote import WorseError, kept_crossval
from msm.training.evaluation.promote import promote as bring_into_use
from msm.training.fitting import ensemble
from msm.training.fitting.recipe import read_recipe
from msm.training.split import Split


@task(task_run_name="refresh {data}", cache_policy=NO_CACHE)
def refresh(data: Path, sha256: str | None) -> str:
    """Read the training data, check them, report what was refused, and return their hash."""
    found = _read(data, sha256)
    _, report = read_stations(data / STATIONS)
    rows = "\n".join(f"| {RULES[rule]} | {count} |" for rule, count in report.items())
    days = found.ground.days
    create_markdown_artifact(
        f"# Training data\n\n{found.ground.n_cell} stations, {days[0]}..{days[-1]}; "
        f"{found.satellite.n_cell} satellite cells. SHA-256 of the files: `{found.sha256}`\n\n"
        f"| what the quality control found | number |\n|---|---|\n{rows}\n",
        key="msm-training-data",
    )
    return found.sha256


@task(task_run_name="fit {recipe}", cache_policy=NO_CACHE)
def fit(
    recipe: str, data: Path, sha256: str, checkpoints: Path, work: Path, workers: int | None
) -> Path:
    """Train the checkpoint on all places, where that was not done before; return its card."""
    written, found = read_recipe(Path(recipe)), _read(data, sha256)
    card = checkpoints / f"{written.recipe.name}-{written.recipe.version}.json"
    if not card.exists():
        ensemble.train(written, found, card, work, workers)
        return card
    planned = ensemble.plan(written, found.ground, found.satellite, found.sha256)
    if load_checkpoint(card).card.training != planned.card.training:
        raise CheckpointError(
            f"checkpoint {card} was trained with another recipe, other data or another version of"
            " msm, and is not overwritten: raise the version in the recipe"
        )
    return card


@task(task_run_name="cross-validate {recipe}", cache_policy=NO_CACHE)
def cross_validate(recipe: str, data: Path, sha256: str, work: Path, workers: int | None) -> Path:
    """Predict each fifth of the stations from the others; return where the predictions are."""
    predicted, result = crossval.crossval(
        read_recipe(Path(recipe)), _read(data, sha256), Split.folds, work / "fits", workers
    )
    return crossval.save(predicted, result, work)


@task(task_run_name="promote {card}", cache_policy=NO_CACHE)
def promote(card: Path, predictions: Path) -> Promotion:
    """Bring the checkpoint into use if it is not worse, and leave both beside each other."""
    before = read_current(card.parent)
    old = card.parent / before.in_use.file if before else None
    try:
        promotion = bring_into_use(card, predictions, datetime.now(UTC))
    except WorseError as error:
        _report(card, predictions, old, f"{error}.", error.comparison)
        raise
    how = {"first": "It is the first one.", "not worse": "It is not worse.", "back": ""}
    decision = f"{promotion.checkpoint} is in use. {how[promotion.why]}"
    _report(card, predictions, old, decision, promotion.comparison)
    return promotion


@flow(name="msm-training", flow_run_name="train {recipe}", log_prints=False)
def training(
    data: Path,
    checkpoints: Path,
    work: Path,
    recipe: str = "multiscale",
    data_sha256: str | None = None,
    workers: int | None = None,
) -> Promotion:
    """Train a checkpoint, cross-validate it, and bring it into use if it is not worse.

    Parameters
    ----------
    data
        Folder with `uscrn` and `conus_pixels`.
    checkpoints
        Folder of the checkpoints; maps are made with the one in use where `MSM_CHECKPOINT` names
        it. The new one is called after the name and the version of its recipe.
    work
        Folder of finished fits and of the predictions.
    recipe
        A TOML file, or the name of one that msm has.
    data_sha256
        What the hash of the data must be, where it is to be checked.
    workers
        Fits side by side, one a processor by default.

    Returns
    -------
    Promotion
        How the checkpoint came into use.
    """
    for folder in (data, checkpoints, work):
        if not folder.is_absolute():
            raise MsmError(
                f"Folder {folder} is not absolute, and a worker runs in a folder of its own: give"
                " the whole path."
            )
    found = refresh(data, data_sha256)
    card = fit(recipe, data, found, checkpoints, work, workers)
    predictions = cross_validate(recipe, data, found, work, workers)
    return promote(card, predictions)


def _read(data: Path, sha256: str | None) -> Data:
    """Read the data, which are to be what they were."""
    found = read_data(data)
    if sha256 is not None and found.sha256 != sha256:
        raise SamplesError(
            f"the training data in {data} have the SHA-256 {found.sha256[:12]}, not"
            f" {sha256[:12]}: bring back the files that were meant, or begin again with these"
        )
    return found


def _report(
    card: Path, predictions: Path, old: Path | None, decision: str, comparison: Comparison | None
) -> None:
    """Leave the decision and the medians of the new and the old checkpoint as an artifact."""
    columns = {card.stem: crossval.load(predictions)[1]["median"]}
    if old and old != card:
        columns[old.stem] = crossval.load(kept_crossval(old))[1]["median"]
    rows = "\n".join(
        f"| {name} | " + " | ".join(_shown(median[name]) for median in columns.values()) + " |"
        for name in columns[card.stem]
    )
    text = (
        f"# {card.stem}\n\n{decision}\n\n| median over the stations that each has not learned from"
        f" | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n{rows}\n"
    )
    if comparison:
        text += (
            f"\nAt the same {comparison.n_sites} stations and days, ubRMSE (new - old): "
            f"{comparison.difference:+.4f} m3 m-3 ({comparison.low:+.4f} to "
            f"{comparison.high:+.4f}, {comparison.level:.0%}).\n"
        )
    create_markdown_artifact(text, key="msm-training-decision", description=decision)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
