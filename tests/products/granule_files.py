"""Granules that are written value by value, independently of the sandbox's writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4

from msm.products.product import Product

RELEASES = ("V07C", "400", "Vv8011")


def write(
    folder: Path,
    product: Product,
    time: datetime,
    fields: Mapping[str, Any],
    rows: slice = slice(None),
    cols: slice = slice(None),
    *,
    minutes: Sequence[float] | None = None,
    calendar: str = "standard",
) -> Path:
    """Write a granule, or a window of its grid, and return its path.

    Parameters
    ----------
    folder
        Target.
    product
        Product on a grid, with a time variable.
    time
        Granule time.
    fields
        Stored values by the layout's variable names; other variables are not written.
    rows, cols
        Window of the grid.
    minutes
        Values of the time variable, minutes after `time`; as in the layout when None.
    calendar
        Calendar of the time variable.
    """
    layout = product.layout
    grid = layout.grid
    names = [
        layout.file_name.format(time=time, release=release, counter="001") for release in RELEASES
    ]
    path = folder / next(name for name in names if layout.matches(name))
    if minutes is None:
        first = timedelta(seconds=-layout.stamp.offset_seconds)
        times = [first + n * layout.interval for n in range(layout.times)]
        minutes = [moment / timedelta(minutes=1) for moment in times]
    row_axis, col_axis = grid.axes()
    row_name, col_name = ("lat", "lon") if grid.lat else ("y", "x")
    with netCDF4.Dataset(path, "w") as dataset:
        for name, axis in ((row_name, row_axis[rows]), (col_name, col_axis[cols])):
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createDimension("time", len(minutes))
        variable = dataset.createVariable("time", "f8", ("time",))
        variable.units = f"minutes since {time:%Y-%m-%d %H:%M:%S}"
        variable.calendar = calendar
        variable[:] = minutes
        for known in layout.variables:
            if known.name in fields:
                *group, name = known.path.split("/")
                holder = dataset.createGroup(group[0]) if group else dataset
                stored = holder.createVariable(name, "f4", known.dims, fill_value=known.fill)
                stored[...] = fields[known.name]
    return path
