"""One day's map and its lineage, as the archive publishes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from msm.archive.layers import LAYERS, Layer
from msm.errors import MsmError
from msm.frozen import FrozenModel
from msm.grid.domain import Domain
from msm.lineage import InputGranule

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal."""


LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Lineage(FrozenModel):
    """Everything a day's map depends on; every field becomes a global attribute of the file."""

    status: Literal["provisional", "final"]
    """`provisional` while a second-choice source was used or an input may still be revised."""
    fingerprint: Sha256
    """Hash of all that the values depend on: the same fingerprint means the same values."""
    processing_version: str
    code_version: str
    """Version of msm, with the commit where it is known."""
    checkpoint_name: str
    checkpoint_version: str
    checkpoint_sha256: Sha256
    chain_id: str
    """Name of the chain of states that the day belongs to."""
    cold_start: date
    """First day of the chain, started with a state of zeros."""
    spin_up_days: int = Field(ge=0)
    """Age of the state before the day, in days since the cold start."""
    state_before: str
    """Content hash of the state that the day started from, or `cold start`."""
    forcing_sources: dict[str, str] = Field(default_factory=dict)
    """Products that each forcing variable comes from."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """The settings that affect values."""
    inputs: tuple[InputGranule, ...]
    """The granules that the map depends on."""

    @property
    def simulated(self) -> bool:
        """Whether a granule came from a catalogue on this machine, which has only simulations."""
        return any(entry.source in LOOPBACK for entry in self.inputs)


@dataclass(frozen=True, eq=False)
class DailyMap:
    """One day of the product, on the cells of a domain.

    Raises
    ------
    MsmError
        If a layer has the wrong shape or dtype, or values outside its valid range.
    """

    domain: Domain
    day: date
    """The UTC day [day 00:00, day + 1 00:00)."""
    soil_moisture: NDArray[np.float32]
    """Water in the top 5 cm, m3 m-3, shape (n_cell,); NaN where there is no value."""
    quality_flag: NDArray[np.uint8]
    """`msm.archive.quality.Quality` bits, shape (n_cell,)."""
    lineage: Lineage
    uncertainty: NDArray[np.float32] | None = None
    """Standard uncertainty of `soil_moisture`, m3 m-3, shape (n_cell,)."""
    aleatoric: NDArray[np.float32] | None = None
    """Its aleatoric part, m3 m-3, shape (n_cell,)."""
    epistemic: NDArray[np.float32] | None = None
    """Its epistemic part, m3 m-3, shape (n_cell,)."""

    def __post_init__(self) -> None:
        """Refuse a map that could not be published."""
        for layer in LAYERS:
            values = self.values(layer)
            if values is None:
                continue
            expected = (self.domain.n_cell,), np.dtype(layer.dtype)
            if (values.shape, values.dtype) != expected:
                raise MsmError(
                    f"{layer.field} of {self.day} has shape {values.shape} and type "
                    f"{values.dtype}: provide {expected[1]} of shape {expected[0]}, one value for "
                    f"each cell of {self.domain.name}."
                )
            low, high = layer.valid_range
            outside = int(np.count_nonzero((values < low) | (values > high)))
            if outside:
                raise MsmError(
                    f"{layer.field} of {self.day} lies outside {low} to {high} {layer.units} at "
                    f"{outside} cells: check the inputs and the checkpoint of that day."
                )

    def values(self, layer: Layer) -> NDArray[Any] | None:
        """Return a layer's values on cells, shape (n_cell,), or None where the map has none."""
        found: NDArray[Any] | None = getattr(self, layer.field)
        return found
