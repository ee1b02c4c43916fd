"""The quick look: a picture of a day's map, beside its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.archive.netcdf import Header, read_header
from msm.archive.quality import Quality
from msm.grid.ease import project

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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

SOURCE_KEY = "SHA-256"
"""PNG text that names the file which was drawn."""


class _Map(NamedTuple):
    values: NDArray[np.float32]
    """Soil moisture, NaN where there is none, shape (rows, cols)."""
    flag: NDArray[np.uint8]
    land: NDArray[np.bool_]


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    header, day_map = read_header(source), _read(source)
    left, bottom, right, top = header.bounds
    aspect = (top - bottom) / (right - left)
    height = int(np.clip(MAP_WIDTH * aspect, *MAP_HEIGHTS))
    pixels = MAP_WIDTH + LEFT + RIGHT, height + BOTTOM + TOP
    figure = Figure(figsize=(pixels[0] / DPI, pixels[1] / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (LEFT / pixels[0], BOTTOM / pixels[1], MAP_WIDTH / pixels[0], height / pixels[1])
    )
    _map(axes, header, day_map)
    _graticule(axes, header)
    _colour_bar(figure, axes, pixels)
    _words(figure, header, day_map, pixels)
    figure.savefig(target, format="png", metadata={"Software": None, SOURCE_KEY: sha256})


def drawn_from(picture: Path) -> str | None:
    """Return the SHA-256 of the file that a picture shows, None where that is not known."""
    from PIL import Image, UnidentifiedImageError

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


def _map(axes: Axes, header: Header, day_map: _Map) -> None:
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap

    left, bottom, right, top = header.bounds
    extent = (left, right, bottom, top)
    axes.set_facecolor(WATER)
    missing = np.where(day_map.land & np.isnan(day_map.values), 0.0, np.nan)
    axes.imshow(missing, extent=extent, cmap=ListedColormap([NO_VALUE]), interpolation="nearest")
    axes.imshow(
        day_map.values,
        extent=extent,
        cmap=LinearSegmentedColormap.from_list("dry to wet", DRY_TO_WET),
        vmin=SHOWN[0],
        vmax=SHOWN[1],
        # Cells stay cells; only a map that is larger than the picture is averaged.
        interpolation="nearest" if day_map.values.shape[1] <= MAP_WIDTH else "antialiased",
    )
    # Outlines finer than the picture would only cost time.
    step = 1 + day_map.land.shape[1] // MAP_WIDTH
    land = day_map.land[::step, ::step]
    if not land.all():
        axes.contour(
            land, levels=[0.5], extent=extent, origin="upper", colors=[INK], linewidths=0.7
        )
    freezing = land & ((day_map.flag[::step, ::step] & Quality.FREEZING) > 0)
    if freezing.any():
        hatched = axes.contourf(
            freezing,
            levels=[0.5, 1.5],
            extent=extent,
            origin="upper",
            colors="none",
            hatches=["////"],
        )
        hatched.set_edgecolor((1.0, 1.0, 1.0, 0.75))
        hatched.set_linewidth(0.0)
    axes.set_aspect("equal", adjustable="box", anchor="C")


def _graticule(axes: Axes, header: Header) -> None:
    """Draw meridians and parallels, which are straight in the EASE-2 plane, at round degrees."""
    west, south, east, north = header.bbox
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


def _colour_bar(figure: Figure, axes: Axes, pixels: tuple[int, int]) -> None:
    from matplotlib.patches import Patch

    width, height = pixels
    beside = figure.add_axes((LEFT / width, 66 / height, 470 / width, 14 / height))
    bar = figure.colorbar(
        axes.images[1],
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


def _words(figure: Figure, header: Header, day_map: _Map, pixels: tuple[int, int]) -> None:
    width, height = pixels
    at_left, at_right = LEFT / width, (width - RIGHT) / width
    lineage = header.lineage
    known = day_map.values[np.isfinite(day_map.values)]
    clear = np.count_nonzero(day_map.flag[day_map.land] == 0) / np.count_nonzero(day_map.land)
    sources = sorted({f"{i.product} {i.version}" for i in lineage.inputs if i.role == "forcing"})

    def text(x: float, y: float, words: str, size: float, colour: str, **style: Any) -> None:
        figure.text(x, y / height, words, fontsize=size, color=colour, va="baseline", **style)

    day = f"{header.day.day} {header.day:%B %Y}"
    text(at_left, height - 44, "Surface soil moisture", 21, INK, weight="bold")
    text(at_right, height - 44, day, 21, INK, ha="right", weight="bold")
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
        ha="right",
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
        ha="right",
    )
