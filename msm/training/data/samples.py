"""Samples: places with daily weather, static attributes and measured soil moisture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Self

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.training.metrics import within

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Selection = Mask | NDArray[np.intp] | slice


class SamplesError(MsmError):
    """Training data are missing or invalid."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Places with daily forcing, static attributes and a target.

    Attributes
    ----------
    lat, lon
        Shape (n_cell,). Degrees.
    days
        Shape (n_day,). Consecutive.
    forcing
        Shape (n_cell, n_day). Canonical units; NaN where an optional input is missing.
    statics
        Shape (n_cell,). Canonical units; NaN where an attribute is unknown.
    target
        Shape (n_cell, n_day). Soil moisture, m3 m-3; NaN where there is no usable value.
    """

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    days: NDArray[np.datetime64]
    forcing: dict[str, Floats]
    statics: dict[str, Floats]
    target: Floats

    @property
    def n_cell(self) -> int:
        """Number of places."""
        return self.lat.size

    def between(self, first: date, last: date) -> Self:
        """Return the days from `first` to `last`, both included.

        Raises
        ------
        SamplesError
            If the record does not contain all of them.
        """
        span = within(self.days, first, last)
        if span.sum() != (last - first).days + 1:
            raise SamplesError(
                f"The record contains {self.days[0]}..{self.days[-1]}, not all of {first}..{last}:"
                " choose days within it."
            )
        return self._take(slice(None), span)

    def at(self, places: Mask | NDArray[np.intp]) -> Self:
        """Return a selection of the places, by mask or by index."""
        return self._take(places, slice(None))

    def _take(self, places: Selection, days: Selection) -> Self:
        return replace(
            self,
            lat=self.lat[places],
            lon=self.lon[places],
            days=self.days[days],
            forcing={name: values[places][:, days] for name, values in self.forcing.items()},
            statics={name: values[places] for name, values in self.statics.items()},
            target=self.target[places][:, days],
        )
