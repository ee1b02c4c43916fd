"""The layers of the product: one row per variable on the map."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msm.archive.quality import ALL_BITS, FLAG_ATTRIBUTES


class Layer(NamedTuple):
    """One variable on the map."""

    name: str
    """Name of the variable in the file."""
    field: str
    """Field of `DailyMap` that holds the values; None there leaves the variable out."""
    dtype: str
    """Type in memory and in the file."""
    fill: float
    """Value in the file where a cell has no value."""
    valid_range: tuple[float, float]
    """Smallest and largest value that may be published."""
    units: str
    standard_name: str | None
    """None where CF has no name for it."""
    long_name: str
    content_type: str
    """ACDD `coverage_content_type`."""
    comment: str
    extra: Mapping[str, Any] = MappingProxyType({})
    """Further attributes."""


# -9999, as in NASA's SMAP files, instead of NaN: NCO and CDO compare with the fill value for
# equality, which NaN never satisfies. xarray, GDAL/QGIS and MATLAB mask either.
FLOAT_FILL = -9999.0

LAYERS = (
    Layer(
        name="soil_moisture",
        field="soil_moisture",
        dtype="float32",
        fill=FLOAT_FILL,
        valid_range=(0.0, 1.0),
        units="m3 m-3",
        standard_name="volume_fraction_of_condensed_water_in_soil",
        long_name="Daily mean volumetric soil moisture, 0-5 cm",
        content_type="modelResult",
        comment="Use together with quality_flag: 0 means no quality issue identified.",
        extra={
            "cell_methods": "time: mean area: mean where land depth: mean",
            "ancillary_variables": (
                "soil_moisture_uncertainty soil_moisture_aleatoric_uncertainty "
                "soil_moisture_epistemic_uncertainty quality_flag"
            ),
        },
    ),
    Layer(
        name="soil_moisture_uncertainty",
        field="uncertainty",
        dtype="float32",
        fill=FLOAT_FILL,
        valid_range=(0.0, 1.0),
        units="m3 m-3",
        standard_name="volume_fraction_of_condensed_water_in_soil standard_error",
        long_name="Total standard uncertainty of soil_moisture",
        content_type="qualityInformation",
        comment=(
            "Standard deviation of the error of soil_moisture; where the aleatoric and the "
            "epistemic part are given, the root of the sum of their squares."
        ),
    ),
    # CF's standard_error is the total uncertainty, systematic and statistical (Appendix C), so its
    # two parts have no standard name.
    Layer(
        name="soil_moisture_aleatoric_uncertainty",
        field="aleatoric",
        dtype="float32",
        fill=FLOAT_FILL,
        valid_range=(0.0, 1.0),
        units="m3 m-3",
        standard_name=None,
        long_name="Aleatoric part of the standard uncertainty of soil_moisture",
        content_type="qualityInformation",
        comment=(
            "Predicted (aleatoric) standard deviation of the error: the uncertainty that remains "
            "for the inputs of a cell and a day, however much training data there is."
        ),
    ),
    Layer(
        name="soil_moisture_epistemic_uncertainty",
        field="epistemic",
        dtype="float32",
        fill=FLOAT_FILL,
        valid_range=(0.0, 1.0),
        units="m3 m-3",
        standard_name=None,
        long_name="Epistemic part of the standard uncertainty of soil_moisture",
        content_type="qualityInformation",
        comment=(
            "Standard deviation between the members of the ensemble: the uncertainty of the "
            "trained networks, largest where the inputs are unlike those of the training."
        ),
    ),
    Layer(
        name="quality_flag",
        field="quality_flag",
        dtype="uint8",
        fill=255,
        valid_range=(0, ALL_BITS),
        units="1",
        standard_name="quality_flag",
        long_name="Quality flags of soil_moisture, sum of flag_masks",
        content_type="qualityInformation",
        comment="Values are kept and flagged, not removed; 0 means no quality issue identified.",
        extra=FLAG_ATTRIBUTES,
    ),
)
