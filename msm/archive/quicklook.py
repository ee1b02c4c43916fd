"""The quick look: a picture of a day's map, next to its file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from msm.archive.netcdf import Header, read_header
from msm.archive.quality import Quality
from msm.grid.ease import project

DRY_TO_WET = (
    "#f7edd5", "#e9d6a4", "#cfc07c", "#a3b377", "#6ba582",
    "#3b918e", "#277595", "#235690", "#21387d", "#1a1c56",
)  # fmt: skip
"""Sand to deep water; lightness decreases steadily, so that it also reads in grey."""

SHOWN = (0.05, 0.45)
"""Soil moisture at the ends of the colour bar, m3 m-3: only rock and peat lie beyond it."""

WATER, NO_VALUE, INK, PALE_INK = "#eaf0f4", "#c9c6c1", "#26323a", "#6f7b83"
HATCHED = "#8fb4b6"
"""Colour under the hatching in the legend."""

DPI = 100
MAP_WIDTH = 1242
"""Width of the map in the picture, pixels: two for each cell of CONUS."""
MAP_HEIGHTS = (360, 1100)
"""Least and greatest height of the map, pixels; a map of another shape is fitted in."""
LEFT, RIGHT, BOTTOM, TOP = 62, 26, 132, 84
"""Margins around the map, pixels."""

HATCHING = np.array([190, 100, 0, 0, 0, 0, 0, 100], np.uint8)
"""Opacity of white across one line of the hatching and the gap after it, one value a pixel."""

DEFLATE = 1
"""Compression of the picture: the default takes twice as long and saves 4 % on CONUS."""

SOURCE_KEY = "SHA-256"
"""PNG text that names the file which the picture shows."""

Mask = NDArray[np.uint8]
"""Opacity of each pixel of the map, 0 to 255, shape (height, width)."""


class _Map(NamedTuple):
    values: NDArray[np.float32]
    """Soil moisture, NaN where there is none, shape (rows, cols)."""
    flag: NDArray[np.uint8]
    land: NDArray[np.bool_]


class _Frame(NamedTuple):
    """Where the map lies in the picture."""

    left: int
    upper: int
    width: int
    height: int
    picture: tuple[int, int]
    """Width and height of the picture."""


def draw(source: Path, target: Path, sha256: str) -> None:
    """Draw the map of a published file as PNG; the same file gives the same bytes.

    Parameters
    ----------
    source
        The NetCDF file.
    target
        The picture to write.
    sha256
        Hash of `source`; the picture states it, so that an outdated picture is recognised.

    Raises
    ------
    MsmError
        If `source` is not one of msm's files.
    """
    header, day_map = read_header(source), _read(source)
    frame = _frame(header)
    picture = Image.new("RGB", frame.picture, "white")
    canvas = ImageDraw.Draw(picture)
    _draw_map(picture, frame, day_map)
    _draw_graticule(picture, canvas, frame, header)
    _draw_colour_bar(picture, canvas)
    _draw_legend(picture, canvas)
    _write_captions(canvas, frame, header, day_map)

    text = PngInfo()
    text.add_text(SOURCE_KEY, sha256)
    picture.save(target, "png", compress_level=DEFLATE, dpi=(DPI, DPI), pnginfo=text)


def drawn_from(picture: Path) -> str | None:
    """Return the SHA-256 of the file that a picture shows, None where that is not known."""
    try:
        with Image.open(picture) as image:
            source = image.info.get(SOURCE_KEY)
            image.verify()
    except (OSError, SyntaxError, UnidentifiedImageError):
        # Pillow reports a broken PNG chunk as SyntaxError.
        return None
    return source if isinstance(source, str) else None


def _read(source: Path) -> _Map:
    with netCDF4.Dataset(source) as dataset:
        values = np.ma.filled(dataset["soil_moisture"][0], np.nan)
        variable = dataset["quality_flag"]
        variable.set_auto_mask(False)
        flag = np.asarray(variable[0])
        return _Map(values, flag, flag != variable.getncattr("_FillValue"))


def _frame(header: Header) -> _Frame:
    """Fit the map into the picture without changing its shape."""
    left, bottom, right, top = header.bounds
    tall = int(np.clip(MAP_WIDTH * (top - bottom) / (right - left), *MAP_HEIGHTS))
    scale = min(MAP_WIDTH / (right - left), tall / (top - bottom))
    width, height = round(scale * (right - left)), round(scale * (top - bottom))
    return _Frame(
        left=LEFT + (MAP_WIDTH - width) // 2,
        upper=TOP + (tall - height) // 2,
        width=width,
        height=height,
        picture=(MAP_WIDTH + LEFT + RIGHT, tall + BOTTOM + TOP),
    )


def _draw_map(picture: Image.Image, frame: _Frame, day_map: _Map) -> None:
    """Draw the cells and the shores; freezing cells are hatched."""
    corner, size = (frame.left, frame.upper), (frame.width, frame.height)
    # Cells stay cells; only a map that is larger than the picture is averaged.
    larger = day_map.values.shape[1] > frame.width
    how = Image.Resampling.HAMMING if larger else Image.Resampling.NEAREST
    picture.paste(Image.fromarray(_colours(day_map)).resize(size, how), corner)
    freezing = day_map.land & ((day_map.flag & Quality.FREEZING) > 0)
    _overlay(picture, corner, "white", _hatching(size) * _enlarged(freezing, size))
    _overlay(picture, corner, INK, np.uint8(204) * _shores(_enlarged(day_map.land, size)))


def _colours(day_map: _Map) -> NDArray[np.uint8]:
    """Return the colours of the cells, shape (rows, cols, 3)."""
    no_value, water = 256, 257
    low, high = SHOWN
    with np.errstate(invalid="ignore"):
        step = (day_map.values - low) * (256 / (high - low))
    which = np.where(np.isnan(step), no_value, np.clip(step, 0, 255)).astype(np.uint16)
    which[~day_map.land] = water
    colours: NDArray[np.uint8] = np.vstack([_ramp(), _rgb(NO_VALUE), _rgb(WATER)])[which]
    return colours


@lru_cache
def _ramp() -> NDArray[np.uint8]:
    """Return the colours of the colour bar, shape (256, 3)."""
    stops = np.array([_rgb(colour) for colour in DRY_TO_WET], np.float64)
    at = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(at, np.arange(len(stops)), channel) for channel in stops.T]
    return np.stack(channels, 1).round().astype(np.uint8)


def _rgb(colour: str) -> NDArray[np.uint8]:
    return np.array(ImageColor.getrgb(colour), np.uint8)


def _enlarged(cells: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    image = Image.fromarray(cells.astype(np.uint8))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST)) > 0


def _shores(land: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of water next to land, so that no line hides a value."""
    padded = np.pad(land, 1)
    near = padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]
    shores: NDArray[np.bool_] = near & ~land
    return shores


@lru_cache(maxsize=4)
def _hatching(size: tuple[int, int]) -> Mask:
    width, height = size
    return HATCHING[np.add.outer(np.arange(height), np.arange(width)) % len(HATCHING)]


def _overlay(picture: Image.Image, corner: tuple[int, int], colour: str, mask: Mask) -> None:
    picture.paste(colour, corner, Image.fromarray(mask))


def _draw_graticule(
    picture: Image.Image, canvas: ImageDraw.ImageDraw, frame: _Frame, header: Header
) -> None:
    """Draw frame, meridians and parallels, which are straight lines in the EASE-2 plane."""
    west, south, east, north = header.bbox
    left, bottom, right, top = header.bounds
    lons, lats = _round_degrees(west, east, 7), _round_degrees(south, north, 6)
    x, _ = project(0.0, lons)
    _, y = project(lats, 0.0)
    cols = np.clip((x - left) / (right - left) * frame.width, 0, frame.width - 1).astype(int)
    rows = np.clip((top - y) / (top - bottom) * frame.height, 0, frame.height - 1).astype(int)

    lines = np.zeros((frame.height, frame.width), np.uint8)
    dashed = [np.where(np.arange(length) % 6 < 3, 41, 0) for length in lines.shape]
    lines[:, cols] = dashed[0][:, None]
    lines[rows] = dashed[1]
    _overlay(picture, (frame.left, frame.upper), INK, lines)

    beyond, below = frame.left + frame.width, frame.upper + frame.height
    canvas.rectangle((frame.left - 1, frame.upper - 1, beyond, below), outline=PALE_INK)
    for col, lon in zip(frame.left + cols, lons, strict=True):
        canvas.text((col, below + 8), _degrees(lon, "EW"), PALE_INK, _font(10), "ma")
    for row, lat in zip(frame.upper + rows, lats, strict=True):
        canvas.text((frame.left - 8, row), _degrees(lat, "NS"), PALE_INK, _font(10), "rm")


def _round_degrees(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return at most `most` round degrees between two."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60):
        ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        if len(ticks) <= most:
            break
    return ticks


def _degrees(value: float, names: str) -> str:
    side = "" if abs(value) < 1e-9 or abs(value) == 180 else names[int(value < 0)]
    return f"{abs(value):.3g}°{side}"


def _draw_colour_bar(picture: Image.Image, canvas: ImageDraw.ImageDraw) -> None:
    upper, lower = picture.height - 80, picture.height - 66
    middle, left, right = (upper + lower) // 2, LEFT + 21, LEFT + 448
    colours = Image.fromarray(_ramp()[None]).resize((right - left, lower - upper))
    picture.paste(colours, (left, upper))
    # Pointed ends: values below and above have the colours of the ends.
    for edge, tip, colour in ((left, LEFT, DRY_TO_WET[0]), (right, LEFT + 469, DRY_TO_WET[-1])):
        canvas.polygon([(edge, upper), (tip, middle), (edge, lower)], colour, PALE_INK)
        canvas.line([(edge, upper + 1), (edge, lower - 1)], colour)
    for y in (upper, lower):
        canvas.line([(left, y), (right, y)], PALE_INK)
    for value in np.arange(SHOWN[0], SHOWN[1] + 0.01, 0.05):
        x = left + round((value - SHOWN[0]) / (SHOWN[1] - SHOWN[0]) * (right - left))
        canvas.line([(x, lower), (x, lower + 4)], PALE_INK)
        canvas.text((x, lower + 7), f"{value:.2f}", INK, _font(10), "ma")
    canvas.text((LEFT + 484, middle), "m³ m⁻³", INK, _font(11), "lm")


def _draw_legend(picture: Image.Image, canvas: ImageDraw.ImageDraw) -> None:
    x, middle = picture.width - RIGHT, picture.height - 73
    for label, colour, outline in (
        ("water, not mapped", WATER, PALE_INK),
        ("no value", NO_VALUE, NO_VALUE),
        ("freezing", HATCHED, HATCHED),
    ):
        canvas.text((x, middle), label, INK, _font(10), "rm")
        x -= round(_font(10).getlength(label)) + 36
        canvas.rectangle((x, middle - 5, x + 25, middle + 4), colour, outline)
        if colour == HATCHED:
            _overlay(picture, (x, middle - 5), "white", _hatching((26, 10)))
        x -= 22


def _write_captions(
    canvas: ImageDraw.ImageDraw, frame: _Frame, header: Header, day_map: _Map
) -> None:
    """Write title, subtitle and status line, each with a part at either side."""
    width, height = frame.picture
    lineage = header.lineage
    cells = np.count_nonzero(day_map.land)
    unflagged = np.count_nonzero(day_map.flag[day_map.land] == 0) / cells
    low, median, high = np.nanpercentile(day_map.values, (5, 50, 95))
    forcing = sorted({f"{i.product} {i.version}" for i in lineage.inputs if i.role == "forcing"})
    checkpoint = f"checkpoint {lineage.checkpoint_name} {lineage.checkpoint_version}"
    status = f"{lineage.status}, revision {header.revision.number}"

    def line(y: int, at_left: str, at_right: str, size: float, colour: str, weight: str) -> None:
        font = _font(size, weight)
        canvas.text((LEFT, y), at_left, colour, font, "ls")
        canvas.text((width - RIGHT, y), at_right, colour, font, "rs")

    day = f"{header.day.day} {header.day:%B %Y}"
    line(44, "Surface soil moisture", day, 21, INK, "-Bold")
    line(
        70,
        f"top 5 cm, mean of the UTC day   |   {header.domain}, EASE-2 9 km",
        f"simulated inputs, {status}" if lineage.simulated else status,
        11.5,
        PALE_INK,
        "",
    )
    line(
        height - 16,
        f"{header.stem}   |   {checkpoint}   |   {', '.join(forcing) or 'no forcing'}",
        f"median {median:.2f}, 5-95 % {low:.2f} to {high:.2f} m³ m⁻³   |   "
        f"{unflagged:.0%} of {cells:,} cells unflagged",
        9,
        PALE_INK,
        "",
    )


@lru_cache
def _font(size: float, weight: str = "") -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib ships: no system font is needed."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"DejaVuSans{weight}.ttf", size * DPI / 72)
