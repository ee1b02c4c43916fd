import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat

from msm.grid.ease import EPSG, M09, M36, NEST, children, parent

GRIDS = pytest.mark.parametrize("grid", [M09, M36], ids=lambda grid: grid.name)


def test_m36_has_the_coordinates_of_nsidc(real_data):
    shape = (M36.rows, M36.cols)
    folder = real_data / "granules"
    lat = np.fromfile(folder / "EASE2_M36km.lats.964x406x1.double").reshape(shape)
    lon = np.fromfile(folder / "EASE2_M36km.lons.964x406x1.double").reshape(shape)
    assert np.abs(M36.lat[:, None] - lat).max() < 1e-9
    assert np.abs(M36.lon[None, :] - lon).max() < 1e-9


def test_m09_has_the_axes_of_nsidc_within_float32(real_data):
    axes = loadmat(real_data / "granules" / "EASE2_M09km_axes.mat")
    ulp = np.spacing(np.float32(180))
    assert np.abs(M09.lat - axes["latitude_a"].ravel()).max() <= ulp
    assert np.abs(M09.lon - axes["longitude_a"].ravel()).max() <= ulp


@GRIDS
def test_grid_is_centred_on_the_projection(grid):
    # NSIDC's grid is symmetric about the equator and the prime meridian.
    assert abs(grid.x_edges[0] + grid.x_edges[-1]) < 1e-6
    assert abs(grid.y_edges[0] + grid.y_edges[-1]) < 1e-6


@GRIDS
def test_centres_agree_with_proj(grid):
    transformer = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)
    lon, _ = transformer.transform(grid.x, np.zeros(grid.cols))
    _, lat = transformer.transform(np.zeros(grid.rows), grid.y)
    np.testing.assert_allclose(grid.lon, lon, atol=1e-11)
    np.testing.assert_allclose(grid.lat, lat, atol=1e-11)


@GRIDS
@given(data=st.data())
def test_centre_of_a_cell_lies_in_the_cell(grid, data):
    row = data.draw(st.integers(0, grid.rows - 1))
    col = data.draw(st.integers(0, grid.cols - 1))
    found = grid.rowcol(grid.lat[row], grid.lon[col])
    assert (found[0], found[1]) == (row, col)


@GRIDS
@pytest.mark.parametrize(
    ("lat", "lon", "inside"),
    [
        (0.0, 180.0, True),
        (0.0, -180.0, True),
        (85.0, 0.0, True),
        (-85.0, 0.0, True),
        (85.1, 0.0, False),
        (-85.1, 0.0, False),
        (90.0, 0.0, False),
        (np.nan, 0.0, False),
        (0.0, np.nan, False),
    ],
)
def test_points_at_the_edges_of_the_grid(grid, lat, lon, inside):
    row, col = grid.rowcol(lat, lon)
    assert (row >= 0) == (col >= 0) == inside
    assert row < grid.rows
    assert col < grid.cols


@given(row=st.integers(0, M36.rows - 1), col=st.integers(0, M36.cols - 1))
def test_m36_cells_nest_m09_cells_exactly(row, col):
    rows, cols = children(row, col)
    assert rows.size == NEST**2
    assert set(zip(*parent(rows, cols), strict=True)) == {(row, col)}
    np.testing.assert_allclose(M09.x[cols].mean(), M36.x[col], atol=1e-6)
    np.testing.assert_allclose(M09.y[rows].mean(), M36.y[row], atol=1e-6)
    np.testing.assert_allclose(M09.x_edges[NEST * col], M36.x_edges[col], atol=1e-6)
