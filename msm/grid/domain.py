"""Domains: the land cells in a window of the M09 grid, by a versioned land mask.

The mask `masks/M09-land-v1.nc` has the land fraction of every M09 cell in percent; inland water
is not land. `python -m msm.grid.mask` writes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from typing import NamedTuple, TypeVar

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.grid.ease import M09

MASK_VERSION = "1"
MIN_LAND_FRACTION = 0.5
"""A cell belongs to a domain where land covers at least this share of it."""

BOXES = {"conus": (25.0, 53.0, -125.0, -67.0), "global": (-60.0, 90.0, -180.0, 180.0)}
"""South, north, west, east of the standard domains, degrees, for the centres of cells.

The global domain ends at 60 S: the land beyond is ice.
"""

Value = TypeVar("Value", bound=np.generic)


class Window(NamedTuple):
    """A half-open block of M09 rows and columns."""

    row0: int
    row1: int
    col0: int
    col1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, to index a field on the global grid."""
        return slice(self.row0, self.row1), slice(self.col0, self.col1)


@dataclass(frozen=True, eq=False)
class Domain:
    """The cells that a map is produced for, in row-major order of their window."""

    name: str
    """`conus`, `global` or `box:SOUTH,NORTH,WEST,EAST`."""
    window: Window
    row: NDArray[np.int32]
    """M09 row of each cell, shape (n_cell,)."""
    col: NDArray[np.int32]
    """M09 column of each cell, shape (n_cell,)."""
    land_fraction: NDArray[np.float32]
    """Share of each cell that is land, shape (n_cell,)."""
    mask_version: str = MASK_VERSION

    @property
    def n_cell(self) -> int:
        """Number of cells."""
        return self.row.size

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window."""
        return self.window.row1 - self.window.row0, self.window.col1 - self.window.col0

    @cached_property
    def lat(self) -> NDArray[np.float64]:
        """Latitude of the cells' centres, shape (n_cell,), degrees north."""
        return M09.lat[self.row]

    @cached_property
    def lon(self) -> NDArray[np.float64]:
        """Longitude of the cells' centres, shape (n_cell,), degrees east."""
        return M09.lon[self.col]

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """Easting of the window's columns from west to east, m."""
        return M09.x[self.window.col0 : self.window.col1]

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """Northing of the window's rows from north to south, m."""
        return M09.y[self.window.row0 : self.window.row1]

    @cached_property
    def mask_sha256(self) -> str:
        """SHA-256 (hex) of the cells and their land fractions: equal for equal domains."""
        digest = hashlib.sha256(self.mask_version.encode())
        for part in (self.row, self.col, self.land_fraction):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def numbers(self) -> NDArray[np.int32]:
        """Return the index of the cell at each row and column of M09, -1 outside the domain."""
        numbers = np.full((M09.rows, M09.cols), -1, np.int32)
        numbers[self.row, self.col] = np.arange(self.n_cell)
        return numbers

    def to_map(self, values: NDArray[Value], fill: object = np.nan) -> NDArray[Value]:
        """Place cell values (n_cell,) on the window (rows, cols), `fill` elsewhere."""
        window = np.full(self.shape, fill, dtype=values.dtype)
        window[self.row - self.window.row0, self.col - self.window.col0] = values
        return window

    def from_map(self, window: NDArray[Value]) -> NDArray[Value]:
        """Take the cells' values (..., n_cell) from maps on the window (..., rows, cols)."""
        return window[..., self.row - self.window.row0, self.col - self.window.col0]


@lru_cache(maxsize=1)
def land_fraction() -> NDArray[np.uint8]:
    """Read the packaged land mask: percent of land on the whole M09 grid, shape (1624, 3856)."""
    packaged = files("msm.grid").joinpath(f"masks/M09-land-v{MASK_VERSION}.nc")
    with as_file(packaged) as path, netCDF4.Dataset(path) as dataset:
        dataset.set_auto_mask(False)
        percent: NDArray[np.uint8] = dataset["land_fraction"][:]
    return percent


@lru_cache(maxsize=8)
def load_domain(name: str) -> Domain:
    """Load a domain by name.

    Parameters
    ----------
    name
        `conus`, `global`, or a box `box:SOUTH,NORTH,WEST,EAST` in degrees.

    Raises
    ------
    MsmError
        If the name is unknown, the box is malformed or contains no land.
    """
    south, north, west, east = _box(name)
    rows = np.flatnonzero((M09.lat >= south) & (M09.lat <= north))
    cols = np.flatnonzero((M09.lon >= west) & (M09.lon <= east))
    if rows.size == 0 or cols.size == 0:
        raise MsmError(f"Domain {name!r} contains no cell: use a box of at least 0.1 degrees.")
    window = Window(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
    percent = land_fraction()[window.row0 : window.row1, window.col0 : window.col1]
    row, col = np.nonzero(percent >= 100 * MIN_LAND_FRACTION)
    if row.size == 0:
        raise MsmError(f"Domain {name!r} contains no land: move or widen the box.")
    return Domain(
        name=name,
        window=window,
        row=(row + window.row0).astype(np.int32),
        col=(col + window.col0).astype(np.int32),
        land_fraction=percent[row, col].astype(np.float32) / np.float32(100),
    )


def _box(name: str) -> tuple[float, float, float, float]:
    if name in BOXES:
        return BOXES[name]
    remedy = "use 'conus', 'global' or 'box:SOUTH,NORTH,WEST,EAST' in degrees"
    kind, _, numbers = name.partition(":")
    if kind != "box":
        raise MsmError(f"There is no domain {name!r}: {remedy}.")
    try:
        south, north, west, east = (float(number) for number in numbers.split(","))
    except ValueError:
        raise MsmError(f"The box of domain {name!r} is not four numbers: {remedy}.") from None
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise MsmError(f"The box of domain {name!r} is empty or off the globe: {remedy}.")
    return south, north, west, east
