"""What an input product is: a layout, and how its granules become canonical fields."""

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
    """A granule cannot be used; the message names it and what is wrong with it."""


class LayoutError(GranuleError):
    """A granule opens, but it is not laid out as its product is."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The content of one granule in canonical names and units."""

    layout: Layout
    version: str
    """Version that the file states, or the layout's where it states none."""
    time: datetime | None
    """The granule's own stamp, UTC; None for a static product."""
    fields: Fields
    """Float32 with NaN where nothing was stored; flags stay as stored, with their fill."""

    @property
    def day(self) -> date | None:
        """UTC day of the stamp."""
        return self.time.date() if self.time else None


def _as_read(fields: Fields) -> Fields:
    return fields


@dataclass(frozen=True)
class Derived:
    """A canonical field that is worked out from what a granule holds."""

    name: str
    units: str
    of: str
    """The layout variable whose times it shares."""


@dataclass(frozen=True)
class Product:
    """One version of one input product."""

    layout: Layout
    canonical: Callable[[Fields], Fields] = _as_read
    """Turns the ingredients in a file into canonical fields (wind components into speed, ...)."""
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
        """List what makes up a field's value of a product day, as `Layout.used`."""
        of = {field.name: field.of for field in self.derived}.get(name, name)
        return self.layout.used(next(v for v in self.layout.variables if v.name == of), day)

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
            Layout variables to read; all that the file holds when None.
        window
            Rows and columns of the product's grid to read, all when None. The fields then cover
            the window, and what the file holds elsewhere is left alone.

        Returns
        -------
        Reading
            The fields in canonical names and units.

        Raises
        ------
        GranuleError
            If the file does not open, or its time is not the one its name states.
        LayoutError
            If a required variable is missing, a shape or an axis is not the product's, or the
            file states another product.
        """
        with open_granule(path) as granule:
            stored = held(granule, self.layout)
            absent = missing(self.layout, stored)
            if absent:
                raise LayoutError(
                    f"{path.name} is not laid out as {self.id}: it lacks {', '.join(absent)}. "
                    f"A subset by a service, or a version that msm does not know yet; "
                    f"fetch the whole granule of {self.id}."
                )
            if contradicts(granule, self.layout):
                raise LayoutError(
                    f"{path.name} states that it is {stated(granule, self.layout, 'product')}, "
                    f"not {self.id}: fetch it again; if it comes back the same, the provider has "
                    "to mend it."
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
                    f"{path.name} holds {time:%Y-%m-%dT%H:%M}Z, not the time in its name: "
                    "fetch it again; if it comes back the same, the provider has to mend it."
                )
        return Reading(self.layout, version, time, self.canonical(fields))


@contextmanager
def open_granule(path: Path) -> Iterator[h5py.File]:
    """Open a granule, turning the library's errors into one sentence.

    Raises
    ------
    GranuleError
        If the file is missing, or is neither NetCDF-4 nor HDF5.
    """
    if _starts_with(path, b"GRIB"):
        raise GranuleError(
            f"{path.name} is GRIB, which msm does not read: take the netCDF edition of the "
            "product instead (for NLDAS, version 2.0)."
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
            f"{path} breaks while it is read ({hdf5.reason(error)}): remove it and fetch it again."
        ) from error
    finally:
        file.close()


def _starts_with(path: Path, signature: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) == signature
    except OSError:
        return False  # what is wrong with it is told by who opens it


def held(granule: h5py.File, layout: Layout) -> dict[str, h5py.Dataset]:
    """Find the variables of a layout that an open granule holds, by name."""
    found = {v.name: hdf5.variable(granule, v.path) for v in layout.variables}
    return {name: stored for name, stored in found.items() if stored is not None}


def missing(layout: Layout, held: Mapping[str, h5py.Dataset]) -> list[str]:
    """List the required variables of a layout that are not among those which a granule holds.

    A variable of another rank is another variable: half-orbits (1-D) and daily grids (2-D) of SMAP
    share their names.
    """
    return [
        v.path
        for v in layout.variables
        if v.required and (v.name not in held or held[v.name].ndim != len(v.dims))
    ]


def placement(granule: h5py.File, layout: Layout, file: str) -> Placement:
    """Find where on its product's grid an open granule's values stand.

    A subset is accepted where its axes fall on centres of the grid, so that each of its values
    has exactly one cell; the same check refuses a grid that has changed.

    Raises
    ------
    LayoutError
        If axes or indices are not the product's.
    """
    grid = layout.grid
    if grid.row_index and grid.col_index:
        most = grid.rows * grid.cols
        row, col = (
            hdf5.numbers(hdf5.variable(granule, path), most)
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
    for path, whole in zip(grid.axis_paths, grid.axes(), strict=True):
        stored = hdf5.variable(granule, path) if path else None
        if stored is None and grid.kind != "latlon":
            # Whole EASE-2 granules may have no axes: then the shape has to be the grid's.
            spans.append(slice(0, whole.size))
            continue
        axis = hdf5.numbers(stored, whole.size)
        found = None if axis is None else span(axis, whole)
        if found is None:
            raise LayoutError(
                f"{file}: the axis {path!r} is not the one of {layout.id}: "
                "the grid has changed; its layout file has to be brought up to date."
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
    turned = dims[-2:] == ("lon", "lat")
    order = -1 if turned else 1
    shape = tuple(layout.times if name == "time" else 1 for name in dims[:-spatial])
    shape += place.shape[::order]
    if stored.shape != shape:
        raise LayoutError(
            f"{file}: {variable.path} has shape {stored.shape}, where {layout.id} has "
            f"{shape}: the grid has changed or this is a subset; "
            f"fetch the whole granule of {layout.id}."
        )
    differs = difference(stored, variable)
    if differs is not None:
        raise LayoutError(
            f"{file}: {variable.path} {differs[0]}, where {layout.id} has {differs[1]}: "
            "its layout file has to be brought up to date."
        )
    expected = np.dtype(variable.dtype)
    measured = expected.kind == "f"
    part: NDArray[Any] = stored[(..., *place.stored(window)[::order])]
    part = part.reshape((layout.times, *part.shape[-spatial:]))
    if measured:
        # What overflows is infinite, and refused by who reads.
        with np.errstate(over="ignore"):
            part = part.astype(np.float32, copy=False)
            # In single precision, as it was made: a widened fill is not the layout's number.
            empty = part == np.float32(variable.fill)
            if variable.scale != 1.0:
                part *= np.float32(variable.scale)
        np.copyto(part, np.nan, where=empty)
    if turned:
        part = part.swapaxes(-1, -2)
    if not measured:
        part = part.astype(expected, copy=False)
    fields = place.laid_out(part, window, np.nan if measured else variable.fill)
    return fields if layout.times > 1 else fields[0]


def stamp(granule: h5py.File, layout: Layout, file: str) -> datetime | None:
    """Return the granule time that an open granule states, UTC, to the second.

    Raises
    ------
    LayoutError
        If it states none although its product does, or has not all its times.
    """
    if layout.stamp is None:
        return None
    held = 1
    try:
        if layout.stamp.variable:
            stored = hdf5.variable(granule, layout.stamp.variable)
            # What is not there has no size: it is told below.
            held = 0 if stored is None else stored.size
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
    # An attribute states one time, a variable each.
    count = layout.times if layout.stamp.variable else 1
    even = [first] + [first + n * layout.interval for n in range(1, count)]
    if held != count or moments != even:
        raise LayoutError(
            f"{file} holds {held} times from {first:%Y-%m-%dT%H:%M}Z on, where {layout.id} "
            f"has {layout.times}, {layout.interval} apart: it is a subset by a service; fetch the "
            "whole granule."
        )
    # Rounded to the second: names of granules carry no more.
    offset = timedelta(seconds=layout.stamp.offset_seconds, microseconds=500_000)
    return (first + offset).replace(microsecond=0)


def _times(variable: Any, most: int) -> list[datetime]:
    """Return the first `most` times of a variable of one row, or of one number."""
    if variable.ndim > 1 or variable.dtype.kind not in "fiu":
        raise ValueError(f"{variable.name} is no row of numbers")
    # A file of a few bytes may state a length that no memory holds.
    numbers = variable[:most] if variable.ndim else variable[()]
    # GLDAS has a blank before its units, and some providers write "julian" where they count in
    # the common calendar: both calendars count days alike from 1901 to 2099.
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
    """Tell whether an open granule states that it is of another product."""
    named = stated(granule, layout, "product")
    expected = next((a.value for a in layout.attributes if a.states == "product"), None)
    return named is not None and named != expected
