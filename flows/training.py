"""The training flow: train a checkpoint, cross-validate its recipe, and promote it.

As in the daily flow, correctness does not depend on Prefect's state. Every fit is kept under the
hash of all that it depends on, so a new run of the flow continues after a killed one. Tasks
exchange paths and small records, and Prefect caches nothing.
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
    """Read and check the training data, report the quality control, and return their hash."""
    found = _read(data, sha256)
    _, report = read_stations(data / STATIONS)
    rows = "\n".join(f"| {RULES[rule]} | {count} |" for rule, count in report.items())
    days = found.ground.days
    create_markdown_artifact(
        f"# Training data\n\n{found.ground.n_cell} stations, {days[0]}..{days[-1]}; "
        f"{found.satellite.n_cell} satellite cells. SHA-256 of the files: `{found.sha256}`\n\n"
        f"| rule of the quality control | count |\n|---|---|\n{rows}\n",
        key="msm-training-data",
    )
    return found.sha256


@task(task_run_name="fit {recipe}", cache_policy=NO_CACHE)
def fit(
    recipe: str, data: Path, sha256: str, checkpoints: Path, work: Path, workers: int | None
) -> Path:
    """Train the checkpoint on all places if it does not exist yet; return its card."""
    written, found = read_recipe(Path(recipe)), _read(data, sha256)
    card = checkpoints / f"{written.recipe.name}-{written.recipe.version}.json"
    if not card.exists():
        ensemble.train(written, found, card, work, workers)
        return card
    planned = ensemble.plan(written, found.ground, found.satellite, found.sha256)
    if load_checkpoint(card).card.training != planned.card.training:
        raise CheckpointError(
            f"Checkpoint {card} was trained with another recipe, other data or another version of"
            " msm, and is not overwritten: raise the version in the recipe."
        )
    return card


@task(task_run_name="cross-validate {recipe}", cache_policy=NO_CACHE)
def cross_validate(recipe: str, data: Path, sha256: str, work: Path, workers: int | None) -> Path:
    """Cross-validate the recipe by folds of the stations; return the path of the result."""
    predicted, result = crossval.crossval(
        read_recipe(Path(recipe)), _read(data, sha256), Split.folds, work / "fits", workers
    )
    return crossval.save(predicted, result, work)


@task(task_run_name="promote {card}", cache_policy=NO_CACHE)
def promote(card: Path, predictions: Path) -> Promotion:
    """Bring the checkpoint into use if it is not worse, and report the comparison."""
    before = read_current(card.parent)
    old = card.parent / before.in_use.file if before else None
    try:
        promotion = bring_into_use(card, predictions, datetime.now(UTC))
    except WorseError as error:
        _report(card, predictions, old, str(error), error.comparison)
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
        Folder of the checkpoints, as in `MSM_CHECKPOINT`. The new one is named after the name and
        the version of its recipe.
    work
        Folder of finished fits and of the predictions.
    recipe
        A TOML file, or the name of a recipe of msm.
    data_sha256
        Expected SHA-256 of the data; not checked if not given.
    workers
        Parallel fits; one per processor by default.

    Returns
    -------
    Promotion
        The record of the promotion.
    """
    for folder in (data, checkpoints, work):
        if not folder.is_absolute():
            raise MsmError(
                f"Folder {folder} is not absolute, and a worker runs in a folder of its own: give"
                " the absolute path."
            )
    found = refresh(data, data_sha256)
    card = fit(recipe, data, found, checkpoints, work, workers)
    predictions = cross_validate(recipe, data, found, work, workers)
    return promote(card, predictions)


def _read(data: Path, sha256: str | None) -> Data:
    """Read the data and check their hash."""
    found = read_data(data)
    if sha256 is not None and found.sha256 != sha256:
        raise SamplesError(
            f"The training data in {data} have the SHA-256 {found.sha256[:12]}, not"
            f" {sha256[:12]}: restore the expected files, or run the flow again with these."
        )
    return found


def _report(
    card: Path, predictions: Path, old: Path | None, decision: str, comparison: Comparison | None
) -> None:
    """Write the decision and the medians of the new and the old checkpoint as an artifact."""
    columns = {card.stem: crossval.load(predictions)[1]["median"]}
    if old and old != card:
        columns[old.stem] = crossval.load(kept_crossval(old))[1]["median"]
    rows = "\n".join(
        f"| {name} | " + " | ".join(_shown(median[name]) for median in columns.values()) + " |"
        for name in columns[card.stem]
    )
    text = (
        f"# {card.stem}\n\n{decision}\n\n| median over the held-out stations"
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
