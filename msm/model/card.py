"""The card of a checkpoint: what its networks take and give, and what they learned from."""

from datetime import date, datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORCING_UNITS = {
    "precipitation": "mm day-1",
    "air_temperature": "K",
    "specific_humidity": "kg kg-1",
    "shortwave_down": "W m-2",
    "longwave_down": "W m-2",
    "surface_pressure": "Pa",
    "wind_speed": "m s-1",
    "retrieval": "m3 m-3",
    "retrieval_age": "days",
    "retrieval_quality": "1",
    "local_retrieval": "m3 m-3",
}
"""Canonical daily forcing: what a checkpoint may ask for, and in which unit."""

RETRIEVAL_INPUTS = ("retrieval", "retrieval_age", "retrieval_quality")
"""The newest SMAP retrieval that a day may know of, the days since it, and 1 where its quality is
recommended and 0 where it is not. `local_retrieval` is none: it is what a regression says of the
day, which is known for the satellite cells that are trained on only."""

STATIC_UNITS = {
    "sand": "1",
    "clay": "1",
    "measured_sand": "1",
    "measured_clay": "1",
    "vegetation_water_content": "kg m-2",
    "land_fraction": "1",
    "bulk_density": "g cm-3",
    "ndvi": "1",
    "albedo": "1",
    "roughness": "1",
    "retrieval_mean": "m3 m-3",
    "retrieval_std": "m3 m-3",
}
"""Canonical static attributes: what a checkpoint may ask for, and in which unit."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Frozen):
    """One input: normalised as (transform(value) - mean) / std."""

    name: str
    """Canonical name."""
    units: str
    """Canonical units of the raw value."""
    transform: Literal["identity", "log1p"]
    """Applied to the raw value before it is centred and scaled."""
    mean: float
    """Mean of the transformed training values."""
    std: float
    """Standard deviation of the transformed training values."""
    minimum: float
    """Smallest raw value seen in training."""
    maximum: float
    """Largest raw value seen in training."""
    optional: bool = False
    """Whether it may be missing (NaN). Then it is 0 after normalisation and 1 in its mask, a
    channel of its own, which is 0 elsewhere."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.std > 0:
            raise ValueError(f"input {self.name}: std must be positive, not {self.std}")
        if self.minimum > self.maximum:
            raise ValueError(f"input {self.name}: minimum lies above maximum")
        return self


class Retrievals(_Frozen):
    """Which retrievals a day may know of: constants of the checkpoint, not of the day it is run."""

    lag_days: int = Field(ge=1)
    """Age of the youngest, days."""
    window_days: int = Field(ge=1)
    """So many days are looked through, from the youngest on."""

    @property
    def ages(self) -> range:
        """The ages of a retrieval that is looked for, days, youngest first."""
        return range(self.lag_days, self.lag_days + self.window_days)


class TargetSpec(_Frozen):
    """What the networks predict, and its physical bounds, which every prediction is clamped to."""

    name: Literal["soil_moisture"]
    units: Literal["m3 m-3"]
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("target: minimum must lie below maximum")
        return self


class Head(_Frozen):
    """The target as one kind of measurement sees it: the head's first output times std plus mean.

    A head whose error is not one number has a second output: the logarithm of the variance of its
    error, in the normalised units of the first.
    """

    name: Literal["ground", "satellite"]
    """The measurements that taught it."""
    mean: float
    """Mean of their values, m3 m-3."""
    std: float
    """Standard deviation of their values, m3 m-3."""
    error: float | None
    """One standard error for every cell and day, m3 m-3; None where the second output gives it."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.std > 0:
            raise ValueError(f"head {self.name}: std must be positive, not {self.std}")
        if self.error is not None and not self.error > 0:
            raise ValueError(f"head {self.name}: error must be positive, not {self.error}")
        return self

    @property
    def n_outputs(self) -> int:
        """Outputs of the network that are the head's."""
        return 2 if self.error is None else 1


class LevelTerm(_Frozen):
    """What a static attribute tells of the level of a place beyond what the networks learned."""

    name: str
    """One of the static inputs."""
    slope: float
    """What one of its standard deviations adds to the soil moisture, m3 m-3."""


class Uncertainty(_Frozen):
    """Calibration: factors on the standard deviations that are published."""

    aleatoric: float = 1.0
    """On that of the error which the networks expect of themselves."""
    epistemic: float = 1.0
    """On that between the members."""
    without_level: float = Field(default=1.0, exclude_if=lambda given: given == 1.0)
    """On the aleatoric one again, at places where a static attribute of the level is missing."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not (self.aleatoric > 0 and self.epistemic > 0 and self.without_level > 0):
            raise ValueError("uncertainty: all factors must be positive")
        return self


class Period(_Frozen):
    """An inclusive span of days."""

    first: date
    last: date


class MemberRecord(_Frozen):
    """What is particular to the training of one member."""

    seed: int
    left_out_stations: tuple[str, ...]
    """In-situ stations that gave targets to other members and not to this one."""


class TrainingRecord(_Frozen):
    """What the weights were learned from, for whoever must judge where they hold."""

    data: str
    """Description of the training data and its source."""
    cells: tuple[tuple[float, float], ...]
    """Latitude and longitude (degrees) of the gridded cells that gave targets."""
    stations: tuple[str, ...]
    """In-situ stations that gave targets."""
    periods: tuple[Period, ...]
    """Days that gave targets."""
    command: str
    """The command that trained."""
    recipe: str
    """The recipe as text (TOML)."""
    code_version: str
    """Version of msm that trained."""
    members: tuple[MemberRecord, ...] = ()
    """In the order of the weights; none where members have nothing particular."""


class Card(_Frozen):
    """Everything there is to know about a checkpoint besides its weights."""

    format: Literal["msm-checkpoint-2"]
    name: str
    version: str
    created: datetime
    licence: str
    forcing: tuple[InputSpec, ...]
    """Daily inputs, in the order of the network's channels."""
    statics: tuple[InputSpec, ...]
    """Static inputs, in the order of the network's channels after the daily ones."""
    retrievals: Retrievals | None = Field(default=None, exclude_if=lambda given: given is None)
    """Given where `RETRIEVAL_INPUTS` are among the daily inputs.

    Left out where it is not, so that a checkpoint of before it was known keeps its identity.
    """
    target: TargetSpec
    heads: tuple[Head, ...]
    """In the order of the network's outputs."""
    published: str
    """Name of the head that the product uses."""
    members: int
    """Networks of the ensemble: equal in shape, each with weights and a state of its own."""
    hidden_size: int
    """Units of each member."""
    level: tuple[LevelTerm, ...] = Field(default=(), exclude_if=lambda given: not given)
    """Added to the level of places where all of these are known. Left out where there is none, as
    `retrievals` is."""
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
                    raise ValueError(f"{kind} input {spec.name!r} is not one that msm knows")
                if spec.units != known[spec.name]:
                    raise ValueError(
                        f"{kind} input {spec.name} is in {spec.units!r}, not {known[spec.name]!r}"
                    )
        return self

    @model_validator(mode="after")
    def _retrievals_stated(self) -> Self:
        asked = [spec for spec in self.forcing if spec.name in RETRIEVAL_INPUTS]
        for spec in asked:
            if not spec.optional:
                raise ValueError(
                    f"forcing input {spec.name} must be optional: there is not always a retrieval"
                )
        if asked and self.retrievals is None:
            raise ValueError(f"retrievals: state lag and window, {asked[0].name} is an input")
        if self.retrievals is not None and not asked:
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
    def _whole_ensemble(self) -> Self:
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
        """Where its one or two numbers stand among the network's outputs."""
        return self.outputs_of(self.head)

    def outputs_of(self, head: Head) -> slice:
        """Return where the one or two numbers of a head stand among the network's outputs."""
        first = sum(before.n_outputs for before in self.heads[: self.heads.index(head)])
        return slice(first, first + head.n_outputs)

    @property
    def state_size(self) -> int:
        """Width of a cell's state: the members' states side by side."""
        return self.members * self.hidden_size
