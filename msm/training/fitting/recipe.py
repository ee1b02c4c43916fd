"""Recipes: everything that determines a fit, apart from the data and the code."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from msm.errors import MsmError
from msm.frozen import FrozenModel

Measurement = Literal["ground", "satellite"]

FOLDER = Path(__file__).parent / "recipes"
"""Folder of the recipes that are part of msm."""


class RecipeError(MsmError):
    """A recipe cannot be used."""


class StreamRecipe(FrozenModel):
    """What one kind of measurement contributes to a fit."""

    first: date
    last: date
    """First and last day of the targets."""
    windows: int = Field(gt=0)
    """Number of windows in a step."""
    share: float = Field(gt=0, le=1)
    """Weight of its loss."""
    level_penalty: float | None = Field(default=None, gt=0)
    """Weight of the mean square of the places' levels; places have no level if not given."""
    auxiliary: tuple[str, ...] = ()
    """Further measurements that the network predicts during the fit."""
    auxiliary_share: float = Field(default=0.3, gt=0, le=1)
    """Weight of the auxiliary loss relative to the loss of the target."""
    until: float = Field(default=1.0, gt=0, le=1)
    """Share of the steps that use the stream, from the first on; less than 1 is pretraining."""


class Recipe(FrozenModel):
    """A fit, as a TOML file states it."""

    name: str
    version: str
    licence: str
    forcing: tuple[str, ...] = Field(min_length=1)
    statics: tuple[str, ...]
    optional: tuple[str, ...] = ()
    """Inputs of `forcing` and `statics` that may be missing."""
    log1p: tuple[str, ...] = ()
    """Inputs that are transformed by log(1 + x) before they are normalised."""
    published: Measurement
    """Kind of measurement that the published soil moisture corresponds to."""
    ground: StreamRecipe | None = None
    satellite: StreamRecipe | None = None
    retrieval_lag_days: int | None = Field(default=None, gt=0)
    """Minimum age of the satellite retrievals among the inputs; no retrievals if not given."""
    hidden_size: int = Field(gt=0)
    members: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    source_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a window has no optional forcing, as when a source is late, and, drawn
    independently, that it has no optional statics, as where a map has gaps."""
    steps: int = Field(gt=0)
    window_days: int = Field(gt=0)
    warm_up_days: int = Field(ge=0)
    """First days of a window, which spin up the state and are not scored."""
    learning_rate: float = Field(gt=0)
    """Highest rate; it rises over the first twentieth of the steps and falls as a cosine."""
    weight_decay: float = Field(ge=0)
    seed: int

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        inputs = self.forcing + self.statics
        for kind in ("optional", "log1p"):
            for name in getattr(self, kind):
                if name not in inputs:
                    raise ValueError(f"{kind} {name!r} is not an input")
        if self.warm_up_days >= self.window_days:
            raise ValueError("warm_up_days must be fewer than window_days")
        if getattr(self, self.published) is None:
            raise ValueError(f"published is {self.published!r}, but there is no [{self.published}]")
        if all(stream.until < 1 for stream in self.streams.values()):
            raise ValueError("until is less than 1 for each stream, so the last steps have none")
        return self

    @property
    def streams(self) -> dict[Measurement, StreamRecipe]:
        """The streams of the recipe, in the order of the heads."""
        found: dict[Measurement, StreamRecipe | None] = {
            "ground": self.ground,
            "satellite": self.satellite,
        }
        return {name: stream for name, stream in found.items() if stream is not None}


@dataclass(frozen=True)
class WrittenRecipe:
    """A recipe and its text."""

    recipe: Recipe
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_recipe(path: Path) -> WrittenRecipe:
    """Read a recipe.

    Parameters
    ----------
    path
        TOML file with the fields of `Recipe`, or the name of a recipe of msm, without a suffix.

    Raises
    ------
    RecipeError
        If it cannot be read, or a field is missing, unknown or out of its range.
    """
    path = Path(path)
    if not path.suffix and not path.exists():
        path = FOLDER / f"{path}.toml"
    try:
        text = path.read_text()
        return WrittenRecipe(Recipe.model_validate(tomllib.loads(text)), text)
    except OSError as error:
        shipped = ", ".join(sorted(found.stem for found in FOLDER.glob("*.toml")))
        raise RecipeError(
            f"Recipe {path} cannot be read ({error.strerror}): give a TOML file or one of"
            f" {shipped}."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeError(
            f"Recipe {path}{', ' + where if where else ''}: {first['msg']}."
        ) from error
