"""The training commands of `msm`: train, crossval, promote and evaluate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from msm.training.split import Split

if TYPE_CHECKING:
    from msm.training.data.datasets import Data
    from msm.training.data.stations import Stations
    from msm.training.evaluation.crossval import Predicted

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a recipe of msm.")
]
DataOption = Annotated[
    Path, typer.Option(envvar="MSM_REAL_DATA", help="Folder with uscrn and conus_pixels.")
]
WorkOption = Annotated[Path, typer.Option(help="Folder of finished fits, which are not repeated.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Parallel fits; one per processor by default.")
]
PicturesOption = Annotated[
    Path | None,
    typer.Option(help="Folder for pictures: map of skill, time series, calibration curve."),
]
Stored = Annotated[
    bool,
    typer.Option(
        "--stored",
        help="Use the weather and statics that msm has stored instead of the sites' own.",
    ),
]
WORK = Path("build/training")


@app.command()
def train(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Argument(help="Card of the new checkpoint, NAME.json.")],
    data: DataOption,
    work: WorkOption = WORK,
    workers: Workers = None,
    stored: Stored = False,
) -> None:
    """Train a checkpoint on all data of a recipe; an interrupted run continues."""
    from msm.training.fitting.ensemble import train as run
    from msm.training.fitting.recipe import read_recipe

    checkpoint = run(read_recipe(Path(recipe)), _data(data, stored), out, work, workers)
    typer.echo(f"{out}  {checkpoint.sha256}")


@app.command()
def crossval(
    recipe: RecipeArgument,
    data: DataOption,
    split: Annotated[Split, typer.Option(help="What is held out.")] = Split.folds,
    work: WorkOption = WORK,
    workers: Workers = None,
    stored: Stored = False,
    pictures: PicturesOption = None,
    as_json: Json = False,
) -> None:
    """Fit a recipe without a part of the places or days, and score it there."""
    from msm.training.evaluation.crossval import crossval as run
    from msm.training.evaluation.crossval import save
    from msm.training.fitting.recipe import read_recipe

    written = read_recipe(Path(recipe))
    predicted, result = run(written, _data(data, stored), split, work / "fits", workers)
    path = save(predicted, result, work)
    title = f"{written.recipe.name}, {split}"
    drawn = _draw(predicted, result, title, pictures)
    if as_json:
        typer.echo(json.dumps(result))
        return
    _print_result(result, title)
    for written_file in (path, *drawn):
        typer.echo(str(written_file))


@app.command()
def promote(
    card: Annotated[Path, typer.Argument(help="Card in the folder of the service's checkpoints.")],
    work: Annotated[
        Path, typer.Option(help="Folder where msm crossval wrote the predictions.")
    ] = WORK,
    back: Annotated[
        bool, typer.Option("--back", help="Go back to a former checkpoint, without a comparison.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a checkpoint into use, unless it is worse than the one in use."""
    from msm.model.checkpoint import load_checkpoint
    from msm.training.evaluation.promote import go_back
    from msm.training.evaluation.promote import promote as run

    now = datetime.now(UTC)
    if back:
        promotion = go_back(card, now)
    else:
        crossval = work / f"{load_checkpoint(card).card.name}-folds.json"
        promotion = run(card, crossval, now)
    if as_json:
        typer.echo(promotion.model_dump_json())
        return
    typer.echo(f"{card}  {promotion.sha256}")
    typer.echo(f"in use in {card.parent} since {promotion.promoted:%Y-%m-%d %H:%MZ}")
    if found := promotion.comparison:
        typer.echo(
            f"ubRMSE at {found.n_sites} unseen sites {found.new:.4f} m3 m-3, before"
            f" {found.old:.4f}: {found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        )


@app.command()
def evaluate(
    sites: Annotated[Path, typer.Option(help="Folder with daily.parquet and stations.csv.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Card, or folder with the one in use; the shipped one by default."),
    ] = None,
    stored: Stored = False,
    pictures: PicturesOption = None,
    as_json: Json = False,
) -> None:
    """Score a checkpoint at sites; sites of its training data give no headline."""
    from msm.model.checkpoint import load_checkpoint
    from msm.model.current import card_in_use
    from msm.training.data.stations import read_stations
    from msm.training.evaluation.evaluate import evaluate as run

    loaded = load_checkpoint(card_in_use(checkpoint))
    stations, _ = read_stations(sites)
    unseen, result = run(loaded, _with_stored_inputs(stations) if stored else stations)
    title = f"{loaded.card.name} {loaded.card.version}"
    drawn = _draw(unseen, result, title, pictures)
    if as_json:
        typer.echo(json.dumps(result))
        return
    _print_result(result, title)
    for picture in drawn:
        typer.echo(str(picture))
    if pictures and not drawn:
        typer.echo("No picture: no unseen site has enough days to be scored.")
    if learned := result["seen"]["n_sites"]:
        typer.echo(
            f"{learned} more sites are in the training data: their metrics (--json) do not show the"
            " accuracy elsewhere."
        )


def _data(folder: Path, stored: bool) -> Data:
    from msm.training.data.datasets import read_data

    data = read_data(folder)
    return replace(data, ground=_with_stored_inputs(data.ground)) if stored else data


def _with_stored_inputs(stations: Stations) -> Stations:
    """Return stations with the inputs stored in the work folder, on all its days."""
    from msm.pipeline.run import open_run
    from msm.settings import read_settings
    from msm.training.data.product_weather import stored_days, stored_samples

    with open_run(read_settings()) as run:
        days = stored_days(run.workspace.forcing_folder)
        return stored_samples(
            stations, run.domain, run.workspace.forcing_folder, run.workspace.statics, *days
        )


def _draw(
    predicted: Predicted, result: dict[str, Any], title: str, folder: Path | None
) -> list[Path]:
    """Draw the pictures if a folder is given."""
    from msm.training.evaluation.pictures import draw

    return draw(predicted, result, title, folder) if folder else []


def _print_result(result: dict[str, Any], title: str) -> None:
    from msm.training.protocol import below_headline

    typer.echo(f"{title}: {result['n_sites']} unseen sites")
    if not result["n_sites"]:
        return
    if note := below_headline(result["n_sites"]):
        typer.echo(note)
    table = Table("figure", "median over sites")
    for name, value in result["median"].items():
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    table.add_row("inside the 90 % interval, all days", f"{result['coverage90']:.3f}")
    table.add_row("sites with 80 to 97 % inside", f"{result['share_sites_80_97']:.2f}")
    Console().print(table)
