from itertools import pairwise

import numpy as np
import pytest
from dask import array as da
from hypothesis import given
from hypothesis import strategies as st

from msm.errors import MsmError
from msm.grid.domain import load_domain
from msm.grid.ease import M09, project
from msm.grid.regrid import MIN_VALID_FRACTION, LatLonGrid, overlap, regrid, weights

BOX = load_domain("box:38,41,-100,-96")


def grid(lat0=37.0, lon0=-102.0, rows=12, cols=16, step=0.5, descending=False):
    lat = lat0 + step * np.arange(rows)
    return LatLonGrid.from_centres(lat[::-1] if descending else lat, lon0 + step * np.arange(cols))


def values_of(fields, onto):
    values, fraction = regrid(fields, onto)
    return values.compute(), fraction.compute()


def brute_force(source, field, domain):
    """Loop over every pair of cells, with areas on the projection plane."""
    y = project(source.lat_edges, 0.0)[1]
    x = project(np.zeros(source.lon_edges.size), source.lon_edges)[0]
    half = M09.cell_size / 2
    total, covered = np.zeros(domain.n_cell), np.zeros(domain.n_cell)
    for cell in range(domain.n_cell):
        cx, cy = M09.x[domain.col[cell]], M09.y[domain.row[cell]]
        for i in range(field.shape[0]):
            low, high = sorted((y[i], y[i + 1]))
            height = min(high, cy + half) - max(low, cy - half)
            if height <= 0:
                continue
            for j in range(field.shape[1]):
                width = min(x[j + 1], cx + half) - max(x[j], cx - half)
                if width > 0 and np.isfinite(field[i, j]):
                    total[cell] += width * height * field[i, j]
                    covered[cell] += width * height
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / covered, covered / M09.cell_size**2


@given(
    step=st.floats(0.05, 0.9),
    lat0=st.floats(38.5, 39.5),
    lon0=st.floats(-99.0, -97.5),
    seed=st.integers(0, 1000),
    descending=st.booleans(),
)
def test_regridding_equals_a_brute_force_overlap(step, lat0, lon0, seed, descending):
    small = load_domain("box:39,39.4,-98.4,-98")
    source = grid(lat0, lon0, rows=5, cols=6, step=step, descending=descending)
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(5, 6))
    field[rng.random((5, 6)) < 0.3] = np.nan
    values, fraction = values_of(field, weights(source, small))
    expected, covered = brute_force(source, field, small)
    np.testing.assert_allclose(fraction, covered, atol=1e-6)
    clear = np.abs(covered - MIN_VALID_FRACTION) > 1e-6
    expected[covered < MIN_VALID_FRACTION] = np.nan
    np.testing.assert_allclose(values[clear], expected[clear], atol=2e-6)


@given(constant=st.floats(-1e4, 1e4), step=st.floats(0.06, 1.5))
def test_a_constant_field_is_preserved(constant, step):
    rows = int(8 / step) + 2
    source = grid(36.0, -103.0, rows=rows, cols=rows + 4, step=step)
    values, _ = values_of(np.full((rows, rows + 4), constant), weights(source, BOX))
    there = np.isfinite(values)
    assert there.any()
    np.testing.assert_allclose(values[there], np.float32(constant), rtol=1e-6)


@given(seed=st.integers(0, 1000), holes=st.floats(0, 0.5), step=st.sampled_from([0.125, 0.25, 0.6]))
def test_integral_over_the_intersection_is_conserved(seed, holes, step):
    rng = np.random.default_rng(seed)
    source = grid(37.5, -101.0, rows=int(4 / step), cols=int(6 / step), step=step)
    field = rng.gamma(0.5, 10.0, size=(int(4 / step), int(6 / step)))
    field[rng.random(field.shape) < holes] = np.nan
    onto = weights(source, BOX)
    values, fraction = values_of(field, onto)
    got = np.nansum(values.astype(float) * fraction)
    # The integral of the source over the cells that have a value, summed over the source cells.
    share = np.zeros(field.shape)
    there = np.isfinite(values)
    for row, col in zip(onto.row[there], onto.col[there], strict=True):
        share += np.outer(onto.rows.toarray()[row], onto.cols.toarray()[col])
    expected = np.nansum(field * share)
    assert got == pytest.approx(expected, rel=1e-6)


@given(seed=st.integers(0, 1000), a=st.floats(-5, 5), b=st.floats(-5, 5))
def test_regridding_is_linear_and_commutes_with_the_time_mean(seed, a, b):
    rng = np.random.default_rng(seed)
    onto = weights(grid(), BOX)
    f, g = rng.normal(size=(2, 12, 16))
    both, _ = values_of(a * f + b * g, onto)
    (of_f, of_g), _ = values_of(np.stack([f, g]), onto)
    np.testing.assert_allclose(both, a * of_f + b * of_g, atol=1e-5)
    hours = rng.normal(size=(24, 12, 16))
    np.testing.assert_allclose(
        values_of(hours.mean(axis=0), onto)[0], values_of(hours, onto)[0].mean(axis=0), atol=1e-6
    )


def test_cells_outside_the_source_have_no_value():
    source = grid(39.0, -98.0, rows=2, cols=2, step=0.5)
    values, fraction = values_of(np.ones((2, 2)), weights(source, BOX))
    covered = brute_force(source, np.ones((2, 2)), BOX)[1]
    np.testing.assert_array_equal(np.isfinite(values), covered >= 0.5 - 1e-9)
    assert (fraction[~np.isfinite(values)] < 0.5).all()
    assert (values[np.isfinite(values)] == 1).all()


def test_a_missing_source_cell_affects_only_its_own_area():
    source = grid(36.9, -102.1, rows=60, cols=80, step=0.1)
    field = np.ones((60, 80))
    field[25:27, 35:37] = np.nan
    onto = weights(source, BOX)
    values, fraction = values_of(field, onto)
    # Four holes of 0.1 degrees are about as large as four cells.
    assert 2 <= np.isnan(values).sum() <= 6
    np.testing.assert_array_equal(np.isnan(values), fraction < 0.5 - 1e-9)
    assert (values[np.isfinite(values)] == 1).all()


def test_longitudes_from_0_to_360_give_the_same_values():
    rng = np.random.default_rng(0)
    field = rng.normal(size=(12, 16))
    west = grid()
    east = LatLonGrid(west.lat_edges, west.lon_edges + 360.0)
    np.testing.assert_array_equal(
        values_of(field, weights(west, BOX))[0], values_of(field, weights(east, BOX))[0]
    )


@given(
    step=st.sampled_from([0.125, 0.25, 0.6]),
    lat0=st.floats(30.0, 43.0),
    lon0=st.floats(-110.0, -90.0),
    turn=st.sampled_from([0.0, 360.0]),
    descending=st.booleans(),
)
def test_needed_block_gives_the_same_bits_as_the_complete_source(
    step, lat0, lon0, turn, descending
):
    source = grid(lat0, lon0 + turn, rows=30, cols=40, step=step, descending=descending)
    rng = np.random.default_rng(0)
    field = rng.normal(size=(30, 40))
    field[rng.random(field.shape) < 0.2] = np.nan
    onto = weights(source, BOX)
    part = onto.within(onto.needed)
    whole, less = values_of(field, onto), values_of(field[onto.needed], part)
    assert [a.tobytes() for a in whole] == [a.tobytes() for a in less]


def test_both_ends_of_a_0_to_360_source_are_needed_around_greenwich():
    whole = LatLonGrid.from_centres(np.arange(-89.5, 90), np.arange(0.5, 360))
    rows, cols = weights(whole, load_domain("box:50,54,-4,2")).needed
    assert cols == slice(0, 360)
    assert rows == slice(139, 144)


def test_a_distant_source_is_not_needed():
    onto = weights(grid(lat0=-40.0), BOX)
    assert onto.needed[0] == slice(0, 1)
    values, fraction = values_of(np.ones((12, 16))[onto.needed], onto.within(onto.needed))
    assert np.isnan(values).all()
    assert (fraction == 0).all()


def test_dask_chunks_along_time_do_not_change_the_values():
    hours = np.random.default_rng(0).normal(size=(6, 12, 16))
    onto = weights(grid(), BOX)
    whole = values_of(hours, onto)[0]
    np.testing.assert_array_equal(
        values_of(da.from_array(hours, chunks=(2, 12, 16)), onto)[0], whole
    )


def test_field_on_another_grid_is_refused():
    with pytest.raises(MsmError, match="does not fit the weights of a grid of"):
        regrid(np.zeros((5, 5)), weights(grid(), BOX))


def test_uneven_axes_are_refused():
    with pytest.raises(MsmError, match="latitude axis is not evenly spaced"):
        LatLonGrid.from_centres(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0]))


edges = st.lists(st.floats(-100, 100), min_size=2, max_size=12, unique=True).map(sorted)


@given(source=edges, target=edges, turned=st.booleans(), other_turned=st.booleans())
def test_overlap_equals_that_of_each_pair_of_intervals(source, target, turned, other_turned):
    source, target = np.array(source[:: -1 if turned else 1]), np.array(target)
    if other_turned:
        target = target[::-1]
    expected = [
        [max(0.0, min(max(t), max(s)) - max(min(t), min(s))) for s in pairwise(source)]
        for t in pairwise(target)
    ]
    np.testing.assert_array_equal(overlap(source, target).toarray(), expected)
