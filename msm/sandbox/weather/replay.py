"""Weather from a table of real daily values at points on a lattice of M36 cells.

The table (conus_v4f1.nc) gives every 4th M36 row and column over CONUS. Between the points the
forcing is interpolated with a plateau over each point's own cell, so that the cell and its 16
nested M09 cells get exactly the table's value. Missing points of the lattice take their nearest
neighbour's value, and the lattice's edge continues beyond it, so that every cell has a value. The
hours of a day average, and rain adds up, to the table's daily value.

Surface pressure is not in the table and is left out: a constant would look like a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from msm.errors import MsmError
from msm.grid.ease import M36, NEST, EaseGrid, project
from msm.sandbox.weather.interface import FLAG_FILL, NORTH_AMERICA, Fields, Half, region
from msm.sandbox.weather.solar import cos_zenith, hour_angle

FORCING = {
    "precipitation": "precipitation",
    "air_temperature": "air_temperature_2m",
    "specific_humidity": "specific_humidity_2m",
    "longwave_down": "longwave_down",
    "shortwave_down": "shortwave_down",
    "wind_east": "wind_east_10m",
    "wind_north": "wind_north_10m",
}
"""Names here and in the table. The table's precipitation is mm h-1, mean over the day's hours."""

PLATEAU = 0.8
"""Distance from a point, in M36 cells, within which its value holds.

Half a cell and half an NLDAS cell (0.2 of an M36 cell at most): every NLDAS cell that overlaps the
point's M36 cell has its centre within it.
"""

RAIN_HOURS = 3.0
"""Standard deviation in hours of a day's rain around its wettest hour."""


@dataclass(frozen=True, eq=False)
class ReplayWeather:
    """Real daily values of a table, spread over the product's grids and hours."""

    extent = NORTH_AMERICA

    first_day: date
    row: NDArray[np.int64]
    """M36 rows of the points, shape (pixel,)."""
    col: NDArray[np.int64]
    """M36 columns of the points, shape (pixel,)."""
    forcing: dict[str, NDArray[np.float64]]
    """Daily values, shape (time, pixel), `FORCING` names."""
    soil_moisture: NDArray[np.float32]
    """SMAP's morning retrievals, shape (time, pixel), NaN where there is none."""
    sand: NDArray[np.float64]
    """Fraction, shape (pixel,)."""
    clay: NDArray[np.float64]
    """Fraction, shape (pixel,)."""
    ndvi: NDArray[np.float64]
    """Vegetation index, shape (pixel,)."""

    @classmethod
    def read(cls, path: Path) -> ReplayWeather:
        """Read a table.

        Raises
        ------
        MsmError
            If the file is not such a table, or its points do not lie on a lattice of M36 centres.
        """
        try:
            with netCDF4.Dataset(path) as table:
                table.set_auto_mask(False)
                start = _day_zero(table["time"])
                columns = {name: np.asarray(table[name][:]) for name in table.variables}
        except (OSError, IndexError, AttributeError) as error:
            raise MsmError(f"{path} is not a table of daily values at points: {error}.") from error
        missing = {*FORCING.values(), "smap_soil_moisture_am", "sand", "clay", "ndvi"} - set(
            columns
        )
        if missing:
            raise MsmError(f"{path} has no {', '.join(sorted(missing))}: it cannot be replayed.")
        if not np.array_equal(np.diff(columns["time"]), np.ones(columns["time"].size - 1)):
            raise MsmError(f"The days of {path} do not follow one another: it cannot be replayed.")
        row, col = M36.rowcol(columns["latitude"], columns["longitude"])
        if np.any((row - row.min()) % NEST) or np.any((col - col.min()) % NEST):
            raise MsmError(f"The points of {path} do not lie on every {NEST}th M36 row and column.")
        return cls(
            first_day=start,
            row=row,
            col=col,
            forcing={
                name: columns[source].T.astype(np.float64) for name, source in FORCING.items()
            },
            soil_moisture=np.ascontiguousarray(columns["smap_soil_moisture_am"].T, np.float32),
            sand=columns["sand"].astype(np.float64) / 100,
            clay=columns["clay"].astype(np.float64) / 100,
            ndvi=columns["ndvi"].astype(np.float64),
        )

    @property
    def last_day(self) -> date:
        """Last day of the table."""
        return self.first_day + timedelta(days=len(self.soil_moisture) - 1)

    def hour(self, stamp: datetime, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Fields:
        """Return the forcing at a UTC hour; see `Weather.hour`.

        Winds are constant over a day. Outside the table its nearest day is taken: the first hour
        of the table needs the rain before it, and the last granule the fields after it.
        """
        axes = _axes_key(lat), _axes_key(lon)
        day = self._maps(stamp.date(), *axes)
        local = hour_angle(stamp, lon)[None, :]
        fields = {name: day[name] for name in ("wind_east", "wind_north")}
        # A cosine over 24 equal steps has zero mean: the daily value stays the same.
        fields["air_temperature"] = day["air_temperature"] + day["warmth"] * np.cos(local - 0.7)
        fields["specific_humidity"] = day["specific_humidity"] * (1 + 0.03 * np.cos(local - 0.9))
        fields["longwave_down"] = day["longwave_down"] * (1 + 0.04 * np.cos(local - 0.8))
        fields["shortwave_down"] = day["sunshine"] * cos_zenith(stamp, lat, lon)
        rain_day = (stamp - timedelta(hours=1)).date()
        rain = self._maps(rain_day, *axes)["precipitation"]
        hour = stamp.hour or 24
        share = _rain_share(rain_day.toordinal(), axes[1])[hour - 1]
        # All of the day's rain in one hour is 24 times the day's rate.
        fields["precipitation"] = 24.0 * rain * share
        return fields

    def _maps(self, day: date, lat_key: bytes, lon_key: bytes) -> dict[str, NDArray[np.float64]]:
        """Return the daily maps of the hours; a few are kept, since an hour needs up to two."""
        key = (day, lat_key, lon_key)
        if key not in self._kept_maps:
            while len(self._kept_maps) >= 3:
                del self._kept_maps[next(iter(self._kept_maps))]
            self._kept_maps[key] = self._make_maps(*key)
        return self._kept_maps[key]

    @cached_property
    def _kept_maps(self) -> dict[tuple[date, bytes, bytes], dict[str, NDArray[np.float64]]]:
        return {}

    def _make_maps(
        self, day: date, lat_key: bytes, lon_key: bytes
    ) -> dict[str, NDArray[np.float64]]:
        lat, lon = np.frombuffer(lat_key), np.frombuffer(lon_key)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        index = min(max((day - self.first_day).days, 0), len(self.soil_moisture) - 1)
        maps = {
            name: self._spread(values[index], lat, lon) for name, values in self.forcing.items()
        }
        maps["precipitation"] *= 24.0
        mean_sun = np.mean(
            [cos_zenith(midnight.replace(hour=hour), lat, lon) for hour in range(24)], axis=0
        )
        maps["sunshine"] = maps.pop("shortwave_down") / mean_sun
        # The amplitude is 6 K on a sunny day and 2 K on a dull one.
        maps["warmth"] = 2.0 + 4.0 * (maps["sunshine"] / 1000.0).clip(0, 1)
        return maps

    def _spread(
        self, values: NDArray[np.float64], lat: NDArray[np.float64], lon: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return point values (pixel,) interpolated to axes, shape (lat, lon)."""
        x = project(0.0, lon)[0]
        y = project(lat, 0.0)[1]
        rows = _blend((M36.y_max - y) / M36.cell_size, self._lattice_rows)
        cols = _blend((x - M36.x_min) / M36.cell_size, self._lattice_cols)
        spread: NDArray[np.float64] = rows @ self._lattice(values) @ cols.T
        return spread

    def _lattice(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return point values (pixel,) on the lattice, missing ones from the nearest point."""
        known = np.isfinite(values)
        tree = cKDTree(np.column_stack([self.row[known], self.col[known]]))
        nodes = np.stack(np.meshgrid(self._lattice_rows, self._lattice_cols, indexing="ij"), -1)
        lattice: NDArray[np.float64] = values[known][tree.query(nodes)[1]]
        return lattice

    @cached_property
    def _lattice_rows(self) -> NDArray[np.int64]:
        return np.arange(self.row.min(), self.row.max() + 1, NEST)

    @cached_property
    def _lattice_cols(self) -> NDArray[np.int64]:
        return np.arange(self.col.min(), self.col.max() + 1, NEST)

    def satellite(self, day: date, grid: EaseGrid, half: Half) -> Fields:
        """Return the table's retrievals in the points' own cells; see `Weather.satellite`.

        The afternoon half-orbits are empty, since the table has none.
        """
        rows, cols = region(M36, self.extent)
        shape = rows.stop - rows.start, cols.stop - cols.start
        retrieved = np.full(shape, np.nan, np.float32)
        vegetation = np.full(shape, np.nan, np.float32)
        flag = np.full(shape, FLAG_FILL, np.uint16)
        index = (day - self.first_day).days
        if half == "am" and 0 <= index < len(self.soil_moisture):
            good = np.isfinite(self.soil_moisture[index])
            at = self.row[good] - rows.start, self.col[good] - cols.start
            retrieved[at] = self.soil_moisture[index][good]
            vegetation[at] = vegetation_water_content(self.ndvi[good])
            flag[at] = 0
        scale = NEST if grid.rows == NEST * M36.rows else 1
        fields = {
            "soil_moisture": retrieved,
            "vegetation_water_content": vegetation,
            "retrieval_qual_flag": flag,
            "surface_flag": flag,
        }
        return {name: field.repeat(scale, 0).repeat(scale, 1) for name, field in fields.items()}

    def soil(self, grid: EaseGrid) -> Fields:
        """Return sand and clay, interpolated like the forcing; see `Weather.soil`."""
        rows, cols = region(grid, self.extent)
        lat, lon = grid.lat[rows], grid.lon[cols]
        return {
            "sand": self._spread(self.sand, lat, lon),
            "clay": self._spread(self.clay, lat, lon),
        }

    def soil_water(
        self, day: date, lat: NDArray[np.float64], lon: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return no water anywhere: the table has retrievals, not the water itself."""
        return np.full((lat.size, lon.size), np.nan)


def _day_zero(time: netCDF4.Variable) -> date:
    start = netCDF4.num2date(time[:1], time.units)
    return date.fromisoformat(f"{start[0]:%Y-%m-%d}")  # type: ignore[index]


def vegetation_water_content(ndvi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vegetation water content from NDVI, kg m-2.

    Foliage term of the SMAP ATBD (O'Neill et al., L2 & L3 radiometer soil moisture, eq. 9):
    1.9134 NDVI^2 - 0.3215 NDVI; the stem term, which needs a land cover table, is left out.
    """
    content: NDArray[np.float64] = (1.9134 * ndvi**2 - 0.3215 * ndvi).clip(min=0.0)
    return content


def _blend(position: NDArray[np.float64], nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights (position, node) of linear interpolation between plateaus around nodes.

    `position` is in M36 cells from the grid's edge; node `n` is the cell from n to n + 1.
    """
    step = (position - 0.5 - nodes[0]) / NEST
    lower = np.floor(step).clip(0, nodes.size - 2).astype(np.int64)
    edge = PLATEAU / NEST
    share = ((step - lower - edge) / (1 - 2 * edge)).clip(0.0, 1.0)
    weights = np.zeros((position.size, nodes.size))
    at = np.arange(position.size)
    weights[at, lower] = 1.0 - share
    weights[at, lower + 1] = share
    return weights


def _axes_key(axis: NDArray[np.float64]) -> bytes:
    return np.ascontiguousarray(axis, np.float64).tobytes()


@lru_cache(maxsize=4)
def _rain_share(day: int, lon_key: bytes) -> NDArray[np.float64]:
    """Return the share of a day's rain in each hour, shape (24, cols), sum 1 over hours.

    The wettest hour is random, and moves eastwards by 15 degrees in a quarter of a day.
    """
    lon = np.frombuffer(lon_key)
    peak = np.random.default_rng([day, 7]).uniform(0, 24) + lon * 6 / 15
    distance = np.abs((np.arange(24)[:, None] + 0.5 - peak + 12) % 24 - 12)
    # Hours far from the storm are dry.
    weight = np.exp(-0.5 * (distance / RAIN_HOURS) ** 2) * (distance < 2.5 * RAIN_HOURS)
    share: NDArray[np.float64] = weight / weight.sum(axis=0)
    return share
