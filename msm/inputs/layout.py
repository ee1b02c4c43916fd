"""What is known of a granule's layout, as data.

One TOML file per product version in `layouts/` states names, units, fills, time meanings and file
names, each line with its source and whether it was verified on a real file. The readers and the
sandbox's writers both use it, so that a correction is made in one place.
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
from pydantic import BaseModel, ConfigDict

from msm.errors import MsmError

TimeMeaning = Literal["instantaneous", "mean_before", "total_before", "static"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variable(_Model):
    """One variable of a granule that msm reads."""

    name: str
    """Name in msm: canonical, or of an ingredient that the reader turns into canonical ones."""
    path: str
    """Path in the file, groups separated by `/`."""
    units: str
    """Units as the file spells them."""
    scale: float = 1.0
    """Factor from the file's units to the canonical ones."""
    canonical_units: str
    time: TimeMeaning
    """What the granule's stamp means for this variable; `before` is the interval that ends then."""
    dims: tuple[str, ...]
    dtype: str
    """numpy type code in the file."""
    fill: float
    """Value that stands for `nothing here`, checked on the stored number."""
    long_name: str
    required: bool = True
    """A granule without a required variable is refused."""
    verified: bool
    """True where a real granule was read to check this line, False where only documentation was."""
    source: str


class Grid(_Model):
    """The grid that a granule's fields stand on."""

    kind: Literal["latlon", "M09", "M36"]
    rows: int
    cols: int
    lat: str | None = None
    """Path of the latitude axis; None on an EASE-2 grid, whose position comes from the grid."""
    lon: str | None = None
    lat_first: float | None = None
    lat_step: float | None = None
    lon_first: float | None = None
    lon_step: float | None = None

    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres (latitude (rows,), longitude (cols,)) that a lat/lon grid states."""
        first_lat, lat_step = self.lat_first, self.lat_step
        first_lon, lon_step = self.lon_first, self.lon_step
        if first_lat is None or lat_step is None or first_lon is None or lon_step is None:
            raise ValueError(f"a {self.kind} grid states no latitude and longitude axes")
        return (
            first_lat + lat_step * np.arange(self.rows, dtype=np.float64),
            first_lon + lon_step * np.arange(self.cols, dtype=np.float64),
        )


class Stamp(_Model):
    """Where a granule carries its own time: a CF time variable, or an ISO 8601 attribute."""

    variable: str | None = None
    attribute: str | None = None
    """`GROUP@NAME`."""
    verified: bool
    source: str


class Attribute(_Model):
    """A group attribute that identifies the product."""

    group: str
    name: str
    value: str


class Latency(_Model):
    """When a granule can be expected, and when it no longer changes, in days after its day."""

    due_days: float
    retry_days: float
    final_after_days: float
    source: str


class Layout(_Model):
    """Everything msm knows of one version of one product."""

    product: str
    """Earthdata short name."""
    version: str
    """Earthdata collection version."""
    provider: str
    """CMR provider."""
    title: str
    doi: str | None = None
    cadence: Literal["hourly", "daily", "static"]
    file_name: str
    """Template of a granule's name: `time`, `release` and `counter` are filled in."""
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
        """Tell whether a file's name has this product's form."""
        return re.fullmatch(self.file_pattern, file_name) is not None

    def time_of(self, file_name: str) -> datetime | None:
        """Return the UTC time in a granule's name; None for a static product.

        Raises
        ------
        MsmError
            If the name does not have this product's form.
        """
        match = re.fullmatch(self.file_pattern, file_name)
        if match is None:
            raise MsmError(f"{file_name} is not named as a granule of {self.id} is.")
        if self.cadence == "static":
            return None
        return datetime.strptime("".join(match["time"].split(".")), self.time_format).replace(
            tzinfo=UTC
        )

    def production_of(self, file_name: str) -> tuple[str, str]:
        """Return release and counter in a granule's name, empty where it carries none."""
        match = re.fullmatch(self.file_pattern, file_name)
        groups = match.groupdict() if match else {}
        return groups.get("release") or "", groups.get("counter") or ""

    def stamps(self, day: date) -> list[datetime]:
        """List the granule times that a complete product day takes, in order.

        A day is [00:00, 00:00 of the next day) UTC. Where a variable is a mean or a total over the
        interval before its stamp, the last interval of the day is in the first granule of the next.
        """
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if self.cadence == "static":
            return []
        if self.cadence == "daily":
            return [start]
        last = 24 if any(v.time.endswith("_before") for v in self.variables) else 23
        return [start + timedelta(hours=hour) for hour in range(last + 1)]


@lru_cache
def load_layout(name: str) -> Layout:
    """Load `layouts/<name>.toml`."""
    text = files("msm.inputs").joinpath(f"layouts/{name}.toml").read_text(encoding="utf-8")
    return Layout.model_validate(tomllib.loads(text))


def hours_used(variable: Variable) -> range:
    """Hours after 00:00 of a day whose stamps make up the variable's value of that day."""
    return range(1, 25) if variable.time.endswith("_before") else range(24)
