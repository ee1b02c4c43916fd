import numpy as np

from msm.fields.gap_filling import FILL_REACH, fill_from_neighbours
from msm.grid.domain import load_domain

BOX = load_domain("box:38,39,-98.5,-97")


def test_empty_cell_takes_all_values_from_one_neighbour():
    number = np.arange(BOX.n_cell, dtype=np.float32)
    with_gap = number.copy()
    with_gap[40] = np.nan
    fields, filled = fill_from_neighbours(BOX, {"a": with_gap, "b": 10 * number})
    assert list(np.flatnonzero(filled)) == [40]
    assert fields["b"][40] == 10 * fields["a"][40] != 400
    neighbour = int(fields["a"][40])
    assert abs(BOX.row[neighbour] - BOX.row[40]) + abs(BOX.col[neighbour] - BOX.col[40]) == 1


def test_cells_beyond_the_reach_stay_empty():
    values = np.where(BOX.col == BOX.col.min(), 1.0, np.nan).astype(np.float32)
    fields, filled = fill_from_neighbours(BOX, {"a": values})
    distance = BOX.col - BOX.col.min()
    np.testing.assert_array_equal(np.isfinite(fields["a"]), distance <= FILL_REACH)
    np.testing.assert_array_equal(filled, (distance > 0) & (distance <= FILL_REACH))
    empty = {"a": np.full(BOX.n_cell, np.nan, np.float32)}
    assert not fill_from_neighbours(BOX, empty)[1].any()
