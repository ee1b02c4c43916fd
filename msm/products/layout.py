"""Granule layouts as data: one TOML file per product version in `layouts/`.

It describes names, units, fills, the meaning of times and file names, each variable with its source
and whether a real file verified it. The readers and the sandbox's writers use the same file.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.frozen import FrozenModel
from msm.grid.ease import M09, M36

TimeMeaning = Literal[
    "instantaneous", "mean_before", "total_before", "mean_centred", "mean_after", "static"
]

BEGINS = {"mean_before": -1.0, "total_before": -1.0, "mean_centred": -0.5}
"""Start of a value's interval relative to its time, in intervals; 0 where not listed."""

STEP = {
    "half_hourly": timedelta(minutes=30),
    "hourly": timedelta(hours=1),
    "three_hourly": timedelta(hours=3),
    "daily": timedelta(days=1),
}
"""Time from one granule to the next; half-orbits and static granules have no fixed times."""


class Variable(FrozenModel):
    """One variable of a granule that msm reads."""

    name: str
    """Name in msm: canonical, or of a variable that canonical fields are derived from."""
    path: str
    """Path in the file, groups separated by `/`."""
    units: str
    """Units as the file spells them."""
    scale: float = 1.0
    """Factor from the file's units to the canonical ones."""
    canonical_units: str
    time: TimeMeaning
    """Meaning of a time in the granule.

    A mean or total is of the interval that ends at it (`before`), is centred on it (`centred`) or
    begins at it (`after`).
    """
    use: Literal["forcing", "statics", "retrieval", "comparison"]
    """Use in msm; a variable for comparison never affects a map."""
    dims: tuple[str, ...]
    """Names as in the file; the last two are rows and columns of the grid, in either order.

    A half-orbit has the one dimension `cell`.
    """
    dtype: str
    """numpy type code in the file."""
    fill: float
    """Fill value, compared with the stored number."""
    long_name: str
    required: bool = True
    """A granule without a required variable is refused."""
    verified: bool
    """True where checked on a real granule, False where known from documentation only."""
    source: str


class Grid(FrozenModel):
    """The grid of a granule's fields."""

    kind: Literal["latlon", "M09", "M36"]
    rows: int
    cols: int
    lat: str | None = None
    """Path of the latitude axis; None on an EASE-2 grid, whose position follows from the grid."""
    lon: str | None = None
    y: str | None = None
    """Path of the northing axis (m) of an EASE-2 grid, which places a subset."""
    x: str | None = None
    row_index: str | None = None
    """Path of the row of each cell, where a granule lists cells instead of a field."""
    col_index: str | None = None
    lat_first: float | None = None
    lat_step: float | None = None
    lon_first: float | None = None
    lon_step: float | None = None

    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres of rows and columns, shapes (rows,) and (cols,).

        Latitude and longitude in degrees on a lat/lon grid, northing and easting in m on an EASE-2
        grid.
        """
        if self.kind != "latlon":
            ease = {"M09": M09, "M36": M36}[self.kind]
            return ease.y, ease.x
        first_lat, lat_step = self.lat_first, self.lat_step
        first_lon, lon_step = self.lon_first, self.lon_step
        if first_lat is None or lat_step is None or first_lon is None or lon_step is None:
            raise ValueError(
                "The layout of a latlon grid must state lat_first, lat_step and so on."
            )
        return (
            first_lat + lat_step * np.arange(self.rows, dtype=np.float64),
            first_lon + lon_step * np.arange(self.cols, dtype=np.float64),
        )

    @property
    def axis_paths(self) -> tuple[str | None, str | None]:
        """Paths of the row and column axes in a granule, None where it has none."""
        return (self.lat, self.lon) if self.kind == "latlon" else (self.y, self.x)


class Stamp(FrozenModel):
    """Position of a granule's time: a CF time variable, or an ISO 8601 attribute."""

    variable: str | None = None
    attribute: str | None = None
    """`GROUP@NAME`, or `GROUP@NAME:KEY` where the attribute is a list of `KEY=value;` lines."""
    offset_seconds: float = 0.0
    """Difference of the time in the granule's name from the stated time."""
    verified: bool
    source: str


class Attribute(FrozenModel):
    """A group attribute that identifies the product."""

    states: Literal["product", "version"]
    group: str
    """Empty for the file's own attributes."""
    name: str
    """`NAME`, or `NAME:KEY` where the attribute is a list of `KEY=value;` lines."""
    value: str


class Latency(FrozenModel):
    """Days after its day until a granule is due, overdue and final."""

    due_days: float
    retry_days: float
    final_after_days: float
    source: str


class Layout(FrozenModel):
    """The layout of one version of one product."""

    product: str
    """Earthdata short name."""
    version: str
    """Earthdata collection version."""
    provider: str
    """CMR provider."""
    connections: int
    """Largest number of simultaneous downloads, by the provider's host and the granule size."""
    title: str
    doi: str | None = None
    cadence: Literal["half_hourly", "hourly", "three_hourly", "daily", "half_orbit", "static"]
    """Interval between granules."""
    first_minutes: int = 0
    """Time of a day's first granule, minutes after midnight."""
    times: int = 1
    """Number of times in one granule, evenly spaced from its time to that of the next granule."""
    file_name: str
    """Template of a granule's name.

    `time`, `release` and `counter` are filled in; for some products also `end`, the last second
    of the granule, `minute` of the day, `orbit` and `half`.
    """
    file_pattern: str
    """Regular expression of a granule's name: group `time`, some have `release` and `counter`."""
    time_format: str
    """strptime format of the group `time`."""
    grid: Grid
    stamp: Stamp | None = None
    latency: Latency
    attributes: tuple[Attribute, ...] = ()
    variables: tuple[Variable, ...]
    notes: str = ""

    @property
    def id(self) -> str:
        """Short name and version, as in `NLDAS_FORA0125_H 2.0`."""
        return f"{self.product} {self.version}"

    def matches(self, file_name: str) -> bool:
        """Return whether a file name has this product's form and a valid time."""
        try:
            self.time_of(file_name)
        except MsmError:
            return False
        return True

    def time_of(self, file_name: str) -> datetime | None:
        """Return the UTC time in a granule's name; None for a static product.

        Raises
        ------
        MsmError
            If the name does not have this product's form, or its time is invalid.
        """
        match = self._parse(file_name)
        if match is None:
            raise MsmError(f"{file_name} is not the name of a granule of {self.id}.")
        if self.cadence == "static":
            return None
        try:
            return datetime.strptime(match["time"].replace(".", ""), self.time_format).replace(
                tzinfo=UTC
            )
        except ValueError as error:
            raise MsmError(f"{file_name} contains an invalid time.") from error

    def production_of(self, file_name: str) -> tuple[str, str]:
        """Return release and counter in a granule's name, empty where it has none."""
        match = self._parse(file_name)
        groups = match.groupdict() if match else {}
        return groups.get("release") or "", groups.get("counter") or ""

    def _parse(self, file_name: str) -> re.Match[str] | None:
        return re.fullmatch(self.file_pattern, file_name, re.ASCII)

    @property
    def interval(self) -> timedelta:
        """Time from one value of a variable to the next.

        Raises
        ------
        MsmError
            If granules have no fixed times.
        """
        if self.cadence not in STEP:
            raise MsmError(f"{self.id} has no fixed times and therefore no daily mean.")
        return STEP[self.cadence] / self.times

    def used(self, variable: Variable, day: date) -> list[tuple[datetime, int]]:
        """List the values that a variable's daily value consists of.

        A day is [00:00, 00:00 of the next day) UTC: instants inside it count, and intervals that
        begin inside it. The last interval before 00:00 is thus in the first granule of the next
        day where values are of the interval before.

        Returns
        -------
        list of (datetime, int)
            Granule time and index among the granule's times, in order.
        """
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start + timedelta(days=1)
        first = start + timedelta(minutes=self.first_minutes)
        interval = self.interval
        lead = interval * BEGINS.get(variable.time, 0.0)
        granules = int(timedelta(days=1) / STEP[self.cadence])
        return [
            (granule, index)
            for granule in (first + n * STEP[self.cadence] for n in range(granules + 1))
            for index in range(self.times)
            if start <= granule + index * interval + lead < end
        ]

    def stamps(self, day: date) -> list[datetime]:
        """List the granule times of a complete product day, in order.

        The list is empty for a product whose granules have no fixed times.
        """
        if self.cadence not in STEP:
            return []
        return sorted({time for v in self.variables for time, _ in self.used(v, day)})


@lru_cache
def load_layout(name: str) -> Layout:
    """Load `layouts/<name>.toml`."""
    text = files("msm.products").joinpath(f"layouts/{name}.toml").read_text(encoding="utf-8")
    return Layout.model_validate(tomllib.loads(text))
