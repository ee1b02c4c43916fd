"""Granule files: fields written in a product's layout."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.products.layout import Layout, Variable
from msm.sandbox.granules.window import window
from msm.sandbox.weather.interface import Extent, Fields

CLOCK = "hours since 1979-01-01 00:00:00"
"""Default units of the time variable."""

CHUNKS = {"lat": 112, "lon": 116, "y": 58, "x": 121, "time": 1}
"""Small chunks, so that chunks outside the weather's extent are never written."""

INDEX_FILL = np.uint16(65534)


def write_granule(
    path: Path,
    layout: Layout,
    stamp: datetime,
    fields: Fields,
    extent: Extent,
    clock: str = CLOCK,
) -> None:
    """Write fields into a file of a product's layout.

    Parameters
    ----------
    path
        Target.
    layout
        Names, groups, dimensions, types, fills and units.
    stamp
        Time of the granule.
    fields
        Arrays in canonical units by the layout's variable names, NaN where there is no value:
        (rows, cols) or (times, rows, cols) of the complete grid or of the window of `extent`. For a
        layout that lists cells: (cells,), with their indices `row` and `col`. A variable without a
        field is all fill.
    extent
        Part of the world that the fields cover.
    clock
        Units of the time variable, with `{first}` for the granule's first time.
    """
    cells = window(layout.grid, extent)
    with netCDF4.Dataset(path, "w") as dataset:
        _create_dimensions(dataset, layout, fields)
        _write_axes(dataset, layout, fields)
        for variable in layout.variables:
            fill = np.dtype(variable.dtype).type(variable.fill)
            target = _create(dataset, variable.path, variable.dtype, variable.dims, fill)
            target.units = variable.units
            target.long_name = variable.long_name
            if variable.name in fields:
                _put(target, variable, fields[variable.name], layout, cells)
        _write_time(dataset, layout, stamp, clock)
        _write_attributes(dataset, layout, stamp)


def _create_dimensions(dataset: netCDF4.Dataset, layout: Layout, fields: Fields) -> None:
    grid = layout.grid
    used = {dim for variable in layout.variables for dim in variable.dims}
    if layout.stamp and layout.stamp.variable:
        used.add("time")
    sizes = {"time": layout.times, "lat": grid.rows, "lon": grid.cols}
    sizes |= {"y": grid.rows, "x": grid.cols}
    if grid.row_index:
        sizes["cell"] = fields["row"].size
    for name, size in sizes.items():
        if name in used:
            dataset.createDimension(name, size)


def _create(
    dataset: netCDF4.Dataset, path: str, dtype: str, dims: tuple[str, ...], fill: Any = None
) -> netCDF4.Variable[Any]:
    *groups, name = path.split("/")
    group = dataset.createGroup("/".join(groups)) if groups else dataset
    sizes = [dataset.dimensions[dim].size for dim in dims]
    variable = group.createVariable(
        name,
        dtype,
        dims,
        fill_value=fill,
        compression="zlib" if fill is not None else None,
        complevel=1,
        chunksizes=[
            min(size, CHUNKS.get(dim, size)) for dim, size in zip(dims, sizes, strict=True)
        ],
    )
    variable.set_auto_maskandscale(False)
    return variable


def _put(
    target: netCDF4.Variable[Any],
    variable: Variable,
    field: NDArray[Any],
    layout: Layout,
    cells: tuple[slice, slice],
) -> None:
    if np.issubdtype(field.dtype, np.floating):
        field = np.where(np.isnan(field), variable.fill, field / variable.scale)
    field = field.astype(variable.dtype)
    if layout.grid.row_index:
        target[:] = field
        return
    shape = layout.grid.rows, layout.grid.cols
    place = (slice(None), slice(None)) if field.shape[-2:] == shape else cells
    if variable.dims[-2:] == ("lon", "lat"):
        field, place = field.swapaxes(-1, -2), place[::-1]
    times = len(variable.dims) - field.ndim
    target[(slice(None),) * (len(variable.dims) - 2) + place] = field[(None,) * times]


def _write_axes(dataset: netCDF4.Dataset, layout: Layout, fields: Fields) -> None:
    grid = layout.grid
    if grid.row_index and grid.col_index:
        for index, name in ((grid.row_index, "row"), (grid.col_index, "col")):
            _create(dataset, index, "u2", ("cell",), INDEX_FILL)[:] = fields[name]
    latlon = grid.kind == "latlon"
    units = ("degrees_north", "degrees_east") if latlon else ("m", "m")
    for path, axis, size, unit in zip(
        grid.axis_paths, grid.axes(), (grid.rows, grid.cols), units, strict=True
    ):
        if path:
            variable = _create(dataset, path, "f4" if latlon else "f8", (path.rpartition("/")[2],))
            variable.units = unit
            # An altered grid continues beyond its axis.
            variable[:] = axis[0] + (axis[1] - axis[0]) * np.arange(size)


def _write_time(dataset: netCDF4.Dataset, layout: Layout, stamp: datetime, clock: str) -> None:
    if layout.stamp is None or layout.stamp.variable is None:
        return
    first = stamp - timedelta(seconds=layout.stamp.offset_seconds)
    times = [first + n * layout.interval for n in range(layout.times)]
    variable = _create(dataset, layout.stamp.variable, "f8", ("time",))
    variable.units = clock.format(first=first)
    variable.calendar = "standard"
    variable[:] = netCDF4.date2num(times, variable.units.strip(), variable.calendar)


def _write_attributes(dataset: netCDF4.Dataset, layout: Layout, stamp: datetime) -> None:
    stated = [(a.group, a.name, a.value) for a in layout.attributes]
    if layout.stamp and layout.stamp.attribute:
        group, _, name = layout.stamp.attribute.partition("@")
        stated.append((group, name, f"{stamp:%Y-%m-%dT%H:%M:%S}.000Z"))
    for (group, name), text in _texts(stated).items():
        (dataset.createGroup(group) if group else dataset).setncattr(name, text)


def _texts(stated: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], str]:
    """Join the `KEY=value;` lines of each attribute."""
    texts: dict[tuple[str, str], str] = {}
    for group, name, value in stated:
        attribute, _, key = name.partition(":")
        line = f"{key}={value};\n" if key else value
        texts[group, attribute] = texts.get((group, attribute), "") + line
    return texts
