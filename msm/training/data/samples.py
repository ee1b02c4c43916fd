"""Samples: places with daily weather, static attributes and soil moisture to learn from."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Self

import numpy as np
import numpy.typing as npt

from msm.errors import MsmError
from msm.training.metrics import within

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Selection = Mask | npt.NDArray[np.intp] | slice


class SamplesError(MsmError):
    """Training data are not there or not what they should be."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Places with daily forcing, static attributes and a target.

    Attributes
    ----------
    lat, lon : ndarray of float64, shape (n_cell,)
        Degrees.
    days : ndarray of datetime64[D], shape (n_day,)
        Consecutive.
    forcing : dict of str to ndarray of float32, shape (n_cell, n_day)
        Canonical units; NaN where an input that may be missing is.
    statics : dict of str to ndarray of float32, shape (n_cell,)
        Canonical units; NaN where it is not known.
    target : ndarray of float32, shape (n_cell, n_day)
        Soil moisture, m3 m-3; NaN where there is none to be used.
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    days: npt.NDArray[np.datetime64]
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
            If the record does not hold all of them.
        """
        span = within(self.days, first, last)
        if span.sum() != (last - first).days + 1:
            raise SamplesError(
                f"the record holds {self.days[0]}..{self.days[-1]}, not all of {first}..{last}:"
                " choose days inside it"
            )
        return self._take(slice(None), span)

    def at(self, places: Mask | npt.NDArray[np.intp]) -> Self:
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
