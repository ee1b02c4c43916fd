"""Position of a granule's values on its product's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.products.layout import Grid

GridWindow = tuple[slice, slice]
"""Rows and columns of a product's grid, both slices from a start to a stop within the grid."""


@dataclass(frozen=True)
class Block:
    """A granule that fills a block of its product's grid, which may be the whole grid."""

    row: slice
    col: slice

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one field in the file."""
        return self.row.stop - self.row.start, self.col.stop - self.col.start

    def stored(self, window: GridWindow) -> tuple[slice, ...]:
        """Return the part of a stored field inside a window of the grid, () for all."""
        inside = _common(self.row, window[0]), _common(self.col, window[1])
        if inside == (self.row, self.col):
            return ()
        return _within(inside[0], self.row), _within(inside[1], self.col)

    def on_window(self, part: NDArray[Any], window: GridWindow, fill: float) -> NDArray[Any]:
        """Place the part of a field on the window, `fill` where the granule has no value.

        Parameters
        ----------
        part
            Part of the field by `stored`, shape (times, *part).
        window
            Rows and columns of the grid.
        fill
            Value for the window's other cells.

        Returns
        -------
        ndarray
            Shape (times, rows, cols) of the window.
        """
        row, col = _common(self.row, window[0]), _common(self.col, window[1])
        if (row, col) == window:
            return part
        return _placed(part, window, fill, _within(row, window[0]), _within(col, window[1]))


@dataclass(frozen=True, eq=False)
class Cells:
    """A granule that lists cells of its product's grid."""

    row: NDArray[np.int64]
    """Row on the grid of each cell, shape (cells,)."""
    col: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one field in the file."""
        return self.row.shape

    def stored(self, window: GridWindow) -> tuple[slice, ...]:
        """Return () for the complete stored field: its cells are in no order."""
        return ()

    def on_window(self, part: NDArray[Any], window: GridWindow, fill: float) -> NDArray[Any]:
        """Place a field on a window, as `Block.on_window`."""
        row, col = self.row - window[0].start, self.col - window[1].start
        rows, cols = _shape(window)
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        return _placed(part[:, inside], window, fill, row[inside], col[inside])


Placement = Block | Cells


def span(axis: NDArray[Any], centres: NDArray[np.float64]) -> slice | None:
    """Find the part of a grid's axis that an axis in a file covers.

    Parameters
    ----------
    axis
        Values in the file.
    centres
        Evenly spaced centres of the grid.

    Returns
    -------
    slice or None
        Part of the grid's axis; None where the values are not centres of the grid.
    """
    if not 0 < axis.size <= centres.size:
        return None
    stored = axis.astype(np.float64)
    step = centres[1] - centres[0]
    offset = (stored[0] - centres[0]) / step
    # Providers round their axes, to 0.0005 degrees in real NLDAS files: a hundredth of a cell is
    # above any such rounding and below any shift.
    if not (np.isfinite(stored).all() and -0.5 < offset < centres.size):
        return None
    first = round(offset)
    ours = centres[first : first + axis.size]
    fits = ours.size == axis.size and np.abs(stored - ours).max() <= abs(step) / 100
    return slice(first, first + axis.size) if fits else None


def listed(row: NDArray[Any], col: NDArray[Any], grid: Grid) -> Cells | None:
    """Place the cells that a granule lists; None where one is off the grid or listed twice."""
    if row.shape != col.shape:
        return None
    row, col = row.astype(np.int64), col.astype(np.int64)
    cell = row * grid.cols + col
    inside = ((row >= 0) & (row < grid.rows) & (col >= 0) & (col < grid.cols)).all()
    return Cells(row, col) if inside and np.unique(cell).size == cell.size else None


def _common(one: slice, other: slice) -> slice:
    start = max(one.start, other.start)
    return slice(start, max(start, min(one.stop, other.stop)))


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _shape(window: GridWindow) -> tuple[int, int]:
    return window[0].stop - window[0].start, window[1].stop - window[1].start


def _placed(
    values: NDArray[Any], window: GridWindow, fill: float, row: Any, col: Any
) -> NDArray[Any]:
    field = np.full((values.shape[0], *_shape(window)), fill, values.dtype)
    field[:, row, col] = values
    return field
