"""The 412 satellite cells over CONUS (CONUSv4f1) in canonical names and units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msm.products.smap_l3 import VALID_RANGE
from msm.training.data.samples import Samples, SamplesError

FILE = "conus_pixels/conus_v4f1.nc"
"""File of the cells in the folder of training data."""

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
_STATICS = {
    "sand": ("sand", 0.01),  # percent to fraction
    "clay": ("clay", 0.01),
    "bulk_density": ("bulk", 1.0),
    "ndvi": ("ndvi", 1.0),
    "albedo": ("flag_albedo", 1.0),
    "roughness": ("flag_roughness", 1.0),
}

TARGET_RANGE = VALID_RANGE
"""Range of usable targets, m3 m-3."""


def read_pixels(data: Path) -> Samples:
    """Read the cells, in the order of the file.

    One of the 412, on the coast of Baja California, has no soil map: NaN. A target outside
    `TARGET_RANGE` counts as missing.

    Parameters
    ----------
    data
        Folder of training data.

    Raises
    ------
    SamplesError
        If the file is missing, its days are not consecutive or its forcing has gaps.
    """
    import xarray as xr

    path = Path(data) / FILE
    if not path.is_file():
        raise SamplesError(f"Training data {path} not found: give the folder that contains {FILE}.")
    with xr.open_dataset(path) as file:
        lat, lon = file["latitude"].to_numpy(), file["longitude"].to_numpy()
        days = file["time"].to_numpy().astype("datetime64[D]")
        forcing = _scaled(file, _FORCING)
        statics = _scaled(file, _STATICS)
        target = file["smap_soil_moisture_am"].to_numpy().astype(np.float32)
    if (np.diff(days) != np.timedelta64(1, "D")).any():
        raise SamplesError(f"The days of {path} are not consecutive: download the file again.")
    for name, values in forcing.items():
        if not np.isfinite(values).all():
            raise SamplesError(f"{name} in {path} has gaps: download the file again.")
    target[~((target >= TARGET_RANGE[0]) & (target <= TARGET_RANGE[1]))] = np.nan
    return Samples(lat=lat, lon=lon, days=days, forcing=forcing, statics=statics, target=target)


def _scaled(file, names: dict[str, tuple[str, float]]) -> dict[str, NDArray[np.float32]]:  # type: ignore[no-untyped-def]
    return {
        name: file[source].to_numpy().astype(np.float32) * np.float32(factor)
        for name, (source, factor) in names.items()
    }
