"""What an input product is: a layout, and how its granules become canonical fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cftime
import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.inputs.layout import Layout, Variable

Fields = dict[str, NDArray[Any]]
"""Fields by name, each (rows, cols) in the order of the file."""


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
class Product:
    """One version of one input product."""

    layout: Layout
    canonical: Callable[[Fields], Fields] = _as_read
    """Turns the ingredients in a file into canonical fields (wind components into speed, ...)."""
    units_of_derived: tuple[tuple[str, str], ...] = ()
    """Names and units of fields that `canonical` adds."""

    @property
    def id(self) -> str:
        """Short name and version."""
        return self.layout.id

    def units(self, name: str) -> str:
        """Return the canonical units of a field of a `Reading`."""
        units = {v.name: v.canonical_units for v in self.layout.variables}
        return (units | dict(self.units_of_derived))[name]

    def read(self, path: Path, names: Iterable[str] | None = None) -> Reading:
        """Read a granule.

        Parameters
        ----------
        path
            The file, as the provider wrote it.
        names
            Layout variables to read; all that the file holds when None.

        Returns
        -------
        Reading
            The fields in canonical names and units.

        Raises
        ------
        GranuleError
            If the file does not open, or its time is not the one its name states.
        LayoutError
            If a required variable is missing, or a shape or an axis is not the product's.
        """
        with open_granule(path) as dataset:
            absent = missing(dataset, self.layout)
            if absent:
                raise LayoutError(
                    f"{path.name} is not laid out as {self.id}: it lacks {', '.join(absent)}. "
                    f"A subset by a service, or a version that msm does not know yet; "
                    f"fetch the whole granule of {self.id}."
                )
            _check_axes(dataset, self.layout, path.name)
            time = stamp(dataset, self.layout, path.name)
            fields = {
                v.name: _read_variable(dataset, v, self.layout, path.name)
                for v in self.layout.variables
                if (names is None or v.name in names) and _find(dataset, v.path) is not None
            }
            version = _stated_version(dataset, self.layout)
        if time is not None and self.layout.matches(path.name):
            named = self.layout.time_of(path.name)
            if named != time:
                raise GranuleError(
                    f"{path.name} holds {time:%Y-%m-%dT%H:%M}Z, not the time in its name: "
                    "fetch it again; if it comes back the same, the provider has to mend it."
                )
        return Reading(self.layout, version, time, self.canonical(fields))


@contextmanager
def open_granule(path: Path) -> Iterator[Any]:
    """Open a granule, turning the library's errors into one sentence.

    Raises
    ------
    GranuleError
        If the file is missing, or is neither NetCDF-4 nor HDF5.
    """
    try:
        dataset = netCDF4.Dataset(path)
    except (OSError, RuntimeError) as error:
        raise GranuleError(
            f"{path} cannot be opened as NetCDF or HDF5 ({error}): remove it and fetch it again."
        ) from error
    dataset.set_auto_maskandscale(False)
    try:
        yield dataset
    except (OSError, RuntimeError) as error:
        raise GranuleError(
            f"{path} breaks while it is read ({error}): remove it and fetch it again."
        ) from error
    finally:
        dataset.close()


def _find(dataset: Any, path: str) -> Any | None:
    try:
        return dataset[path]
    except (IndexError, KeyError):
        return None


def missing(dataset: Any, layout: Layout) -> list[str]:
    """List the required variables of a layout that an open granule lacks.

    A variable of another rank is another variable: half-orbits (1-D) and daily grids (2-D) of SMAP
    share their names.
    """
    lacking = []
    for variable in layout.variables:
        stored = _find(dataset, variable.path)
        if variable.required and (stored is None or stored.ndim != len(variable.dims)):
            lacking.append(variable.path)
    return lacking


def _read_variable(dataset: Any, variable: Variable, layout: Layout, file: str) -> NDArray[Any]:
    stored = dataset[variable.path]
    grid = layout.grid
    extra = len(variable.dims) - 2
    if stored.ndim != len(variable.dims) or stored.shape[extra:] != (grid.rows, grid.cols):
        raise LayoutError(
            f"{file}: {variable.path} has shape {stored.shape}, where {layout.id} has "
            f"({grid.rows}, {grid.cols}): the grid has changed or this is a subset; "
            f"fetch the whole granule of {layout.id}."
        )
    values: NDArray[Any] = stored[(0,) * extra]
    if values.dtype.kind in "ui":
        return values
    empty = values == np.asarray(variable.fill, values.dtype)
    fields = values.astype(np.float32) * np.float32(variable.scale)
    fields[empty] = np.nan
    return fields


def _check_axes(dataset: Any, layout: Layout, file: str) -> None:
    grid = layout.grid
    if grid.lat is None or grid.lon is None:
        return
    for path, expected in zip((grid.lat, grid.lon), grid.axes(), strict=True):
        axis = _find(dataset, path)
        # Providers round their axes, to 0.0005 degrees in the real NLDAS files: a hundredth of a
        # cell is above any such rounding and below any shift.
        tolerance = abs(expected[1] - expected[0]) / 100
        if (
            axis is None
            or axis.shape != expected.shape
            or np.abs(axis[:] - expected).max() > tolerance
        ):
            raise LayoutError(
                f"{file}: the axis {path!r} is not the one of {layout.id}: "
                "the grid has changed; its layout file has to be brought up to date."
            )


def stamp(dataset: Any, layout: Layout, file: str) -> datetime | None:
    """Return the time that an open granule states for itself, UTC.

    Raises
    ------
    LayoutError
        If it states none although its product does.
    """
    if layout.stamp is None:
        return None
    try:
        if layout.stamp.variable:
            time = dataset[layout.stamp.variable]
            moment = cftime.num2pydate(
                int(time[0]), time.units, getattr(time, "calendar", "standard")
            )
            return moment.replace(tzinfo=UTC)
        group, _, name = str(layout.stamp.attribute).partition("@")
        return datetime.fromisoformat(dataset[group].getncattr(name)).astimezone(UTC)
    except (IndexError, KeyError, AttributeError, ValueError) as error:
        where = layout.stamp.variable or layout.stamp.attribute
        raise LayoutError(
            f"{file} states no time at {where}, where {layout.id} does: fetch it again."
        ) from error


def _stated_version(dataset: Any, layout: Layout) -> str:
    for attribute in layout.attributes:
        if attribute.name == "ECSVersionID":
            group = _find(dataset, attribute.group)
            if group is not None and attribute.name in group.ncattrs():
                return str(group.getncattr(attribute.name))
    return layout.version
