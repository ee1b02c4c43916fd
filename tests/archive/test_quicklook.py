from datetime import date

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from msm.archive import quicklook
from msm.archive.netcdf import write
from msm.errors import MsmError
from msm.grid.domain import load_domain

SHA256 = f"{5:064x}"


@pytest.fixture(scope="module")
def picture(tmp_path_factory, make_map):
    folder = tmp_path_factory.mktemp("quicklook")
    write(folder / "map.nc", make_map(date(2016, 4, 1), on=load_domain("conus")))
    quicklook.draw(folder / "map.nc", folder / "map.png", SHA256)
    return folder / "map.png"


def test_it_names_the_file_it_shows(picture, tmp_path):
    assert quicklook.drawn_from(picture) == SHA256
    half = tmp_path / "half.png"
    half.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    assert quicklook.drawn_from(half) is None
    assert quicklook.drawn_from(tmp_path / "missing.png") is None


def test_it_is_a_map(picture):
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert 1200 < pixels.shape[1] < 1500
    assert 600 < pixels.shape[0] < 1000
    # The corner of the map off Georgia is sea, the middle of it is none.
    sea = np.round(np.array(to_rgb(quicklook.WATER)) * 255).astype(int)
    top, left = quicklook.TOP, quicklook.LEFT
    bottom, right = pixels.shape[0] - quicklook.BOTTOM, pixels.shape[1] - quicklook.RIGHT
    np.testing.assert_allclose(pixels[bottom - 40, right - 40], sea, atol=1)
    middle = pixels[(top + bottom) // 2 - 20, (left + right) // 2 - 20]
    assert np.abs(middle - sea).max() > 20


def test_the_colours_darken_steadily_from_dry_to_wet():
    light = [np.dot(to_rgb(c), (0.2126, 0.7152, 0.0722)) for c in quicklook.DRY_TO_WET]
    assert np.all(np.diff(light) < 0)


def test_the_same_file_gives_the_same_picture(tmp_path, make_map):
    write(tmp_path / "map.nc", make_map())
    for name in ("a.png", "b.png"):
        quicklook.draw(tmp_path / "map.nc", tmp_path / name, SHA256)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_it_draws_nothing_but_maps(tmp_path):
    (tmp_path / "page.nc").write_text("<html>")
    with pytest.raises(MsmError, match="not a readable map"):
        quicklook.draw(tmp_path / "page.nc", tmp_path / "page.png", SHA256)
