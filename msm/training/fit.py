"""Fit a checkpoint to the satellite cells, as a recipe says.

``python -m msm.training.fit RECIPE DATA OUT``
"""

import argparse
import math
import tomllib
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from msm.errors import MsmError
from msm.model.card import (
    FORCING_UNITS,
    STATIC_UNITS,
    Card,
    Head,
    InputSpec,
    Period,
    TargetSpec,
    TrainingRecord,
)
from msm.model.checkpoint import Checkpoint, make_checkpoint, refuse_existing, save_checkpoint
from msm.model.inference import step
from msm.model.network import SoilMoistureLSTM, weights_of
from msm.model.state import State
from msm.training.metrics import site_metrics
from msm.training.pixels import DESCRIPTION, Pixels, read_pixels

PREDICTION_RANGE = (0.0, 0.6)
"""Physical bounds of the output, m3 m-3: dry, and a pore space that topsoil rarely exceeds."""


class RecipeError(MsmError):
    """A recipe cannot be used."""


class Recipe(BaseModel):
    """Everything that a fit depends on besides the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    licence: str
    forcing: tuple[str, ...]
    statics: tuple[str, ...]
    log1p: tuple[str, ...]
    """Inputs that are transformed by log(1 + x) before they are normalised."""
    first: date
    last: date
    """Days that may give a target."""
    hidden_size: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    steps: int = Field(gt=0)
    cells_per_step: int = Field(gt=0)
    window_days: int = Field(gt=0)
    """Days between two steps of a cell: gradients reach back to the first of them."""
    cold_starts: float = Field(ge=0, lt=1)
    """Chance that a cell's state is set back to zero after a window."""
    state_penalty: float = Field(ge=0)
    """Weight of the mean square of the cell state: half precision holds small numbers best, and a
    state that grows for years would not be settled after one year of spin-up."""
    learning_rate: float = Field(gt=0)
    """Highest rate; it rises over the first twentieth of the steps and falls as a cosine."""
    weight_decay: float = Field(ge=0)
    folds: int = Field(gt=1)
    """One cell in so many is held out to estimate the error."""
    seed: int


def train(recipe_path: Path, data: Path, out: Path) -> Checkpoint:
    """Fit with a spread fold of cells held out, measure the error there, refit on all, and save.

    Parameters
    ----------
    recipe_path : Path
        TOML file with the fields of `Recipe`.
    data : Path
        Folder of real data.
    out : Path
        Card of the new checkpoint, ``<name>.json``.

    Raises
    ------
    RecipeError
        If the recipe cannot be read.
    CheckpointError
        If `out` exists.
    """
    refuse_existing(out)
    recipe, text = _read_recipe(recipe_path)
    pixels = read_pixels(data).between(recipe.first, recipe.last)
    held_out = np.arange(pixels.n_cell) % recipe.folds == 0
    trial = fit(recipe, text, pixels.at(~held_out), error=1.0)
    rmse = _held_out_rmse(trial, pixels.at(held_out))
    checkpoint = fit(recipe, text, pixels, error=rmse)
    save_checkpoint(out, checkpoint)
    return checkpoint


def fit(recipe: Recipe, recipe_text: str, pixels: Pixels, error: float) -> Checkpoint:
    """Fit the network to all cells and days of `pixels`; the same seed gives the same weights.

    The fit carries the state as the service does. Each cell has its own day and state; a step takes
    cells at random, runs each over its next window and leaves it there with the state it reached.
    The last day is followed by the first, so the state grows years old, and a network that merely
    counts the days since its cold start does not get away with it. A cell's first window only
    fills its state and is not scored.

    Parameters
    ----------
    recipe : Recipe
    recipe_text : str
        The recipe as it was written, for the card.
    pixels : Pixels
    error : float
        Standard error for the card, m3 m-3: the root-mean-square error at held-out cells.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    card = _card(recipe, recipe_text, pixels, error)
    x = torch.from_numpy(normalised(card, pixels))
    y = torch.from_numpy((pixels.target - card.head.mean) / card.head.std).float()
    network = SoilMoistureLSTM(
        card.n_channels, card.hidden_size, card.n_outputs, recipe.dropout
    ).train()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: _rate(n / recipe.steps))
    window = np.arange(recipe.window_days)
    n_cell, n_day = y.shape
    batch = min(recipe.cells_per_step, n_cell)
    next_day = rng.integers(n_day, size=n_cell)
    filled = torch.zeros(n_cell, dtype=torch.bool)
    h, c = torch.zeros(2, n_cell, recipe.hidden_size)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("loss {task.fields[loss]:.3f}"), console=Console(stderr=True)
    ) as progress:
        bar = progress.add_task(f"fit {n_cell} cells", total=recipe.steps, loss=math.nan)
        for _ in range(recipe.steps):
            cells = rng.choice(n_cell, batch, replace=False)
            days = (next_day[cells, None] + window) % n_day
            predicted, carried = network(x[cells[:, None], days], (h[cells], c[cells]))
            scored = filled[cells]
            loss = _loss(predicted[scored].squeeze(-1), y[cells[:, None], days][scored])
            loss = loss + recipe.state_penalty * carried[1].square().mean()
            again = torch.from_numpy(rng.random(batch) < recipe.cold_starts)
            for store, part in zip((h, c), carried, strict=True):
                store[cells] = part.detach() * ~again[:, None]
            filled[cells] = ~again
            next_day[cells] += window.size
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            progress.update(bar, advance=1, loss=loss.item())
    return make_checkpoint(card, weights_of([network]))


def predict(
    checkpoint: Checkpoint, pixels: Pixels, state: State | None = None
) -> tuple[npt.NDArray[np.float32], State]:
    """Run the days of `pixels` as the daily service does, one step a day with a carried state.

    Parameters
    ----------
    checkpoint : Checkpoint
    pixels : Pixels
    state : State, optional
        State after the day before; a cold start if not given.

    Returns
    -------
    soil_moisture : ndarray of float32, shape (n_cell, n_day)
    State
        State after the last day.
    """
    card = checkpoint.card
    state = state or State.zeros(pixels.n_cell, card.state_size)
    forcing = np.stack([pixels.forcing[spec.name] for spec in card.forcing], axis=-1)
    statics = _statics(card, pixels)
    soil_moisture = np.empty_like(pixels.target)
    for day in range(pixels.days.size):
        prediction, state = step(checkpoint, forcing[:, day], statics, state)
        soil_moisture[:, day] = prediction.soil_moisture
    return soil_moisture, state


def _loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the days that have a target; zero where none has."""
    there = torch.isfinite(target)
    difference = torch.where(there, predicted - target.nan_to_num(), 0.0)
    return difference.square().sum() / there.sum().clamp(min=1)


def _rate(progress: float) -> float:
    """Share of the highest learning rate at a share of the steps done."""
    return min(1.0, 0.05 + 20 * progress) * 0.5 * (1 + math.cos(math.pi * progress))


def _held_out_rmse(checkpoint: Checkpoint, pixels: Pixels) -> float:
    """Root-mean-square error over the targets of held-out cells, after a year of spin-up.

    With one year of data the spin-up runs over the days that are scored, as in the fit.
    """
    _, state = predict(checkpoint, pixels)
    predicted, _ = predict(checkpoint, pixels, state)
    medians = site_metrics(predicted, pixels.target).medians()
    rmse = float(np.sqrt(np.nanmean((predicted - pixels.target) ** 2)))
    figures = ", ".join(f"{name} {value:.4f}" for name, value in medians.items())
    Console(stderr=True).print(
        f"{pixels.n_cell} held-out cells: RMSE {rmse:.4f} m3 m-3 over all; medians {figures}"
    )
    return rmse


def _card(recipe: Recipe, recipe_text: str, pixels: Pixels, error: float) -> Card:
    target = pixels.target[np.isfinite(pixels.target)].astype(np.float64)

    def specs(
        names: tuple[str, ...], units: dict[str, str], values: dict[str, npt.NDArray[np.float32]]
    ) -> tuple[InputSpec, ...]:
        return tuple(
            _spec(name, units.get(name, ""), name in recipe.log1p, values[name]) for name in names
        )

    return Card(
        format="msm-checkpoint-2",
        name=recipe.name,
        version=recipe.version,
        created=datetime.now(UTC).replace(microsecond=0),
        licence=recipe.licence,
        forcing=specs(recipe.forcing, FORCING_UNITS, pixels.forcing),
        statics=specs(recipe.statics, STATIC_UNITS, pixels.statics),
        target=TargetSpec(
            name="soil_moisture",
            units="m3 m-3",
            minimum=PREDICTION_RANGE[0],
            maximum=PREDICTION_RANGE[1],
        ),
        heads=(
            Head(
                name="satellite",
                mean=float(target.mean()),
                std=float(target.std()),
                error=error,
            ),
        ),
        published="satellite",
        members=1,
        hidden_size=recipe.hidden_size,
        weights_sha256="",
        training=TrainingRecord(
            data=DESCRIPTION,
            cells=tuple(
                (round(float(lat), 4), round(float(lon), 4))
                for lat, lon in zip(pixels.lat, pixels.lon, strict=True)
            ),
            stations=(),
            periods=(Period(first=recipe.first, last=recipe.last),),
            command="python -m msm.training.fit RECIPE DATA OUT",
            recipe=recipe_text,
            code_version=_code_version(),
        ),
    )


def _spec(name: str, units: str, log: bool, values: npt.NDArray[np.float32]) -> InputSpec:
    transformed = (np.log1p(values) if log else values).astype(np.float64)
    return InputSpec(
        name=name,
        units=units,
        transform="log1p" if log else "identity",
        mean=float(transformed.mean()),
        std=float(transformed.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def normalised(card: Card, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the network's inputs, shape (n_cell, n_day, n_input)."""
    shape = pixels.target.shape
    statics = {name: np.broadcast_to(v[:, None], shape) for name, v in pixels.statics.items()}
    channels = []
    for spec in card.inputs:
        values = (pixels.forcing | statics)[spec.name]
        values = np.log1p(values) if spec.transform == "log1p" else values
        channels.append((values - spec.mean) / spec.std)
    return np.stack(channels, axis=-1).astype(np.float32)


def _statics(card: Card, pixels: Pixels) -> npt.NDArray[np.float32]:
    columns = [pixels.statics[spec.name] for spec in card.statics]
    return np.stack(columns, axis=-1) if columns else np.empty((pixels.n_cell, 0), np.float32)


def _code_version() -> str:
    try:
        return version("msm")
    except PackageNotFoundError:
        return "not installed"


def _read_recipe(path: Path) -> tuple[Recipe, str]:
    try:
        text = Path(path).read_text()
        return Recipe.model_validate(tomllib.loads(text)), text
    except OSError as error:
        raise RecipeError(f"recipe {path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"recipe {path}, {where}: {first['msg']}") from error


def main() -> None:
    """Run `train` from the command line."""
    parser = argparse.ArgumentParser(prog="python -m msm.training.fit", description=train.__doc__)
    parser.add_argument("recipe", type=Path, help="TOML recipe")
    parser.add_argument("data", type=Path, help="folder of real data")
    parser.add_argument("out", type=Path, help="card of the new checkpoint, <name>.json")
    arguments = parser.parse_args()
    train(arguments.recipe, arguments.data, arguments.out)


if __name__ == "__main__":
    main()
