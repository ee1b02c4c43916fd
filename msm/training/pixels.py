"""The 412 satellite cells over CONUS (CONUSv4f1) in canonical names and units."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from msm.errors import MsmError
from msm.inputs.smap_l3 import VALID_RANGE

FILE = "conus_pixels/conus_v4f1.nc"
"""Where the cells lie in the folder of real data."""

DESCRIPTION = (
    "SMAP L3 36 km soil moisture, 6 am pass, at every fourth 36 km cell over CONUS in each"
    " direction, with NLDAS-2 forcing (sample CONUSv4f1, Fang et al. 2017)"
)

# Canonical name: name in the file, factor to the canonical unit. The wind components are daily
# means, from which no mean speed follows, so the file gives no wind_speed.
_FORCING = {
    "precipitation": ("precipitation", 24.0),  # mean of hourly kg m-2 to mm day-1
    "air_temperature": ("air_temperature_2m", 1.0),
    "specific_humidity": ("specific_humidity_2m", 1.0),
    "shortwave_down": ("shortwave_down", 1.0),
    "longwave_down": ("longwave_down", 1.0),
}
_STATICS = {"sand": ("sand", 0.01), "clay": ("clay", 0.01)}  # percent to fraction

TARGET_RANGE = VALID_RANGE
"""A target outside it is not used, m3 m-3."""


class PixelsError(MsmError):
    """The training data are not there or not what they should be."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Cells with daily forcing, static attributes and a target.

    Attributes
    ----------
    lat, lon : ndarray of float64, shape (n_cell,)
    days : ndarray of datetime64[D], shape (n_day,)
        Consecutive.
    forcing : dict of str to ndarray of float32, shape (n_cell, n_day)
        Canonical units, finite.
    statics : dict of str to ndarray of float32, shape (n_cell,)
        Canonical units, finite.
    target : ndarray of float32, shape (n_cell, n_day)
        Soil moisture, m3 m-3; NaN where the satellite gave none.
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    days: npt.NDArray[np.datetime64]
    forcing: dict[str, npt.NDArray[np.float32]]
    statics: dict[str, npt.NDArray[np.float32]]
    target: npt.NDArray[np.float32]

    @property
    def n_cell(self) -> int:
        """Number of cells."""
        return self.lat.size

    def between(self, first: date, last: date) -> Self:
        """Return the days from `first` to `last`, both included.

        Raises
        ------
        PixelsError
            If the record does not hold all of them.
        """
        span = (self.days >= np.datetime64(first)) & (self.days <= np.datetime64(last))
        if span.sum() != (last - first).days + 1:
            raise PixelsError(
                f"the record holds {self.days[0]}..{self.days[-1]}, not all of {first}..{last}:"
                " choose days inside it"
            )
        forcing = {name: values[:, span] for name, values in self.forcing.items()}
        return type(self)(
            self.lat, self.lon, self.days[span], forcing, self.statics, self.target[:, span]
        )

    def at(self, cells: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Self:
        """Return a selection of the cells, by mask or by index."""
        return type(self)(
            self.lat[cells],
            self.lon[cells],
            self.days,
            {name: values[cells] for name, values in self.forcing.items()},
            {name: values[cells] for name, values in self.statics.items()},
            self.target[cells],
        )


def read_pixels(data: Path) -> Pixels:
    """Read the cells, in the order of the file.

    A cell without soil texture (one of the 412, on the coast of Baja California) is left out:
    nothing is put in the place of a missing static attribute. A target outside `TARGET_RANGE`
    counts as missing.

    Parameters
    ----------
    data : Path
        Folder of real data.

    Raises
    ------
    PixelsError
        If the file is missing, its days are not consecutive or its forcing has gaps.
    """
    import xarray as xr

    path = Path(data) / FILE
    if not path.is_file():
        raise PixelsError(f"training data {path} not found: give the folder that holds {FILE}")
    with xr.open_dataset(path) as file:
        lat, lon = file["latitude"].to_numpy(), file["longitude"].to_numpy()
        days = file["time"].to_numpy().astype("datetime64[D]")
        forcing = _scaled(file, _FORCING)
        statics = _scaled(file, _STATICS)
        target = file["smap_soil_moisture_am"].to_numpy().astype(np.float32)
    if (np.diff(days) != np.timedelta64(1, "D")).any():
        raise PixelsError(f"the days of {path} are not consecutive: get the file again")
    for name, values in forcing.items():
        if not np.isfinite(values).all():
            raise PixelsError(f"{name} in {path} has gaps: get the file again")
    target[~((target >= TARGET_RANGE[0]) & (target <= TARGET_RANGE[1]))] = np.nan
    whole = np.all([np.isfinite(values) for values in statics.values()], axis=0)
    return Pixels(lat, lon, days, forcing, statics, target).at(whole)


def _scaled(file, names: dict[str, tuple[str, float]]) -> dict[str, npt.NDArray[np.float32]]:  # type: ignore[no-untyped-def]
    return {
        name: file[source].to_numpy().astype(np.float32) * np.float32(factor)
        for name, (source, factor) in names.items()
    }
