"""The content of a granule, read independently: every accepted reading must equal it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import M09, M36
from msm.products.layout import Grid, Variable
from msm.products.product import Reading
from tests.fuzz.bases import Subject

STATED = {"_FillValue": "fill", "missing_value": "fill", "scale_factor": 1.0, "add_offset": 0.0}
"""Attributes that a variable may have, and their only valid values."""


def wrong(subject: Subject, path: Path, reading: Reading) -> str | None:
    """Return what is wrong with the reading of a file, None if nothing is."""
    layout = subject.layout
    if reading.time != subject.stamp:
        return f"is of {reading.time}"
    with h5py.File(path) as file:
        for a in layout.attributes:
            text = _attribute(file, a.group, a.name.partition(":")[0])
            if a.states == "product" and text is not None and a.value not in text:
                return f"states to be {text[:60]!r}"
        place = _cells(file, subject)
        expected = {}
        for variable in layout.variables:
            stored = file.get(variable.path)
            if stored is None:
                if variable.required:
                    return f"has no {variable.path}"
                continue
            odd = _odd(file, stored, variable)
            if odd:
                return f"was accepted though {variable.path} {odd}"
            expected[variable.name] = _field(stored, variable, subject, *place)
    if subject.product.derived:
        east, north = (expected.pop(name, None) for name in ("wind_east", "wind_north"))
        if east is not None and north is not None:
            expected["wind_speed"] = np.hypot(east, north)
    if expected.keys() != reading.fields.keys():
        return f"has {sorted(reading.fields)} instead of {sorted(expected)}"
    for name, field in reading.fields.items():
        if field.dtype != expected[name].dtype or np.isinf(expected[name]).any():
            return f"has {name} of {field.dtype}, infinite or of another type"
        if not np.array_equal(field, expected[name], equal_nan=field.dtype.kind == "f"):
            return f"has other values of {name} than the file"
    return None


def _odd(file: h5py.File, stored: h5py.Dataset, variable: Variable) -> str | None:
    measured = np.dtype(variable.dtype).kind == "f"
    types = ("f4", "f8") if measured else (variable.dtype,)
    if stored.dtype.newbyteorder("=") not in types:
        return f"is stored as {stored.dtype}"
    if stored.file.filename != file.filename or stored.external or stored.is_virtual:
        return "lies in another file"
    # On a square grid only the dimensions distinguish rows from columns.
    if stored.ndim > 1 and len(set(stored.shape[-2:])) == 1:
        tied = [str(d[0].name).rpartition("/")[2] for d in [*stored.dims][-2:] if len(d)]
        if tied == [*variable.dims[:-3:-1]]:
            return "is transposed"
    for name, right in STATED.items():
        if name in stored.attrs:
            value = stored.attrs[name]
            right = variable.fill if right == "fill" else right
            if not _is(value, right):
                return f"states {name} = {value}"
    return None


def _is(value: Any, right: float) -> bool:
    try:
        return bool(np.size(value) == 1 and np.float32(np.ravel(value)[0]) == np.float32(right))
    except (TypeError, ValueError):
        return False


def _cells(file: h5py.File, subject: Subject) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the grid's rows and columns of a field's rows and columns, or of its cells."""
    grid = subject.layout.grid
    if grid.row_index and grid.col_index:
        return file[grid.row_index][...].astype(int), file[grid.col_index][...].astype(int)
    if grid.kind == "latlon":
        axes = [first + step * np.arange(n) for first, step, n in _axes(grid)]
    else:
        ease = {"M09": M09, "M36": M36}[grid.kind]
        axes = [ease.y, ease.x]
    row, col = (
        _nearest(file[path][...], axis) if path and path in file else np.arange(axis.size)
        for path, axis in zip(grid.axis_paths, axes, strict=True)
    )
    return row, col


def _axes(grid: Grid) -> tuple[tuple[Any, Any, int], ...]:
    return (
        (grid.lat_first, grid.lat_step, grid.rows),
        (grid.lon_first, grid.lon_step, grid.cols),
    )


def _nearest(axis: NDArray[Any], grid: NDArray[Any]) -> NDArray[Any]:
    at = np.abs(axis.astype(float)[:, None] - grid).argmin(axis=1)
    far = np.abs(grid[at] - axis) > abs(grid[1] - grid[0]) / 50
    return np.where(far, -1, at)


def _field(
    stored: h5py.Dataset,
    variable: Variable,
    subject: Subject,
    rows: NDArray[Any],
    cols: NDArray[Any],
) -> NDArray[Any]:
    """Return values on the window of a subject, cell by cell."""
    if stored.shape == (M09.rows, M09.cols):
        # Reading all of it takes a tenth of a second.
        values = np.full(stored.shape, variable.fill, stored.dtype)
        values[subject.window] = stored[subject.window]
    else:
        values = stored[...]
    values = values.astype(values.dtype.newbyteorder("="))
    nothing: Any = variable.fill
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            single = values.astype(np.float32)
            values = single * np.float32(variable.scale)
        values[single == np.float32(variable.fill)] = np.nan
        nothing = np.nan
    if variable.dims[-2:] == ("lon", "lat"):
        values = values.swapaxes(-1, -2)
    (top, bottom), (left, right) = ((s.start, s.stop) for s in subject.window)
    times = subject.layout.times
    field = np.full((times, bottom - top, right - left), nothing, values.dtype)
    in_rows, in_cols = (rows >= top) & (rows < bottom), (cols >= left) & (cols < right)
    if subject.layout.grid.row_index:
        inside = in_rows & in_cols
        field[:, rows[inside] - top, cols[inside] - left] = values[inside]
    else:
        values = values.reshape((times, *values.shape[-2:]))
        place = np.ix_(range(times), rows[in_rows] - top, cols[in_cols] - left)
        field[place] = values[:, in_rows][:, :, in_cols]
    return field if times > 1 else field[0]


def _attribute(file: h5py.File, group: str, name: str) -> str | None:
    holder = file.get(group) if group else file
    value = None if holder is None else holder.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)
