"""An input product: its layout, and how its granules are read into canonical fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import cftime
import h5py
import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.products import hdf5
from msm.products.checks import difference
from msm.products.layout import Layout, Variable
from msm.products.placement import Block, GridWindow, Placement, listed, span

Fields = dict[str, NDArray[Any]]
"""Fields by name on the product's grid or a window of it, each (rows, cols) in the grid's order.

(times, rows, cols) where a granule has several times.
"""


class GranuleError(MsmError):
    """A granule cannot be used; the message names it and the reason."""


class LayoutError(GranuleError):
    """A granule opens, but does not have its product's layout."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The content of one granule in canonical names and units."""

    layout: Layout
    version: str
    """Version stated in the file, or the layout's where it states none."""
    time: datetime | None
    """Time stamp in the granule, UTC; None for a static product."""
    fields: Fields
    """Float32, NaN for fill; flags as stored, with their fill."""

    @property
    def day(self) -> date | None:
        """UTC day of the stamp."""
        return self.time.date() if self.time else None


def _as_read(fields: Fields) -> Fields:
    return fields


@dataclass(frozen=True)
class Derived:
    """A canonical field that is computed from variables of a granule."""

    name: str
    units: str
    of: str
    """Layout variable with the same times."""


@dataclass(frozen=True)
class Product:
    """One version of one input product."""

    layout: Layout
    canonical: Callable[[Fields], Fields] = _as_read
    """Converts variables of a file to canonical fields (wind components to speed, ...)."""
    derived: tuple[Derived, ...] = ()
    """Fields that `canonical` adds."""

    @property
    def id(self) -> str:
        """Short name and version."""
        return self.layout.id

    @property
    def forcing(self) -> frozenset[str]:
        """Names of the fields that may become forcing."""
        read = {v.name for v in self.layout.variables if v.use == "forcing"}
        return frozenset(read | {field.name for field in self.derived})

    def units(self, name: str) -> str:
        """Return the canonical units of a field of a `Reading`."""
        units = {v.name: v.canonical_units for v in self.layout.variables}
        return (units | {field.name: field.units for field in self.derived})[name]

    def used(self, name: str, day: date) -> list[tuple[datetime, int]]:
        """List the values that a field's daily value consists of, as `Layout.used`."""
        source = {field.name: field.of for field in self.derived}.get(name, name)
        return self.layout.used(next(v for v in self.layout.variables if v.name == source), day)

    def read(
        self,
        path: Path,
        names: Iterable[str] | None = None,
        window: GridWindow | None = None,
    ) -> Reading:
        """Read a granule.

        Parameters
        ----------
        path
            The file, as the provider wrote it.
        names
            Layout variables to read; all in the file when None.
        window
            Rows and columns of the product's grid to read, all when None. The fields cover the
            window, and other parts of the file are not read.

        Returns
        -------
        Reading
            The fields in canonical names and units.

        Raises
        ------
        GranuleError
            If the file does not open, or its time is not the one in its name.
        LayoutError
            If a required variable is missing, a shape or an axis is not the product's, or the
            file states another product.
        """
        with open_granule(path) as granule:
            stored = present(granule, self.layout)
            absent = missing(self.layout, stored)
            if absent:
                raise LayoutError(
                    f"{path.name} does not have the layout of {self.id}: it has no "
                    f"{', '.join(absent)}. It is a subset by a service, or a version that msm does "
                    f"not know yet; fetch the complete granule of {self.id}."
                )
            if contradicts(granule, self.layout):
                raise LayoutError(
                    f"{path.name} states that it is {stated(granule, self.layout, 'product')}, "
                    f"not {self.id}: fetch it again; if nothing changes, report it to the provider."
                )
            time = stamp(granule, self.layout, path.name)
            place = placement(granule, self.layout, path.name)
            grid = self.layout.grid
            window = window or (slice(0, grid.rows), slice(0, grid.cols))
            fields = {
                v.name: _read_variable(stored[v.name], v, self.layout, place, window, path.name)
                for v in self.layout.variables
                if v.name in stored and (names is None or v.name in names)
            }
            version = stated(granule, self.layout, "version") or self.layout.version
        if time is not None and self.layout.matches(path.name):
            named = self.layout.time_of(path.name)
            if named != time:
                raise GranuleError(
                    f"{path.name} states {time:%Y-%m-%dT%H:%M}Z, not the time in its name: "
                    "fetch it again; if nothing changes, report it to the provider."
                )
        return Reading(self.layout, version, time, self.canonical(fields))


@contextmanager
def open_granule(path: Path) -> Iterator[h5py.File]:
    """Open a granule, and turn errors of the library into one sentence.

    Raises
    ------
    GranuleError
        If the file is missing, is neither NetCDF-4 nor HDF5, or cannot be read.
    """
    if _starts_with(path, b"GRIB"):
        raise GranuleError(
            f"{path.name} is GRIB, which msm does not read: use the NetCDF edition of the product "
            "instead (for NLDAS, version 2.0)."
        )
    try:
        file = h5py.File(path)
    except (OSError, RuntimeError) as error:
        raise GranuleError(
            f"{path.name} cannot be opened as NetCDF or HDF5 ({hdf5.reason(error)}): "
            "remove it and fetch it again."
        ) from error
    try:
        yield file
    except (OSError, RuntimeError) as error:
        raise GranuleError(
            f"{path} cannot be read ({hdf5.reason(error)}): remove it and fetch it again."
        ) from error
    finally:
        file.close()


def _starts_with(path: Path, signature: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) == signature
    except OSError:
        return False  # h5py reports why it does not open


def present(granule: h5py.File, layout: Layout) -> dict[str, h5py.Dataset]:
    """Return the variables of a layout that an open granule has, by name."""
    found = {v.name: hdf5.variable(granule, v.path) for v in layout.variables}
    return {name: stored for name, stored in found.items() if stored is not None}


def missing(layout: Layout, stored: Mapping[str, h5py.Dataset]) -> list[str]:
    """List the paths of the required variables of a layout that a granule does not have.

    A variable of another rank does not count: half-orbits (1-D) and daily grids (2-D) of SMAP have
    the same names.
    """
    return [
        v.path
        for v in layout.variables
        if v.required and (v.name not in stored or stored[v.name].ndim != len(v.dims))
    ]


def placement(granule: h5py.File, layout: Layout, file: str) -> Placement:
    """Find the position of an open granule's values on its product's grid.

    A subset is accepted where its axes are centres of the grid, so that each value has exactly one
    cell. The same check refuses a changed grid.

    Raises
    ------
    LayoutError
        If axes or indices are not the product's.
    """
    grid = layout.grid
    if grid.row_index and grid.col_index:
        max_size = grid.rows * grid.cols
        row, col = (
            hdf5.numbers(hdf5.variable(granule, path), max_size)
            for path in (grid.row_index, grid.col_index)
        )
        cells = None if row is None or col is None else listed(row, col, grid)
        if cells is None:
            raise LayoutError(
                f"{file}: {grid.row_index} and {grid.col_index} do not name each cell of the "
                f"{grid.kind} grid once, as in {layout.id}: fetch it again."
            )
        return cells
    spans = []
    for path, centres in zip(grid.axis_paths, grid.axes(), strict=True):
        stored = hdf5.variable(granule, path) if path else None
        if stored is None and grid.kind != "latlon":
            # Complete EASE-2 granules may have no axes; their shape is checked instead.
            spans.append(slice(0, centres.size))
            continue
        axis = hdf5.numbers(stored, centres.size)
        found = None if axis is None else span(axis, centres)
        if found is None:
            raise LayoutError(
                f"{file}: the axis {path!r} is not the one of {layout.id}: "
                "the grid has changed; its layout file must be updated."
            )
        spans.append(found)
    return Block(*spans)


def _read_variable(
    stored: h5py.Dataset,
    variable: Variable,
    layout: Layout,
    place: Placement,
    window: GridWindow,
    file: str,
) -> NDArray[Any]:
    dims = variable.dims
    spatial = len(place.shape)
    transposed = dims[-2:] == ("lon", "lat")
    order = -1 if transposed else 1
    shape = tuple(layout.times if name == "time" else 1 for name in dims[:-spatial])
    shape += place.shape[::order]
    if stored.shape != shape:
        raise LayoutError(
            f"{file}: {variable.path} has shape {stored.shape}, where {layout.id} has "
            f"{shape}: the grid has changed or this is a subset; "
            f"fetch the complete granule of {layout.id}."
        )
    differs = difference(stored, variable)
    if differs is not None:
        raise LayoutError(
            f"{file}: {variable.path} {differs[0]}, where {layout.id} has {differs[1]}: "
            "its layout file must be updated."
        )
    expected = np.dtype(variable.dtype)
    measured = expected.kind == "f"
    part: NDArray[Any] = stored[(..., *place.stored(window)[::order])]
    part = part.reshape((layout.times, *part.shape[-spatial:]))
    if measured:
        # An overflow gives infinity, which the reading process refuses.
        with np.errstate(over="ignore"):
            part = part.astype(np.float32, copy=False)
            # Compared in single precision: a fill that was widened differs from the layout's.
            empty = part == np.float32(variable.fill)
            if variable.scale != 1.0:
                part *= np.float32(variable.scale)
        np.copyto(part, np.nan, where=empty)
    if transposed:
        part = part.swapaxes(-1, -2)
    if not measured:
        part = part.astype(expected, copy=False)
    fields = place.on_window(part, window, np.nan if measured else variable.fill)
    return fields if layout.times > 1 else fields[0]


def stamp(granule: h5py.File, layout: Layout, file: str) -> datetime | None:
    """Return the granule time that an open granule states, UTC, to the second.

    Raises
    ------
    LayoutError
        If it states none although its product does, or does not have all its times.
    """
    if layout.stamp is None:
        return None
    count = 1
    try:
        if layout.stamp.variable:
            stored = hdf5.variable(granule, layout.stamp.variable)
            # A missing variable raises an AttributeError below.
            count = 0 if stored is None else stored.size
            moments = _times(stored, layout.times)
        else:
            group, _, name = str(layout.stamp.attribute).partition("@")
            text = stated_at(granule, group, name)
            moments = [datetime.fromisoformat(str(text)).astimezone(UTC)]
        first = moments[0]
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError) as error:
        where = layout.stamp.variable or layout.stamp.attribute
        raise LayoutError(
            f"{file} states no time at {where}, where {layout.id} does: fetch it again."
        ) from error
    # An attribute states one time, a variable all.
    expected = layout.times if layout.stamp.variable else 1
    even = [first] + [first + n * layout.interval for n in range(1, expected)]
    if count != expected or moments != even:
        raise LayoutError(
            f"{file} has {count} times from {first:%Y-%m-%dT%H:%M}Z on, where {layout.id} "
            f"has {layout.times}, {layout.interval} apart: it is a subset by a service; fetch the "
            "complete granule."
        )
    # Rounded to the second, the resolution of granule names.
    offset = timedelta(seconds=layout.stamp.offset_seconds, microseconds=500_000)
    return (first + offset).replace(microsecond=0)


def _times(variable: Any, limit: int) -> list[datetime]:
    """Return the first `limit` times of a scalar or one-dimensional variable."""
    if variable.ndim > 1 or variable.dtype.kind not in "fiu":
        raise ValueError(f"{variable.name} is not a row of numbers")
    # A file of a few bytes may state a length that exceeds the memory.
    numbers = variable[:limit] if variable.ndim else variable[()]
    # GLDAS has a blank before its units. Some providers write "julian" for the standard calendar:
    # both have the same days from 1901 to 2099.
    calendar = hdf5.attribute(variable, "calendar", "standard")
    units = hdf5.attribute(variable, "units").strip()
    moments = cftime.num2date(np.atleast_1d(numbers), units, calendar)
    return [
        datetime(m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond, tzinfo=UTC)
        for m in moments
    ]


def stated_at(granule: h5py.File, group: str, name: str) -> str | None:
    """Return an attribute of an open granule, or one `KEY=value;` line of it; None without it."""
    attribute, _, key = name.partition(":")
    holder = granule.get(group) if group else granule
    text = None if holder is None else hdf5.attribute(holder, attribute)
    if text is None or not key:
        return None if text is None else str(text)
    lines = dict(line.strip().partition("=")[::2] for line in str(text).split(";"))
    return lines.get(key)


def stated(granule: h5py.File, layout: Layout, what: Literal["product", "version"]) -> str | None:
    """Return the product or version that an open granule states; None where it states none."""
    for attribute in layout.attributes:
        if attribute.states == what:
            return stated_at(granule, attribute.group, attribute.name)
    return None


def contradicts(granule: h5py.File, layout: Layout) -> bool:
    """Return whether an open granule states another product."""
    named = stated(granule, layout, "product")
    expected = next((a.value for a in layout.attributes if a.states == "product"), None)
    return named is not None and named != expected
