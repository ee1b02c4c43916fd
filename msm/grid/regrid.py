"""First-order conservative regridding from rectilinear latitude/longitude grids onto cells.

The EASE-2 global grid is rectilinear in latitude and longitude too, so the overlap of a source
cell and a target cell is the product of an overlap of rows and an overlap of columns (Jones 1999,
doi:10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2, first order). Rows are measured in the
authalic northing of EASE-2 on the ellipsoid, where equal lengths are equal areas, columns in
longitude.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from dask import array as da
from numpy.typing import NDArray
from scipy import sparse

from msm.errors import MsmError
from msm.grid.domain import Domain
from msm.grid.ease import M09, project

MIN_VALID_FRACTION = 0.5
"""A cell has a value only where valid source cells cover at least this share of its area."""

CHUNK_FIELDS = 16
"""Fields in one dask task where the caller has not chunked them."""


@dataclass(frozen=True, eq=False)
class LatLonGrid:
    """A rectilinear source grid, defined by the edges of its rows and columns."""

    lat_edges: NDArray[np.float64]
    """Row edges in the order of the file, shape (rows + 1,), degrees north."""
    lon_edges: NDArray[np.float64]
    """Column edges from west to east, shape (cols + 1,), degrees east."""

    @classmethod
    def from_centres(cls, lat: NDArray[np.floating], lon: NDArray[np.floating]) -> LatLonGrid:
        """Build the grid from evenly spaced centres.

        Parameters
        ----------
        lat, lon
            Centres in degrees, shapes (rows,) and (cols,), at least two each; `lon` ascends.

        Raises
        ------
        MsmError
            If the spacing is uneven, so that edges halfway between centres would be wrong.
        """
        return cls(_edges("latitude", lat).clip(-90, 90), _edges("longitude", lon))


def _edges(axis: str, centres: NDArray[np.floating]) -> NDArray[np.float64]:
    centres = np.asarray(centres, np.float64)
    step = (centres[-1] - centres[0]) / (centres.size - 1)
    # Files store centres in float32, good to 1e-5 degrees.
    if not np.allclose(np.diff(centres), step, rtol=0, atol=1e-4):
        raise MsmError(f"The {axis} axis is not evenly spaced: this grid cannot be regridded.")
    return centres[0] + step * (np.arange(centres.size + 1) - 0.5)


def overlap(source: NDArray[np.float64], target: NDArray[np.float64]) -> sparse.csr_array:
    """Return the lengths by which the intervals between two sets of edges overlap.

    Parameters
    ----------
    source, target
        Edges, monotonic in either direction, shapes (n + 1,) and (m + 1,), the same unit.

    Returns
    -------
    csr_array
        Overlaps, shape (m, n), in the unit of the edges.
    """
    # No edge lies inside the overlap of two intervals: it is one piece between adjacent edges.
    edges = np.union1d(source, target)
    of_source, of_target = _interval(source, edges[:-1]), _interval(target, edges[:-1])
    shared = (of_source >= 0) & (of_target >= 0)
    length = sparse.csr_array(
        (np.diff(edges)[shared], (of_target[shared], of_source[shared])),
        shape=(target.size - 1, source.size - 1),
    )
    length.sort_indices()
    return length


def _interval(edges: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index of the interval that contains each x, its start included; -1 outside."""
    count = edges.size - 1
    if edges[0] > edges[-1]:
        reverse = _interval(edges[::-1], x)
        return np.where(reverse >= 0, count - 1 - reverse, -1)
    index = np.searchsorted(edges, x, side="right") - 1
    return np.where(index < count, index, -1)


@dataclass(frozen=True, eq=False)
class Weights:
    """Overlap weights from one source grid to the cells of one domain."""

    rows: sparse.csr_array
    """Share of each target row that each source row covers, shape (window rows, source rows)."""
    cols: sparse.csr_array
    """Share of each target column that each source column covers."""
    row: NDArray[np.int64]
    """Row of each cell within the window, shape (n_cell,)."""
    col: NDArray[np.int64]
    """Column of each cell within the window, shape (n_cell,)."""

    @property
    def source_shape(self) -> tuple[int, int]:
        """Rows and columns of a source field."""
        return self.rows.shape[1], self.cols.shape[1]

    @property
    def needed(self) -> tuple[slice, slice]:
        """Smallest block of source rows and columns with all the weight, at least one of each."""
        return _needed(self.rows), _needed(self.cols)

    def within(self, block: tuple[slice, slice]) -> Weights:
        """Return the weights of a block of the source's rows and columns, unchanged."""
        return replace(self, rows=self.rows[:, block[0]], cols=self.cols[:, block[1]])

    def onto_cells(self, field: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum a source field (rows, cols) over the overlaps, giving (n_cell,)."""
        by_row = self.rows @ field
        # The sparse product reads contiguous memory only with the sparse matrix on the left.
        window = self.cols @ np.ascontiguousarray(by_row.T)
        return window.ravel().take(self._place)

    @cached_property
    def _place(self) -> NDArray[np.int64]:
        """Index of each cell in the window in column-major order."""
        return self.col * self.rows.shape[0] + self.row

    @cached_property
    def covered(self) -> NDArray[np.float64]:
        """Share of each cell's area that lies inside the source grid, shape (n_cell,)."""
        return self.onto_cells(np.ones(self.source_shape))


def _needed(weight: sparse.csr_array) -> slice:
    used = weight.indices
    return slice(int(used.min()), int(used.max()) + 1) if used.size else slice(0, 1)


def weights(source: LatLonGrid, domain: Domain) -> Weights:
    """Compute the overlap weights from a source grid to a domain's cells."""
    window = domain.window
    y_edges = M09.y_edges[window.row0 : window.row1 + 1]
    lon_edges = M09.x_edges[window.col0 : window.col1 + 1] * (180.0 / M09.x_edges[-1])
    source_y = project(source.lat_edges, 0.0)[1]
    rows = overlap(source_y, y_edges) / M09.cell_size
    # Source longitudes may be 0 to 360: a meridian also matches a full turn to either side.
    cols = sum(overlap(source.lon_edges + turn, lon_edges) for turn in (-360.0, 0.0, 360.0))
    return Weights(
        rows=rows,
        cols=cols / (lon_edges[1] - lon_edges[0]),
        row=domain.row.astype(np.int64) - window.row0,
        col=domain.col.astype(np.int64) - window.col0,
    )


def regrid(
    fields: NDArray[np.floating] | da.Array,
    weights: Weights,
) -> tuple[da.Array, da.Array]:
    """Regrid fields onto the cells of a domain, conserving their integral, with dask.

    Parameters
    ----------
    fields
        Source fields, shape (..., rows, cols), NaN where there is no value. The last two
        dimensions must be one chunk; leading chunks are computed in parallel.
    weights
        From `weights`, for the fields' grid.

    Returns
    -------
    values
        Area mean of the valid part of each cell, float32 (..., n_cell), NaN where the valid
        fraction is below `MIN_VALID_FRACTION`.
    valid_fraction
        Share of each cell's area that valid source cells cover, float32 (..., n_cell).

    Raises
    ------
    MsmError
        If the fields do not have the shape of the weights' source grid.
    """
    if fields.shape[-2:] != weights.source_shape:
        raise MsmError(
            f"A field of shape {fields.shape[-2:]} does not fit the weights of a grid of "
            f"{weights.source_shape}: the file is not on its product's grid."
        )
    if not isinstance(fields, da.Array):
        whole = fields.reshape(-1, *weights.source_shape) if fields.ndim > 2 else fields
        chunks = (CHUNK_FIELDS,) * (whole.ndim - 2) + weights.source_shape
        values, fraction = regrid(da.from_array(whole, chunks, name=False), weights)
        shape = (*fields.shape[:-2], weights.row.size)
        return values.reshape(shape), fraction.reshape(shape)
    return da.apply_gufunc(
        _regrid_chunk,
        "(y,x)->(cell),(cell)",
        fields,
        weights=weights,
        output_dtypes=(np.float32, np.float32),
        output_sizes={"cell": weights.row.size},
    )


def _regrid_chunk(
    fields: NDArray[np.floating], weights: Weights
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    leading = fields.shape[:-2]
    flat = fields.reshape(-1, *weights.source_shape)
    values = np.empty((len(flat), weights.row.size), np.float32)
    fractions: list[NDArray[np.float32]] = []
    known_valid: NDArray[np.bool_] | None = None
    for index, field in enumerate(flat):
        valid = np.isfinite(field)
        # The hours of one product have the same mask: its coverage is computed once.
        if known_valid is None or not np.array_equal(valid, known_valid):
            known_valid = valid
            covered = weights.onto_cells(valid.astype(np.float64))
            # The tolerance absorbs rounding.
            enough = (covered >= MIN_VALID_FRACTION - 1e-9) & (covered > 0)
            share = np.divide(1.0, covered, out=np.full_like(covered, np.nan), where=enough)
            fraction = covered.clip(0.0, 1.0).astype(np.float32)
        total = weights.onto_cells(np.where(valid, field, 0).astype(np.float64, copy=False))
        np.multiply(total, share, out=values[index], casting="same_kind")
        fractions.append(fraction)
    one_mask = all(each is fractions[0] for each in fractions)
    shared = np.broadcast_to(fraction, values.shape) if one_mask else np.stack(fractions)
    return values.reshape(*leading, -1), shared.reshape(*leading, -1)
