"""Valid granules of every product, small because they hold few cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from msm.products.definitions import PRODUCTS
from msm.products.layout import Layout
from msm.products.placement import GridWindow
from msm.products.product import Product
from msm.sandbox.granules.granule import served_products
from msm.sandbox.granules.window import window
from msm.sandbox.granules.writer import CLOCK, write_granule
from msm.sandbox.weather.interface import WORLD, Extent

DAY = datetime(2016, 4, 1, tzinfo=UTC)
ROWS, COLS = 6, 9
FIRST_ROW, FIRST_COL = 90, 50
PLACE = Extent(39.0, 39.8, -92.0, -91.0)
"""Where a complete grid without axes has values."""

# The sandbox does not write heights as dimensions, which NLDAS before version 2.0 has.
SUBJECTS = tuple(p for p in PRODUCTS if not any("height" in v.dims for v in p.layout.variables))


@dataclass(frozen=True)
class Subject:
    """A product with one valid granule."""

    product: Product
    path: Path
    stamp: datetime | None
    """Its time, None for a static product."""
    window: GridWindow
    """Part of the grid that is read: slightly more than the cells with values."""

    @property
    def layout(self) -> Layout:
        """The product's layout."""
        return self.product.layout

    @property
    def others(self) -> list[Path]:
        """Return the valid granules of all other products."""
        return sorted(p for p in self.path.parent.iterdir() if p != self.path)


def make_subjects(folder: Path) -> list[Subject]:
    """Write one valid granule of every product that the writer supports."""
    folder.mkdir(parents=True)
    return [_write(product, folder) for product in SUBJECTS]


def _write(product: Product, folder: Path) -> Subject:
    layout = product.layout
    stamp = DAY.replace(hour=layout.first_minutes // 60, minute=layout.first_minutes % 60)
    known = served_products().get(layout.product)
    if known is not None and known.layout is layout:
        name, clock = known.name(stamp, 1), known.clock
    else:
        name, clock = _name(layout, stamp), CLOCK
    grid = layout.grid
    written, extent, first = layout, WORLD, (0, 0)
    if grid.lat_first is not None and grid.lon_first is not None:
        first = FIRST_ROW, FIRST_COL
    if grid.lat_first is not None or grid.y is not None:
        part: dict[str, Any] = {"rows": ROWS, "cols": COLS}
        if grid.lat_first is not None:
            lat, lon = grid.axes()
            part |= {"lat_first": lat[FIRST_ROW], "lon_first": lon[FIRST_COL]}
        written = layout.model_copy(update={"grid": grid.model_copy(update=part)})
        shape: tuple[int, ...] = (ROWS, COLS)
        view = tuple(slice(max(f - 2, 0), f + n + 3) for f, n in zip(first, shape, strict=True))
    elif grid.row_index is not None:
        shape, view = (ROWS * COLS,), (slice(88, 99), slice(47, 64))
    else:
        extent = PLACE
        place = window(grid, extent)
        shape = tuple(s.stop - s.start for s in place)
        view = tuple(slice(s.start - 2, s.stop + 3) for s in place)
    fields = {v.name: _field(number, v, layout, shape) for number, v in enumerate(layout.variables)}
    if grid.row_index is not None:
        row, col = np.divmod(np.arange(ROWS * COLS, dtype=np.uint16), COLS)
        fields |= {"row": FIRST_ROW + row, "col": FIRST_COL + col}
    path = folder / name
    write_granule(path, written, stamp, fields, extent, clock)
    static = layout.cadence == "static"
    return Subject(product, path, None if static else stamp, (view[0], view[1]))


def _field(number: int, variable: Any, layout: Layout, shape: tuple[int, ...]) -> Any:
    """Return values that identify cell, time and variable, some of them missing."""
    if layout.times > 1:
        shape = (layout.times, *shape)
    values = (1.0 + number + np.arange(np.prod(shape)) / 8).reshape(shape)
    nothing = np.arange(np.prod(shape)).reshape(shape) % 7 == number % 7
    if np.dtype(variable.dtype).kind != "f":
        return np.where(nothing, variable.fill, values).astype(variable.dtype)
    return np.where(nothing, np.nan, values * variable.scale)


def _name(layout: Layout, stamp: datetime) -> str:
    return layout.file_name.format(
        time=stamp,
        end=stamp.replace(minute=29, second=59),
        minute=60 * stamp.hour + stamp.minute,
        release="R13080",
        counter="001",
    )
