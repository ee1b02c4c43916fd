import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msm.products.placement import Block, listed, span
from msm.products.registry import product

NOAH = product("NLDAS_NOAH0125_H", "2.0")
HALF = product("SPL2SMP_NRT", "107").layout.grid
ROWS, COLS = 9, 12


def slices(size, shortest):
    cuts = st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)
    return cuts.filter(lambda cut: cut[1] - cut[0] >= shortest).map(lambda cut: slice(*cut))


windows = st.tuples(slices(ROWS, 0), slices(COLS, 0))


@given(row=slices(ROWS, 1), col=slices(COLS, 1), window=windows)
def test_window_of_a_block_is_the_slice_of_the_complete_field(row, col, window):
    block = Block(row, col)
    field = np.random.default_rng(0).normal(size=(2, *block.shape))
    complete = np.full((2, ROWS, COLS), np.nan)
    complete[:, row, col] = field
    part = field[:, *block.stored(window)]
    np.testing.assert_array_equal(block.on_window(part, window, np.nan), complete[:, *window])


@given(cells=st.sets(st.integers(0, ROWS * COLS - 1), min_size=1), window=windows)
def test_window_of_listed_cells_is_the_slice_of_the_complete_field(cells, window):
    row, col = np.divmod(np.array(sorted(cells)), COLS)
    place = listed(row, col, HALF)
    values = np.arange(1, row.size + 1, dtype=np.uint16)
    complete = np.full((1, HALF.rows, HALF.cols), 65534, np.uint16)
    complete[0, row, col] = values
    part = values[None][:, *place.stored(window)]
    np.testing.assert_array_equal(place.on_window(part, window, 65534), complete[:, *window])


@given(
    window=st.tuples(st.integers(0, 463), st.integers(0, 463)).map(sorted),
    rounding=st.floats(-0.009, 0.009),
    shift=st.floats(0.02, 0.98),
)
def test_axis_is_placed_on_centres_only(window, rounding, shift):
    first, last = window
    complete = NOAH.layout.grid.axes()[1]
    axis = complete[first : last + 1]
    assert span(axis + 0.125 * rounding, complete) == slice(first, last + 1)
    assert span(axis + 0.125 * shift, complete) is None
    assert span(np.append(axis, axis[-1] + 0.25), complete) is None
