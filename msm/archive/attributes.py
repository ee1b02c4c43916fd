"""The metadata of the published file: CF grid mapping, ACDD discovery attributes, lineage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import ValidationError

from msm.archive.daily_map import DailyMap, Lineage
from msm.archive.naming import PRODUCT, PRODUCT_VERSION, file_stem
from msm.errors import MsmError
from msm.grid import ease
from msm.grid.domain import Domain
from msm.lineage import InputGranule

LICENSE = "CC-BY-4.0"
"""Licence of the published maps (SPDX), as STAC and ACDD name it."""

REFERENCE = (
    "Liu, J., Rahmani, F., Lawson, K., and Shen, C. (2022): A multiscale deep learning model for "
    "soil moisture integrating satellite and in situ data. Geophysical Research Letters, 49, "
    "e2021GL096847, https://doi.org/10.1029/2021GL096847"
)

VALIDITY = (
    "Values are valid for unfrozen mineral soil outside dense forest and away from open water; "
    "elsewhere they are kept and flagged in quality_flag. A provisional map is replaced when "
    "better inputs become available; product_revision counts the replacements."
)

_STATIC = {
    "Conventions": "CF-1.11, ACDD-1.3",
    "keywords": (
        "EARTH SCIENCE > LAND SURFACE > SOILS > SOIL MOISTURE/WATER CONTENT > SURFACE SOIL "
        "MOISTURE, EARTH SCIENCE > AGRICULTURE > SOILS > SOIL MOISTURE/WATER CONTENT"
    ),
    "keywords_vocabulary": "GCMD Science Keywords",
    "standard_name_vocabulary": "CF Standard Name Table v93",
    "processing_level": "Level 4",
    "cdm_data_type": "Grid",
    "license": LICENSE,
    "references": REFERENCE,
    "comment": VALIDITY,
    "program": "Daily operational soil moisture",
    "project": "msm",
    "institution": "msm",
    "creator_name": "msm",
    "creator_type": "group",
    "publisher_name": "msm",
    "publisher_type": "group",
    "naming_authority": "msm",
    "geospatial_bounds_crs": "EPSG:4326",
    "geospatial_lat_units": "degrees_north",
    "geospatial_lon_units": "degrees_east",
    "geospatial_vertical_min": 0.0,
    "geospatial_vertical_max": 0.05,
    "geospatial_vertical_units": "m",
    "geospatial_vertical_positive": "down",
    "geospatial_vertical_resolution": "0.05 m",
    "geospatial_lat_resolution": "9 km",
    "geospatial_lon_resolution": "9 km",
    # xarray reads these as coordinates and stacks days without a copy of them for each day.
    "coordinates": "crs x_bnds y_bnds lat_bnds lon_bnds depth_bnds",
    "time_coverage_duration": "P1D",
    "time_coverage_resolution": "P1D",
}


def global_attributes(daily_map: DailyMap, created: datetime) -> dict[str, Any]:
    """Return the global attributes of a day's file, in the order they are written.

    Parameters
    ----------
    daily_map
        The map and its lineage.
    created
        Time at which the file is written, UTC.
    """
    domain, day, lineage = daily_map.domain, daily_map.day, daily_map.lineage
    stem = file_stem(domain.name, day)
    written = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    used = [i for i in lineage.inputs if i.role != "superseded"]
    sources = sorted({f"{i.product} {i.version}" for i in used if i.role == "forcing"})
    earlier = sorted({f"{i.product} {i.version}" for i in used if i.role == "retrieval"})
    and_earlier = f" and earlier retrievals of {', '.join(earlier)}" if earlier else ""
    inputs = sorted({f"{i.product} {i.version}" for i in used})
    title = f"Daily surface soil moisture, EASE-2 9 km, {domain.name}, {day}"
    return {
        "title": f"{title} ({lineage.status}{', simulated inputs' if lineage.simulated else ''})",
        "summary": (
            "Volumetric soil moisture of the top 5 cm, mean of one UTC day, on the EASE-2 global "
            "9 km grid. An LSTM network, trained jointly on satellite retrievals and in-situ "
            "measurements, computes it from daily meteorological forcing and its state of the "
            "previous day."
        ),
        **_STATIC,
        "source": (
            f"LSTM network {lineage.checkpoint_name} {lineage.checkpoint_version}, driven by "
            f"{', '.join(sources) or 'no forcing'}{and_earlier}"
        ),
        "history": f"{written} msm {lineage.code_version}: published",
        "acknowledgement": (
            f"Produced from {', '.join(inputs) or 'no input'}, distributed free of charge by NASA "
            "Earthdata. Please cite these products and the reference together with this product."
        ),
        "citation": (
            f"msm: {PRODUCT}, daily surface soil moisture at 9 km, version {PRODUCT_VERSION}, "
            f"{domain.name}, {day}. Method: {REFERENCE}"
        ),
        "id": stem,
        "product_version": PRODUCT_VERSION,
        "date_created": written,
        "date_modified": written,
        "date_issued": written,
        "date_metadata_modified": written,
        "time_coverage_start": f"{day}T00:00:00Z",
        "time_coverage_end": f"{day + timedelta(days=1)}T00:00:00Z",
        **_extent(domain),
        "domain": domain.name,
        "mask_version": domain.mask_version,
        "mask_sha256": domain.mask_sha256,
        **_from_lineage(lineage),
    }


def _extent(domain: Domain) -> dict[str, Any]:
    """Return the extent of the cell centres in degrees, as ACDD checkers expect it."""
    south, north = ease.M09.lat[[domain.window.row1 - 1, domain.window.row0]].tolist()
    west, east = ease.M09.lon[[domain.window.col0, domain.window.col1 - 1]].tolist()
    corners = [(south, west), (north, west), (north, east), (south, east), (south, west)]
    ring = ", ".join(f"{lat:.6f} {lon:.6f}" for lat, lon in corners)
    return {
        "geospatial_lat_min": south,
        "geospatial_lat_max": north,
        "geospatial_lon_min": west,
        "geospatial_lon_max": east,
        # EPSG:4326 names latitude first.
        "geospatial_bounds": f"POLYGON (({ring}))",
    }


_FLATTENED = {"inputs", "forcing_sources", "settings", "spin_up_days"}
"""Fields of a lineage that are not plain text."""


def _from_lineage(lineage: Lineage) -> dict[str, Any]:
    """Flatten a lineage: one attribute a field, one JSON line an input granule."""
    fields = lineage.model_dump(mode="json", exclude=_FLATTENED)
    settings = json.dumps(lineage.settings, sort_keys=True)
    return fields | {
        "spin_up_days": np.int32(lineage.spin_up_days),
        "forcing_sources": json.dumps(lineage.forcing_sources, sort_keys=True),
        **({"settings": settings} if lineage.settings else {}),
        "input_granules": "\n".join(i.model_dump_json(exclude_none=True) for i in lineage.inputs),
    }


def lineage_of(attributes: Mapping[str, Any]) -> Lineage:
    """Read a lineage from a file's global attributes.

    Raises
    ------
    MsmError
        If an attribute is missing or is not what `global_attributes` wrote.
    """
    try:
        plain = {name: attributes[name] for name in Lineage.model_fields if name not in _FLATTENED}
        return Lineage(
            **plain,
            spin_up_days=int(attributes["spin_up_days"]),
            forcing_sources=json.loads(attributes["forcing_sources"]),
            settings=json.loads(attributes.get("settings", "{}")),
            inputs=tuple(
                InputGranule.model_validate_json(line)
                for line in attributes["input_granules"].splitlines()
            ),
        )
    except (KeyError, ValidationError, ValueError) as error:
        raise MsmError(
            f"The lineage in the file's global attributes is invalid ({error}): publish its day "
            "again."
        ) from error


@lru_cache(maxsize=1)
def _grid_mapping() -> dict[str, Any]:
    """Return the CF attributes of the projection, from pyproj."""
    attributes = ease.crs().to_cf(wkt_version="WKT2_2019")
    # A degree sign would turn the attribute into a netCDF-4 string, which some readers skip.
    ascii_wkt = attributes["crs_wkt"].replace("\N{DEGREE SIGN}", " degrees ")
    return attributes | {
        "crs_wkt": ascii_wkt,
        "spatial_ref": ease.crs().to_wkt("WKT1_GDAL"),
    }


def crs_attributes(domain: Domain) -> dict[str, Any]:
    """Return the attributes of the grid-mapping variable `crs`.

    `crs_wkt` is CF's; `spatial_ref` and `GeoTransform` are what GDAL and rioxarray read.
    """
    size, window = ease.M09.cell_size, domain.window
    left, top = ease.M09.x_edges[window.col0], ease.M09.y_edges[window.row0]
    return _grid_mapping() | {
        "long_name": "EASE-Grid 2.0 Global, EPSG:6933",
        "GeoTransform": " ".join(f"{v:.10f}" for v in (left, size, 0, top, 0, -size)),
        "coverage_content_type": "referenceInformation",
    }
