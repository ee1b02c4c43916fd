"""Canonical inputs of the network and their units."""

from __future__ import annotations

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
"""Units of the daily forcing that a checkpoint may use, by canonical name."""

RETRIEVAL_INPUTS = ("retrieval", "retrieval_age", "retrieval_quality")
"""The newest admissible SMAP retrieval of a day, its age, and 1 if its quality is recommended or 0.

`local_retrieval` is not one of them. It is the prediction of a regression
(`msm.training.data.local`), which exists for the satellite cells of the training data only.
"""

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
"""Units of the static attributes that a checkpoint may use, by canonical name."""
