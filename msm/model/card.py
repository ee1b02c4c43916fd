"""The card of a checkpoint: inputs, outputs, calibration and training data of its networks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from msm.frozen import FrozenModel
from msm.model.variables import FORCING_UNITS, RETRIEVAL_INPUTS, STATIC_UNITS


class _FiniteModel(FrozenModel):
    model_config = ConfigDict(allow_inf_nan=False)


class InputSpec(_FiniteModel):
    """One input: normalised as (transform(value) - mean) / std."""

    name: str
    """Canonical name."""
    units: str
    """Canonical units of the raw value."""
    transform: Literal["identity", "log1p"]
    """Function of the raw value before normalisation."""
    mean: float
    """Mean of the transformed training values."""
    std: float
    """Standard deviation of the transformed training values."""
    minimum: float
    """Smallest raw value of the training data."""
    maximum: float
    """Largest raw value of the training data."""
    optional: bool = False
    """Whether it may be missing (NaN). A missing value is 0 after normalisation and 1 in its mask,
    a separate channel, which is 0 elsewhere."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.std > 0:
            raise ValueError(f"input {self.name}: std must be positive, not {self.std}")
        if self.minimum > self.maximum:
            raise ValueError(f"input {self.name}: minimum lies above maximum")
        return self


class Retrievals(_FiniteModel):
    """Admissible ages of retrievals: constants of the checkpoint, not of the time of a run."""

    lag_days: int = Field(ge=1)
    """Lowest age, days."""
    window_days: int = Field(ge=1)
    """Number of admissible ages."""

    @property
    def ages(self) -> range:
        """Admissible ages, days, in ascending order."""
        return range(self.lag_days, self.lag_days + self.window_days)


class TargetSpec(_FiniteModel):
    """The predicted quantity and the physical bounds to which predictions are clamped."""

    name: Literal["soil_moisture"]
    units: Literal["m3 m-3"]
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("target: minimum must lie below maximum")
        return self


class Head(_FiniteModel):
    """The target as one kind of measurement: the head's first output times std plus mean.

    A head without a constant error has a second output: the logarithm of the error variance, in the
    normalised units of the first output.
    """

    name: Literal["ground", "satellite"]
    """Kind of measurement that it was fitted to."""
    mean: float
    """Mean of their values, m3 m-3."""
    std: float
    """Standard deviation of their values, m3 m-3."""
    error: float | None
    """Constant standard error, m3 m-3; None if the second output predicts it."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.std > 0:
            raise ValueError(f"head {self.name}: std must be positive, not {self.std}")
        if self.error is not None and not self.error > 0:
            raise ValueError(f"head {self.name}: error must be positive, not {self.error}")
        return self

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the head."""
        return 2 if self.error is None else 1


class LevelTerm(_FiniteModel):
    """Term of the level regression: the effect of one static attribute."""

    name: str
    """Name of a static input."""
    slope: float
    """Change of soil moisture per standard deviation of the attribute, m3 m-3."""


class Uncertainty(_FiniteModel):
    """Calibration factors on the published standard deviations."""

    aleatoric: float = 1.0
    """Factor on the predicted (aleatoric) standard deviation of the error."""
    epistemic: float = 1.0
    """Factor on the standard deviation between the members."""
    without_level: float = Field(default=1.0, exclude_if=lambda value: value == 1.0)
    """Further factor on the aleatoric part where a static attribute of the level is missing."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not (self.aleatoric > 0 and self.epistemic > 0 and self.without_level > 0):
            raise ValueError("uncertainty: all factors must be positive")
        return self


class Period(_FiniteModel):
    """An inclusive span of days."""

    first: date
    last: date


class MemberRecord(_FiniteModel):
    """Training of one member."""

    seed: int
    left_out_stations: tuple[str, ...]
    """In-situ stations with targets for other members only."""


class TrainingRecord(_FiniteModel):
    """Training data, by which users can judge where the weights are valid."""

    data: str
    """Description of the training data and its source."""
    cells: tuple[tuple[float, float], ...]
    """Latitude and longitude (degrees) of the gridded cells with targets."""
    stations: tuple[str, ...]
    """In-situ stations with targets."""
    periods: tuple[Period, ...]
    """Periods of the targets."""
    command: str
    """The command of the training."""
    recipe: str
    """The recipe as text (TOML)."""
    code_version: str
    """Version of msm of the training."""
    members: tuple[MemberRecord, ...] = ()
    """In the order of the weights; may be empty."""


class Card(_FiniteModel):
    """The complete description of a checkpoint, apart from its weights."""

    format: Literal["msm-checkpoint-2"]
    name: str
    version: str
    created: datetime
    licence: str
    forcing: tuple[InputSpec, ...]
    """Daily inputs, in the order of the network's channels."""
    statics: tuple[InputSpec, ...]
    """Static inputs, in the order of the network's channels after the daily ones."""
    retrievals: Retrievals | None = Field(default=None, exclude_if=lambda value: value is None)
    """Set if `RETRIEVAL_INPUTS` are among the daily inputs.

    Otherwise it is left out of the file, so that older checkpoints keep their identity.
    """
    target: TargetSpec
    heads: tuple[Head, ...]
    """In the order of the network's outputs."""
    published: str
    """Name of the head that the product uses."""
    members: int
    """Number of networks in the ensemble, of equal shape, with separate weights and states."""
    hidden_size: int
    """Units of each member."""
    level: tuple[LevelTerm, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Terms of the level regression, added where all its attributes are known. Left out of the file
    if empty, like `retrievals`."""
    uncertainty: Uncertainty = Uncertainty()
    weights_sha256: str
    """SHA-256 (hex) of the safetensors file."""
    training: TrainingRecord

    @model_validator(mode="after")
    def _known_inputs(self) -> Self:
        if all(spec.optional for spec in self.forcing):
            raise ValueError("forcing: at least one daily input is needed that is not optional")
        for kind, specs, known in (
            ("forcing", self.forcing, FORCING_UNITS),
            ("static", self.statics, STATIC_UNITS),
        ):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                raise ValueError(f"a {kind} input is named twice")
            for spec in specs:
                if spec.name not in known:
                    raise ValueError(f"{kind} input {spec.name!r} is unknown")
                if spec.units != known[spec.name]:
                    raise ValueError(
                        f"{kind} input {spec.name} is in {spec.units!r}, not {known[spec.name]!r}"
                    )
        return self

    @model_validator(mode="after")
    def _retrievals_stated(self) -> Self:
        used = [spec for spec in self.forcing if spec.name in RETRIEVAL_INPUTS]
        for spec in used:
            if not spec.optional:
                raise ValueError(
                    f"forcing input {spec.name} must be optional: there is not always a retrieval"
                )
        if used and self.retrievals is None:
            raise ValueError(f"retrievals: state lag and window, {used[0].name} is an input")
        if self.retrievals is not None and not used:
            raise ValueError("retrievals: leave them out, no forcing input is one of them")
        return self

    @model_validator(mode="after")
    def _known_heads(self) -> Self:
        names = [head.name for head in self.heads]
        if len(set(names)) != len(names):
            raise ValueError("a head is named twice")
        if self.published not in names:
            raise ValueError(
                f"the published head {self.published!r} is not one of the heads"
                f" ({', '.join(names) or 'none'})"
            )
        return self

    @model_validator(mode="after")
    def _known_level(self) -> Self:
        names = {spec.name for spec in self.statics}
        for term in self.level:
            if term.name not in names:
                raise ValueError(f"level: {term.name!r} is not one of the static inputs")
        return self

    @model_validator(mode="after")
    def _consistent_ensemble(self) -> Self:
        if self.members < 1:
            raise ValueError(f"at least one member is needed, not {self.members}")
        recorded = len(self.training.members)
        if recorded not in (0, self.members):
            raise ValueError(f"{recorded} of {self.members} members have a training record")
        return self

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """All inputs in the order of the network's channels."""
        return self.forcing + self.statics

    @property
    def n_channels(self) -> int:
        """Width of the network's input: all inputs, then a mask for each optional one of them."""
        return len(self.inputs) + sum(spec.optional for spec in self.inputs)

    @property
    def n_outputs(self) -> int:
        """Width of the network's output."""
        return sum(head.n_outputs for head in self.heads)

    @property
    def head(self) -> Head:
        """The head that the product uses."""
        return next(head for head in self.heads if head.name == self.published)

    @property
    def published_outputs(self) -> slice:
        """Position of the published head's one or two values in the network's outputs."""
        return self.outputs_of(self.head)

    def outputs_of(self, head: Head) -> slice:
        """Return the position of a head's one or two values in the network's outputs."""
        first = sum(before.n_outputs for before in self.heads[: self.heads.index(head)])
        return slice(first, first + head.n_outputs)

    @property
    def state_size(self) -> int:
        """Width of a cell's state: the concatenated states of the members."""
        return self.members * self.hidden_size
