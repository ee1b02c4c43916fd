"""The published file: NetCDF-4 with CF-1.11 and ACDD-1.3 metadata, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import ArrayLike, NDArray

from msm.archive.attributes import crs_attributes, global_attributes, lineage_of
from msm.archive.daily_map import DailyMap, Lineage
from msm.archive.layers import LAYERS, Layer
from msm.errors import MsmError
from msm.grid.domain import Domain, Window
from msm.grid.ease import M09, unproject

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DEPTH = (0.0, 0.05)
"""Top and bottom of the soil layer, m."""

CHUNK = 156
"""Cells per side of a chunk: CONUS is 2 x 4 of them, and a point reads about 30 kB."""

DEFLATE = 2
"""Deflate level: level 4 takes 1.5 times as long and saves 2 %, level 9 five times and 4 %."""

SIGNIFICANT_DIGIT = 4
"""Decimals of floating-point layers: kept to 2**-14 = 6.1e-5, below the tolerance of inference."""


@dataclass(frozen=True)
class Revision:
    """Which publication of a day a file is."""

    number: int = 1
    """1 for the first, one more for each replacement."""
    replaces: str | None = None
    """SHA-256 of the file that this one replaces."""


@dataclass(frozen=True)
class Header:
    """The metadata of a published file."""

    stem: str
    """File name without suffix."""
    title: str
    domain: str
    day: date
    created: datetime
    product_version: str
    revision: Revision
    lineage: Lineage
    mask_version: str
    mask_sha256: str
    shape: tuple[int, int]
    """Rows and columns."""
    bounds: tuple[float, float, float, float]
    """Outer edges left, bottom, right, top in the EASE-2 plane, m."""
    bbox: tuple[float, float, float, float]
    """Outer edges west, south, east, north, degrees."""


def write(path: Path, daily_map: DailyMap, revision: Revision | None = None) -> None:
    """Write a day's map to a new file, in place: `msm.archive.store` chooses a temporary name.

    Parameters
    ----------
    path
        File to write; an existing one is overwritten.
    daily_map
        The map and its lineage.
    revision
        Which publication of the day this is; the first by default.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written.
    """
    attributes = global_attributes(daily_map, datetime.now(UTC).replace(microsecond=0))
    revision = revision or Revision()
    attributes["product_revision"] = np.int32(revision.number)
    if revision.replaces:
        attributes["replaces_sha256"] = revision.replaces
    try:
        layers = tuple(layer for layer in LAYERS if daily_map.values(layer) is not None)
        path.write_bytes(_empty_file(daily_map.domain, tuple(layer.name for layer in layers)))
        with netCDF4.Dataset(path, "a") as dataset:
            dataset.set_auto_mask(False)
            dataset.setncatts(attributes)
            start = (datetime.combine(daily_map.day, time(), UTC) - EPOCH).days
            dataset["time"][:] = start + 0.5
            dataset["time_bnds"][:] = [[start, start + 1.0]]
            for layer in layers:
                dataset[layer.name][0] = _values(daily_map, layer)
    except RuntimeError as error:
        # The HDF5 library reports a full disk and the like as RuntimeError.
        raise OSError(f"{path} could not be written: {error}") from error


def read_header(path: Path) -> Header:
    """Read the metadata of a published file.

    Raises
    ------
    MsmError
        If the file does not open or is not one of msm's.
    """
    try:
        with netCDF4.Dataset(path) as dataset:
            attributes: dict[str, Any] = {n: dataset.getncattr(n) for n in dataset.ncattrs()}
            x, y = (np.asarray(dataset[name][:], np.float64) for name in ("x_bnds", "y_bnds"))
        return _header(attributes, x, y)
    except (OSError, RuntimeError, KeyError, ValueError, IndexError) as error:
        raise MsmError(
            f"{path} is not a readable map of msm ({error}): publish its day again."
        ) from error


def _header(
    attributes: Mapping[str, Any], x: NDArray[np.float64], y: NDArray[np.float64]
) -> Header:
    left, right, top, bottom = x[0, 0], x[-1, 1], y[0, 0], y[-1, 1]
    (south, north), (west, east) = unproject([left, right], [bottom, top])
    return Header(
        stem=attributes["id"],
        title=attributes["title"],
        domain=attributes["domain"],
        day=datetime.fromisoformat(attributes["time_coverage_start"]).date(),
        created=datetime.fromisoformat(attributes["date_created"]),
        product_version=attributes["product_version"],
        revision=Revision(int(attributes["product_revision"]), attributes.get("replaces_sha256")),
        lineage=lineage_of(attributes),
        mask_version=attributes["mask_version"],
        mask_sha256=attributes["mask_sha256"],
        shape=(len(y), len(x)),
        bounds=(float(left), float(bottom), float(right), float(top)),
        bbox=(float(west), float(south), float(east), float(north)),
    )


@lru_cache(maxsize=2)
def _empty_file(domain: Domain, names: tuple[str, ...]) -> bytes:
    """Build a domain's file with the named layers, without the values of a day."""
    # A dataset in memory does not keep the order of its variables.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.nc"
        with netCDF4.Dataset(path, "w", format="NETCDF4") as dataset:
            _write_coordinates(dataset, domain)
            for layer in LAYERS:
                if layer.name in names:
                    _create_layer(dataset, layer, names)
        return path.read_bytes()


def _write_coordinates(dataset: netCDF4.Dataset, domain: Domain) -> None:
    rows, cols = domain.shape
    for name, size in (("time", None), ("y", rows), ("x", cols), ("bnds", 2), ("corner", 4)):
        dataset.createDimension(name, size)

    # `write` fills in the day.
    _variable(
        dataset,
        "time",
        [0.0],
        ("time",),
        standard_name="time",
        long_name="middle of the UTC day",
        units=f"days since {EPOCH:%Y-%m-%d %H:%M:%S}",
        calendar="standard",
        units_metadata="leap_seconds: none",
        axis="T",
        bounds="time_bnds",
    )
    _variable(dataset, "time_bnds", [[0.0, 0.0]], ("time", "bnds"))

    window = domain.window
    for name, edges, axis in (
        ("y", M09.y_edges[window.row0 : window.row1 + 1], "Y"),
        ("x", M09.x_edges[window.col0 : window.col1 + 1], "X"),
    ):
        _variable(
            dataset,
            name,
            getattr(domain, name),
            (name,),
            standard_name=f"projection_{name}_coordinate",
            long_name=f"{name} of the cell centre in the EASE-2 plane",
            units="m",
            axis=axis,
            bounds=f"{name}_bnds",
        )
        _variable(dataset, f"{name}_bnds", np.stack([edges[:-1], edges[1:]], 1), (name, "bnds"))

    lat, lon = M09.lat[window.row0 : window.row1], M09.lon[window.col0 : window.col1]
    for name, values, long_name, units in (
        ("lat", np.repeat(lat[:, None], cols, axis=1), "latitude", "degrees_north"),
        ("lon", np.repeat(lon[None, :], rows, axis=0), "longitude", "degrees_east"),
    ):
        _variable(
            dataset,
            name,
            values,
            ("y", "x"),
            standard_name=long_name,
            long_name=f"{long_name} of the cell centre",
            units=units,
            bounds=f"{name}_bnds",
        )
    for name, four in zip(("lat_bnds", "lon_bnds"), corners(window), strict=True):
        _variable(dataset, name, four, ("y", "x", "corner"))

    _variable(
        dataset,
        "depth",
        sum(DEPTH) / 2,
        (),
        standard_name="depth",
        long_name="depth of the middle of the soil layer",
        units="m",
        positive="down",
        axis="Z",
        bounds="depth_bnds",
    )
    _variable(dataset, "depth_bnds", DEPTH, ("bnds",))
    crs = dataset.createVariable("crs", "i4")
    crs[...] = 0
    crs.setncatts(crs_attributes(domain))


def corners(window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return latitude and longitude of the cells' corners, counter-clockwise from south-west.

    CDO needs them for conservative remapping. Single precision places them to 1 m; the exact edges
    are `x_bnds` and `y_bnds`.

    Returns
    -------
    lat, lon
        Degrees, each of shape (rows, cols, 4).
    """
    y, x = M09.y_edges[window.row0 : window.row1 + 1], M09.x_edges[window.col0 : window.col1 + 1]
    lat, lon = unproject(0.0, y)[0].astype(np.float32), unproject(x, 0.0)[1].astype(np.float32)
    north, south, west, east = lat[:-1], lat[1:], lon[:-1], lon[1:]
    shape = (north.size, west.size, 4)
    return (
        np.broadcast_to(np.stack([south, south, north, north], 1)[:, None, :], shape),
        np.broadcast_to(np.stack([west, east, east, west], 1)[None, :, :], shape),
    )


def _variable(
    dataset: netCDF4.Dataset,
    name: str,
    values: ArrayLike,
    dimensions: tuple[str, ...],
    **attributes: str,
) -> None:
    """Write one coordinate, in double precision unless its values are single."""
    values = np.asarray(values)
    dtype = "f4" if values.dtype == np.float32 else "f8"
    storage: dict[str, Any] = {}
    if dimensions[:2] == ("y", "x"):
        storage = _storage(dataset, dimensions)
    elif dimensions[:1] == ("time",):
        storage = {"chunksizes": (1, *(len(dataset.dimensions[d]) for d in dimensions[1:]))}
    variable = dataset.createVariable(name, dtype, dimensions, **storage)
    variable[...] = values
    variable.setncatts({**attributes, "coverage_content_type": "coordinate"})


def _create_layer(dataset: netCDF4.Dataset, layer: Layer, names: tuple[str, ...]) -> None:
    dimensions = ("time", "y", "x")
    floating = np.issubdtype(layer.dtype, np.floating)
    variable = dataset.createVariable(
        layer.name,
        layer.dtype,
        dimensions,
        fill_value=np.dtype(layer.dtype).type(layer.fill),
        least_significant_digit=SIGNIFICANT_DIGIT if floating else None,
        **_storage(dataset, dimensions),
    )
    named = {"standard_name": layer.standard_name} if layer.standard_name else {}
    variable.setncatts(
        {
            **named,
            "long_name": layer.long_name,
            "units": layer.units,
            "valid_range": np.array(layer.valid_range, layer.dtype),
            "coordinates": "lat lon depth",
            "grid_mapping": "crs",
            "coverage_content_type": layer.content_type,
            "comment": layer.comment,
            **_extra(layer, names),
        }
    )


def _extra(layer: Layer, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the further attributes of a layer, with only existing layers as ancillary."""
    extra = dict(layer.extra)
    if ancillary := extra.get("ancillary_variables"):
        extra["ancillary_variables"] = " ".join(n for n in ancillary.split() if n in names)
    return extra


def _values(daily_map: DailyMap, layer: Layer) -> NDArray[Any]:
    """Return a layer's values on the window, with its fill value elsewhere."""
    values = np.asarray(daily_map.values(layer))
    fill = values.dtype.type(layer.fill)
    return daily_map.domain.to_map(np.where(np.isnan(values), fill, values), fill)


def _storage(dataset: netCDF4.Dataset, dimensions: tuple[str, ...]) -> dict[str, Any]:
    sizes = {"time": 1, "corner": 4}
    sizes |= {d: min(CHUNK, len(dataset.dimensions[d])) for d in ("y", "x")}
    return {
        "compression": "zlib",
        "complevel": DEFLATE,
        "shuffle": True,
        "chunksizes": tuple(sizes[d] for d in dimensions),
    }
