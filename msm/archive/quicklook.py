"""The quick look: a picture of a day's map, beside its file.

Most of a picture is the same every day. It is drawn once in a process, on a sheet that is clear
where the map shows; a day then costs its colours, its words and its compression.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from msm.archive.netcdf import Header, read_header
from msm.archive.quality import Quality
from msm.grid.ease import project

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DRY_TO_WET = (
    "#f7edd5", "#e9d6a4", "#cfc07c", "#a3b377", "#6ba582",
    "#3b918e", "#277595", "#235690", "#21387d", "#1a1c56",
)  # fmt: skip
"""Sand to deep water; lightness falls steadily, so that it also reads in grey."""

SHOWN = (0.05, 0.45)
"""Soil moisture at the ends of the colour bar, m3 m-3: beyond it lies little but rock and peat."""

WATER, NO_VALUE, INK, PALE_INK = "#eaf0f4", "#c9c6c1", "#26323a", "#6f7b83"

DPI = 100
MAP_WIDTH = 1242
"""Width of the map in the picture, pixels: two for each cell of CONUS."""
MAP_HEIGHTS = (360, 1100)
"""Least and greatest height of the map, pixels; a map of another shape is fitted in."""
LEFT, RIGHT, BOTTOM, TOP = 62, 26, 132, 84
"""Margins round the map, pixels."""

DEFLATE = 1
"""Compression of the picture: the default takes twice as long and saves 4 % on CONUS."""

SOURCE_KEY = "SHA-256"
"""PNG text that names the file which was drawn."""


class _Map(NamedTuple):
    values: NDArray[np.float32]
    """Soil moisture, NaN where there is none, shape (rows, cols)."""
    flag: NDArray[np.uint8]
    land: NDArray[np.bool_]


class _Frame(NamedTuple):
    """Where the map of a domain lies; the fields are those of `Header`."""

    shape: tuple[int, int]
    bounds: tuple[float, float, float, float]
    bbox: tuple[float, float, float, float]


class _Sheet(NamedTuple):
    """What the pictures of a domain have in common."""

    box: tuple[int, int, int, int]
    """Left, upper, right and lower edge of the map in the picture, pixels."""
    over: Image.Image
    """All that lies over the map or beside it, RGBA."""
    hatching: Image.Image
    """How much white of the hatching covers each pixel of the box."""


def draw(source: Path, target: Path, sha256: str) -> None:
    """Draw the map of a published file as PNG.

    Parameters
    ----------
    source
        The NetCDF file.
    target
        The picture to make.
    sha256
        Hash of `source`; the picture carries it, so that a stale picture is known for one.

    Raises
    ------
    MsmError
        If `source` is not one of msm's files.
    """
    header, day_map = read_header(source), _read(source)
    frame = _Frame(header.shape, header.bounds, header.bbox)
    sheet = _sheet(frame, np.packbits(day_map.land).tobytes())
    left, upper, right, lower = sheet.box
    size = right - left, lower - upper

    picture = Image.new("RGB", sheet.over.size, "white")
    # Cells stay cells; only a map that is larger than the picture is averaged.
    larger = header.shape[1] > MAP_WIDTH
    how = Image.Resampling.HAMMING if larger else Image.Resampling.NEAREST
    picture.paste(Image.fromarray(_coloured(day_map)).resize(size, how), sheet.box)
    freezing = Image.fromarray(day_map.land & ((day_map.flag & Quality.FREEZING) > 0)).convert("L")
    picture.paste(
        "white",
        sheet.box,
        ImageChops.multiply(sheet.hatching, freezing.resize(size, Image.Resampling.NEAREST)),
    )
    picture.paste(sheet.over, mask=sheet.over)
    _words(picture, header, day_map)

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


def _coloured(day_map: _Map) -> NDArray[np.uint8]:
    """Return the colours of the cells, shape (rows, cols, 3)."""
    from matplotlib.colors import to_rgb

    ramp = _colours()(np.arange(256), bytes=True)[:, :3]
    others = [np.multiply(to_rgb(colour), 255).round() for colour in (NO_VALUE, WATER)]
    no_value, water = 256, 257
    low, high = SHOWN
    with np.errstate(invalid="ignore"):
        step = (day_map.values - low) * (256 / (high - low))
    which = np.where(np.isnan(step), no_value, np.clip(step, 0, 255)).astype(np.uint16)
    which[~day_map.land] = water
    colours: NDArray[np.uint8] = np.vstack([ramp, *others]).astype(np.uint8)[which]
    return colours


def _colours() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("dry to wet", DRY_TO_WET)


@lru_cache(maxsize=2)
def _sheet(frame: _Frame, land: bytes) -> _Sheet:
    """Draw what is the same every day; `land` has a bit for each cell of the frame."""
    from matplotlib.patches import Rectangle

    left, bottom, right, top = frame.bounds
    height = int(np.clip(MAP_WIDTH * (top - bottom) / (right - left), *MAP_HEIGHTS))
    size = MAP_WIDTH + LEFT + RIGHT, height + BOTTOM + TOP
    figure = _figure(size)
    axes = figure.add_axes(
        (LEFT / size[0], BOTTOM / size[1], MAP_WIDTH / size[0], height / size[1])
    )
    axes.set(facecolor="none", xlim=(left, right), ylim=(bottom, top))
    axes.set_aspect("equal", adjustable="box", anchor="C")
    rows, cols = frame.shape
    on_land = np.unpackbits(np.frombuffer(land, np.uint8), count=rows * cols).reshape(rows, cols)
    _outline(axes, frame, on_land)
    _graticule(axes, frame)
    _colour_bar(figure, size)
    over = _rendered(figure)
    x0, y0, x1, y1 = (round(edge) for edge in axes.bbox.extents)
    box = x0, size[1] - y1, x1, size[1] - y0

    hatched = _figure(size)
    hatched.add_artist(
        Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=(1, 1, 1, 0.75), hatch="////", lw=0)
    )
    return _Sheet(box, over, _rendered(hatched).getchannel("A").crop(box))


def _figure(size: tuple[int, int]) -> Figure:
    """Return a clear figure of a size in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="none")
    FigureCanvasAgg(figure)
    return figure


def _rendered(figure: Figure) -> Image.Image:
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))  # type: ignore[attr-defined]


def _outline(axes: Axes, frame: _Frame, land: NDArray[np.uint8]) -> None:
    """Draw the shores."""
    left, bottom, right, top = frame.bounds
    # Outlines finer than the picture would only cost time.
    step = 1 + frame.shape[1] // MAP_WIDTH
    if not land.all():
        axes.contour(
            land[::step, ::step],
            levels=[0.5],
            extent=(left, right, bottom, top),
            origin="upper",
            colors=[INK],
            linewidths=0.7,
        )


def _graticule(axes: Axes, frame: _Frame) -> None:
    """Draw meridians and parallels, which are straight in the EASE-2 plane, at round degrees."""
    west, south, east, north = frame.bbox
    lons, lats = _round_degrees(west, east, 7), _round_degrees(south, north, 6)
    x, _ = project(0.0, lons)
    _, y = project(lats, 0.0)
    axes.set_xticks(x, [_degrees(v, "EW") for v in lons])
    axes.set_yticks(y, [_degrees(v, "NS") for v in lats])
    axes.tick_params(length=0, labelsize=10, labelcolor=PALE_INK, pad=6)
    axes.grid(color=INK, alpha=0.16, linewidth=0.6, linestyle=(0, (4, 4)))
    for spine in axes.spines.values():
        spine.set(color=PALE_INK, linewidth=0.8)


def _round_degrees(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return at most `most` (but at least two, if it can be) round degrees between two."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60):
        ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        if len(ticks) <= most:
            break
    return ticks


def _degrees(value: float, names: str) -> str:
    side = "" if abs(value) < 1e-9 or abs(value) == 180 else names[int(value < 0)]
    return f"{abs(value):.3g}°{side}"


def _colour_bar(figure: Figure, pixels: tuple[int, int]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Patch

    width, height = pixels
    beside = figure.add_axes((LEFT / width, 66 / height, 470 / width, 14 / height))
    bar = figure.colorbar(
        ScalarMappable(Normalize(*SHOWN), _colours()),
        cax=beside,
        orientation="horizontal",
        extend="both",
        ticks=np.arange(SHOWN[0], SHOWN[1] + 0.01, 0.05),
    )
    bar.ax.tick_params(length=3, color=PALE_INK, labelsize=10, labelcolor=INK)
    bar.outline.set(edgecolor=PALE_INK, linewidth=0.6)
    figure.text((LEFT + 484) / width, 73 / height, "m³ m⁻³", fontsize=11, color=INK, va="center")
    figure.legend(
        handles=[
            Patch(facecolor="#8fb4b6", edgecolor="white", hatch="////", label="freezing"),
            Patch(facecolor=NO_VALUE, edgecolor="none", label="no value"),
            Patch(facecolor=WATER, edgecolor=PALE_INK, linewidth=0.6, label="water, not mapped"),
        ],
        loc="center right",
        bbox_to_anchor=((width - RIGHT) / width, 73 / height),
        ncols=3,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=1.8,
        borderpad=0,
        borderaxespad=0,
        columnspacing=1.6,
    )


def _words(picture: Image.Image, header: Header, day_map: _Map) -> None:
    width, height = picture.size
    at_left, at_right = LEFT, width - RIGHT
    canvas = ImageDraw.Draw(picture)
    lineage = header.lineage
    known = day_map.values[np.isfinite(day_map.values)]
    clear = np.count_nonzero(day_map.flag[day_map.land] == 0) / np.count_nonzero(day_map.land)
    sources = sorted({f"{i.product} {i.version}" for i in lineage.inputs if i.role == "forcing"})

    def text(x: int, y: int, words: str, size: float, colour: str, weight: str = "normal") -> None:
        anchor = "ls" if x == at_left else "rs"
        canvas.text((x, height - y), words, colour, _font(size, weight), anchor)

    day = f"{header.day.day} {header.day:%B %Y}"
    text(at_left, height - 44, "Surface soil moisture", 21, INK, "bold")
    text(at_right, height - 44, day, 21, INK, "bold")
    text(
        at_left,
        height - 70,
        f"top 5 cm, mean of the UTC day   |   {header.domain}, EASE-2 9 km",
        11.5,
        PALE_INK,
    )
    text(
        at_right,
        height - 70,
        f"{'simulated inputs, ' * lineage.simulated}{lineage.status}, "
        f"revision {header.revision.number}",
        11.5,
        PALE_INK,
    )
    text(
        at_left,
        16,
        f"{header.stem}   |   checkpoint {lineage.checkpoint_name} {lineage.checkpoint_version}"
        f"   |   {', '.join(sources) or 'no forcing'}",
        9,
        PALE_INK,
    )
    low, middle, high = np.percentile(known, (5, 50, 95))
    text(
        at_right,
        16,
        f"median {middle:.2f}, 5-95 % {low:.2f} to {high:.2f} m³ m⁻³   |   "
        f"{clear:.0%} of {np.count_nonzero(day_map.land):,} cells unflagged",
        9,
        PALE_INK,
    )


@lru_cache
def _font(size: float, weight: str) -> ImageFont.FreeTypeFont:
    """Return matplotlib's font; its own way of setting text takes ten times as long."""
    from matplotlib.font_manager import FontProperties, findfont

    return ImageFont.truetype(findfont(FontProperties(weight=weight)), size * DPI / 72)
