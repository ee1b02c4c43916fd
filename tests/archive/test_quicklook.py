from datetime import date

import numpy as np
import pytest
from PIL import Image, ImageColor

from msm.archive import quicklook
from msm.archive.netcdf import write
from msm.archive.quality import Quality
from msm.errors import MsmError
from msm.grid.domain import load_domain
from msm.grid.ease import project

SHA256 = f"{5:064x}"


@pytest.fixture(scope="module")
def picture(tmp_path_factory, make_map):
    folder = tmp_path_factory.mktemp("quicklook")
    write(folder / "map.nc", make_map(date(2016, 4, 1), on=load_domain("conus")))
    quicklook.draw(folder / "map.nc", folder / "map.png", SHA256)
    return folder / "map.png"


def test_a_picture_names_its_file(picture, tmp_path):
    assert quicklook.drawn_from(picture) == SHA256
    half = tmp_path / "half.png"
    half.write_bytes(picture.read_bytes()[: picture.stat().st_size // 2])
    assert quicklook.drawn_from(half) is None
    assert quicklook.drawn_from(tmp_path / "missing.png") is None


def test_the_map_has_land_and_sea_in_their_places(picture):
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert 1200 < pixels.shape[1] < 1500
    assert 600 < pixels.shape[0] < 1000
    # The corner of the map off Georgia is sea, its middle is land.
    sea = np.array(ImageColor.getrgb(quicklook.WATER))
    top, left = quicklook.TOP, quicklook.LEFT
    bottom, right = pixels.shape[0] - quicklook.BOTTOM, pixels.shape[1] - quicklook.RIGHT
    np.testing.assert_allclose(pixels[bottom - 40, right - 40], sea, atol=1)
    middle = pixels[(top + bottom) // 2 - 20, (left + right) // 2 - 20]
    assert np.abs(middle - sea).max() > 20


def test_the_colours_darken_steadily_from_dry_to_wet():
    light = [np.dot(ImageColor.getrgb(c), (0.2126, 0.7152, 0.0722)) for c in quicklook.DRY_TO_WET]
    assert np.all(np.diff(light) < 0)


def test_a_file_that_is_not_a_map_is_refused(tmp_path):
    (tmp_path / "page.nc").write_text("<html>")
    with pytest.raises(MsmError, match="not a readable map"):
        quicklook.draw(tmp_path / "page.nc", tmp_path / "page.png", SHA256)


def pixels(folder, daily_map):
    write(folder / "map.nc", daily_map)
    quicklook.draw(folder / "map.nc", folder / "map.png", SHA256)
    with Image.open(folder / "map.png") as image:
        return np.asarray(image).astype(int)


def test_freezing_cells_are_hatched_and_no_others(tmp_path, make_map, domain):
    half = domain.lat > 44
    thawed, frozen = make_map(), make_map()
    thawed.quality_flag[:] = 0
    frozen.quality_flag[:] = np.where(half, Quality.FREEZING, 0)
    plain, hatched = pixels(tmp_path, thawed), pixels(tmp_path, frozen)
    changed = np.abs(hatched - plain).max(axis=2) > 8
    height = plain.shape[0] - quicklook.TOP - quicklook.BOTTOM
    middle = quicklook.TOP + round(
        height * (domain.y.max() - project(44.0, 0.0)[1]) / np.ptp(domain.y)
    )
    above, below = changed[quicklook.TOP : middle], changed[middle + 20 : -quicklook.BOTTOM]
    assert above.mean() > 0.05
    assert not below.any()


def test_the_same_file_gives_the_same_picture_whatever_is_drawn_between(tmp_path, make_map):
    drawn = []
    for number, name in enumerate(["box:41,47,-90,-84", "box:40,46,-90,-84"] * 2):
        source = tmp_path / f"{name}.nc"
        if not source.exists():
            write(source, make_map(on=load_domain(name)))
        quicklook.draw(source, tmp_path / f"{number}.png", SHA256)
        drawn.append((tmp_path / f"{number}.png").read_bytes())
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_every_cell_shows_its_value(tmp_path, make_map, domain):
    """No line covers a cell: shores are drawn on the water, hatching leaves gaps."""
    wet = make_map()
    wet.soil_moisture[:] = 0.9
    wet.quality_flag[:] = 0
    drawn = pixels(tmp_path, wet)
    box = drawn[quicklook.TOP : -quicklook.BOTTOM]
    darkest = np.array(ImageColor.getrgb(quicklook.DRY_TO_WET[-1]))
    shown = (np.abs(box - darkest).max(axis=2) <= 40).sum()
    rows, cols = domain.shape
    scale = min(
        (drawn.shape[0] - quicklook.TOP - quicklook.BOTTOM) / rows, quicklook.MAP_WIDTH / cols
    )
    assert shown == pytest.approx(domain.n_cell * scale**2, rel=0.02)
