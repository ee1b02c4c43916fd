"""Values of neighbouring cells for cells without a source value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import Domain

FILL_REACH = 5
"""Largest distance of the neighbour, cells (45 km)."""


def fill_from_neighbours(
    domain: Domain, fields: dict[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Fill cells without a value from the nearest cell, at most `FILL_REACH` cells away.

    All fields of a cell come from the same neighbour, so that they stay consistent.

    Returns
    -------
    fields, filled
        Fields, NaN beyond the reach, and the cells that were filled, each of shape (n_cell,).
    """
    has_all = np.logical_and.reduce([np.isfinite(values) for values in fields.values()])
    if has_all.all() or not has_all.any():
        return fields, np.zeros(domain.n_cell, bool)
    # Half a second, which a run that makes no forcing is spared.
    from scipy import ndimage

    empty = ~domain.to_map(has_all, fill=False)
    distance, (row, col) = ndimage.distance_transform_edt(empty, return_indices=True)
    reached = domain.from_map(distance) <= FILL_REACH
    source = domain.from_map(row), domain.from_map(col)
    filled = {
        name: np.where(reached, domain.to_map(values)[source], np.float32(np.nan))
        for name, values in fields.items()
    }
    return filled, reached & ~has_all
