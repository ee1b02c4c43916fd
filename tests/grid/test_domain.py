import hashlib

import numpy as np
import pytest

from msm.errors import MsmError
from msm.grid.domain import MIN_LAND_FRACTION, land_fraction, load_domain
from msm.grid.ease import M09


def test_conus_is_the_documented_box():
    conus = load_domain("conus")
    assert conus.shape == (307, 621)
    assert conus.n_cell == 135303
    assert conus.lat.min() >= 25
    assert conus.lat.max() <= 53
    assert conus.lon.min() >= -125
    assert conus.lon.max() <= -67
    # One row or column more would be outside.
    assert M09.lat[conus.window.row0 - 1] > 53
    assert M09.lon[conus.window.col1] > -67


def test_global_domain_is_land_without_antarctica():
    globe = load_domain("global")
    assert 1.5e6 < globe.n_cell < 1.7e6
    assert globe.lat.min() > -60


@pytest.mark.parametrize(
    ("water", "lat", "lon"),
    [
        ("Lake Michigan", 43.5, -87.0),
        ("Lake Superior", 47.8, -88.0),
        ("Lake Erie", 42.2, -81.0),
        ("Great Salt Lake", 41.2, -112.6),
        ("Lake Okeechobee", 26.95, -80.8),
        ("Atlantic", 32.0, -75.0),
    ],
)
def test_water_cells_are_excluded(water, lat, lon):
    conus = load_domain("conus")
    row, col = M09.rowcol(lat, lon)
    assert not ((conus.row == row) & (conus.col == col)).any(), water


def test_cells_are_row_major_and_at_least_half_land():
    conus = load_domain("conus")
    order = conus.row.astype(np.int64) * M09.cols + conus.col
    assert (np.diff(order) > 0).all()
    assert conus.land_fraction.min() >= MIN_LAND_FRACTION
    assert conus.land_fraction.max() == 1


def test_a_cell_is_found_by_its_row_and_column():
    box = load_domain("box:37,39,-98,-94")
    numbers = box.numbers()
    np.testing.assert_array_equal(numbers[box.row, box.col], np.arange(box.n_cell))
    assert (numbers >= 0).sum() == box.n_cell
    assert numbers[0, 0] == -1


def test_global_land_fraction_is_realistic():
    # Land without inland water is 28 to 29 % of the Earth; the cells are of equal area and the
    # grid leaves out 0.4 % of the globe around the poles.
    assert land_fraction().mean() / 100 == pytest.approx(0.286, abs=0.006)


def test_to_map_and_from_map_are_inverse():
    box = load_domain("box:40,44,-90,-84")
    values = np.arange(box.n_cell, dtype=np.float32)
    window = box.to_map(values)
    assert window.shape == box.shape
    assert np.isnan(window).sum() == window.size - box.n_cell
    np.testing.assert_array_equal(box.from_map(window), values)
    whole = np.zeros((M09.rows, M09.cols), np.float32)
    whole[box.row, box.col] = values
    np.testing.assert_array_equal(box.from_map(whole[box.window.slices]), values)


def test_mask_hash_differs_between_domains():
    first, second = load_domain("box:40,44,-90,-84"), load_domain("box:40,44,-90,-85")
    assert first.mask_sha256 != second.mask_sha256
    assert len(bytes.fromhex(first.mask_sha256)) == hashlib.sha256().digest_size


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mars", "no domain 'mars'"),
        ("box:1,2,3", "not four numbers"),
        ("box:a,b,c,d", "not four numbers"),
        ("box:44,40,-90,-84", "empty or off the globe"),
        ("box:0,91,0,1", "empty or off the globe"),
        ("box:30,31,-50,-49", "contains no land"),
        ("box:40,40.00001,-90,-89.99999", "contains no cell"),
    ],
)
def test_invalid_name_is_refused(name, message):
    with pytest.raises(MsmError, match=message):
        load_domain(name)
