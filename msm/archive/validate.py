"""Checks of a published file, before and after publication."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.archive.layers import LAYERS, Layer
from msm.archive.naming import file_stem
from msm.archive.netcdf import DEPTH, EPOCH, Header, corners, read_header
from msm.archive.quality import ALL_BITS
from msm.archive.stac import sha256_of
from msm.errors import MsmError
from msm.grid.domain import Window, load_domain
from msm.grid.ease import M09

CHECKSUMS = "SHA256SUMS"
"""Name of the file of checksums in a month's folder, as `sha256sum -c` reads it."""

CHECKSUM_LINE = re.compile(r"^(?P<sha256>[0-9a-f]{64})  (?P<name>\S+)\n", re.MULTILINE)

REQUIRED = ("summary", "keywords", "Conventions", "license", "citation", "acknowledgement")
"""Global attributes that are required in addition to those that the header is read from."""


def validate(path: Path) -> list[str]:
    """Check a published file: its content, its name, and the checksums stated next to it.

    Parameters
    ----------
    path
        The NetCDF file.

    Returns
    -------
    list of str
        One sentence for each problem; empty where the file is valid.
    """
    if not path.is_file():
        return [f"There is no file {path}."]
    return check_content(path) + check_sidecars(path, sha256_of_file(path))


def check_content(path: Path) -> list[str]:
    """Check a file by itself, and return one sentence for each problem.

    The file must open, state its lineage, lie on the EASE-2 grid, and hold values in their range on
    land and fill elsewhere.
    """
    try:
        header = read_header(path)
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            problems = _structure(dataset)
            problems = problems or [*_coordinates(dataset, header), *_layers(dataset, header)]
    except MsmError as error:
        return [str(error)]
    except (OSError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        return [f"{path.name} cannot be read through: {error}."]
    stem = file_stem(header.domain, header.day, header.product_version)
    # A leading dot marks the temporary name under which a file is checked before it is published.
    if path.name != f"{stem}.nc" and not path.name.startswith("."):
        problems.append(f"{path.name} holds what {stem}.nc should hold.")
    return problems


def check_sidecars(path: Path, sha256: str) -> list[str]:
    """Compare a file's SHA-256 with what its STAC item and `SHA256SUMS` state of it."""
    problems = []
    item = path.with_suffix(".json")
    if item.is_file():
        try:
            stated = sha256_of(json.loads(item.read_text()), "data")
        except (ValueError, KeyError) as error:
            problems.append(f"{item.name} is not a STAC item of msm: {error!r}.")
        else:
            if stated != sha256:
                problems.append(f"{path.name} is not the file that {item.name} describes.")
    if read_checksums(path.parent / CHECKSUMS).get(path.name, sha256) != sha256:
        problems.append(f"{path.name} does not have the checksum that {CHECKSUMS} states.")
    return problems


def read_checksums(path: Path) -> dict[str, str]:
    """Read a file of checksums: SHA-256 by file name; lines that are damaged are left out."""
    if not path.is_file():
        return {}
    lines = CHECKSUM_LINE.finditer(path.read_text(errors="replace"))
    return {line["name"]: line["sha256"] for line in lines}


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _structure(dataset: netCDF4.Dataset) -> list[str]:
    problems = [
        f"Global attribute {name} is missing." for name in REQUIRED if name not in dataset.ncattrs()
    ]
    if list(dataset.dimensions) != ["time", "y", "x", "bnds", "corner"]:
        problems.append(f"Dimensions are {list(dataset.dimensions)}, not time, y, x, bnds, corner.")
    expected = [n + b for n in ("time", "y", "x", "lat", "lon", "depth") for b in ("", "_bnds")]
    expected += ["crs", "soil_moisture", "quality_flag"]
    problems += [f"Variable {n} is missing." for n in expected if n not in dataset.variables]
    return problems


def _coordinates(dataset: netCDF4.Dataset, header: Header) -> list[str]:
    rows, cols = header.shape
    row = int(np.argmin(np.abs(M09.y - dataset["y"][0])))
    col = int(np.argmin(np.abs(M09.x - dataset["x"][0])))
    if row + rows > M09.rows or col + cols > M09.cols:
        return ["The map reaches beyond the EASE-2 9 km grid."]
    y_edges, x_edges = M09.y_edges[row : row + rows + 1], M09.x_edges[col : col + cols + 1]
    lat_bnds, lon_bnds = corners(Window(row, row + rows, col, col + cols))
    start = (datetime.combine(header.day, time(), UTC) - EPOCH).days
    expected: dict[str, NDArray[Any]] = {
        "y": M09.y[row : row + rows],
        "x": M09.x[col : col + cols],
        "y_bnds": np.stack([y_edges[:-1], y_edges[1:]], 1),
        "x_bnds": np.stack([x_edges[:-1], x_edges[1:]], 1),
        "lat": np.broadcast_to(M09.lat[row : row + rows, None], header.shape),
        "lon": np.broadcast_to(M09.lon[None, col : col + cols], header.shape),
        "lat_bnds": lat_bnds,
        "lon_bnds": lon_bnds,
        "time": np.array([start + 0.5]),
        "time_bnds": np.array([[start, start + 1.0]]),
        "depth_bnds": np.array(DEPTH),
    }
    return [
        f"{name} does not hold the coordinates of the EASE-2 9 km grid and of {header.day}."
        for name, values in expected.items()
        # PROJ releases differ in the last digits of a degree: 1e-9 of it is 0.1 mm.
        if dataset[name].shape != values.shape
        or not np.all(np.abs(dataset[name][...] - values) <= 1e-9)
    ]


def _layers(dataset: netCDF4.Dataset, header: Header) -> list[str]:
    flag = np.asarray(dataset["quality_flag"][0])
    land = flag != dataset["quality_flag"].getncattr("_FillValue")
    problems = []
    for layer in LAYERS:
        if layer.name in dataset.variables:
            problems += _layer(dataset[layer.name], layer, header, land)
    if np.any(flag[land] & np.uint8(~ALL_BITS & 0xFF)):
        problems.append("quality_flag has bits without a meaning.")
    domain = load_domain(header.domain)
    # A file of an older mask stays valid: then only its flags show its cells.
    if domain.mask_sha256 == header.mask_sha256 and not np.array_equal(
        land, domain.to_map(np.ones(domain.n_cell, np.bool_), fill=False)
    ):
        problems.append(f"quality_flag does not cover exactly the land cells of {domain.name}.")
    return problems


def _layer(
    variable: netCDF4.Variable[Any], layer: Layer, header: Header, land: NDArray[np.bool_]
) -> list[str]:
    if variable.dtype != layer.dtype or variable.shape != (1, *header.shape):
        return [f"{layer.name} is {variable.dtype} of shape {variable.shape}."]
    values = np.asarray(variable[0])
    known = values != np.asarray(layer.fill, layer.dtype)
    low, high = layer.valid_range
    problems = []
    if not np.all((values[known] >= low) & (values[known] <= high)):
        problems.append(f"{layer.name} has values outside {low} to {high} {layer.units}.")
    if np.any(known & ~land):
        problems.append(f"{layer.name} has values where there is no land.")
    if not known.any():
        problems.append(f"{layer.name} holds no value at all.")
    return problems
