"""Tables of the daily soil moisture and weather of stations.

The stations are those of the U.S. Climate Reference Network (NOAA, product ``daily01``) or of any
other network in the same form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError

DAILY_TABLE = "daily.parquet"
STATION_TABLE = "stations.csv"

QUANTITIES = (
    "t_max_c",
    "t_min_c",
    "t_avg_c",
    "precipitation_mm",
    "solar_mj_m2",
    "rh_avg_percent",
    "surface_temp_c",
    *(f"soil_moisture_{depth}cm" for depth in (5, 10, 20, 50, 100)),
    "soil_temp_5cm_c",
)
"""Daily quantities by their column in the table, with the unit in the name.

Soil moisture is in m3 m-3, the mean of up to three sensors at that depth. `t_avg_c` is the mean of
the 5-minute values (T_DAILY_AVG of product ``daily01``), not of maximum and minimum.
"""

REQUIRED = ("t_avg_c", "precipitation_mm", "solar_mj_m2", "rh_avg_percent", "soil_moisture_5cm")
"""Quantities that a table must have; the others are optional."""

_STATION_REQUIRED = ("wban", "station", "state", "lat", "lon", "elevation_m")
_SOIL = ("sand_5cm_percent", "clay_5cm_percent")
_STATION_OPTIONAL = (
    *_SOIL,
    *("silt_5cm_percent", "bulk_density_5cm_g_cm3", "ksat_class_um_s", "nlcd_class"),
)


class UscrnError(MsmError):
    """Station data are missing or invalid."""


@dataclass(frozen=True)
class Station:
    """Location and soil of a station.

    Attributes
    ----------
    wban
        Five digits, number in the Weather Bureau Army Navy register; for other networks their own
        identifier.
    name
        Place, distance and direction, such as ``AZ_Tucson_11_W``.
    state
    lat, lon
        Degrees.
    elevation
        m above sea level; NaN if unknown.
    nlcd_class
        Class of the National Land Cover Database.
    sand, clay
        Mass fractions of the soil at 5 cm, of which silt is the remainder; NaN if unknown.
    """

    wban: str
    name: str
    state: str
    lat: float
    lon: float
    elevation: float = np.nan
    nlcd_class: int | None = None
    sand: float = np.nan
    clay: float = np.nan


@dataclass(frozen=True, eq=False)
class DailyRecord:
    """Measurements of stations, in the quantities of the tables.

    Attributes
    ----------
    stations
    days
        Shape (n_day,). Consecutive. A day runs from midnight to midnight of the station's local
        standard time; over CONUS it begins five (Eastern) to eight hours (Pacific) after the UTC
        day.
    values
        Shape (n_station, n_day). By the names in `QUANTITIES`; NaN where there is no measurement.
    """

    stations: tuple[Station, ...]
    days: NDArray[np.datetime64]
    values: dict[str, NDArray[np.float32]]


def read_tables(folder: Path) -> DailyRecord:
    """Read the tables ``daily.parquet`` and ``stations.csv`` of a folder.

    Parameters
    ----------
    folder
        ``daily.parquet`` has a row for each station and day: `wban`, `date` and columns of
        `QUANTITIES`, of which those in `REQUIRED` are mandatory. ``stations.csv`` has a row for
        each station: `wban`, `station`, `state`, `lat`, `lon` and `elevation_m`; soil (percent) and
        land cover may be missing, in a row or as a column.

    Raises
    ------
    UscrnError
        If a table is missing or cannot be read, has a missing or unknown column, has a station that
        the other does not have, or repeats a day of a station.
    """
    import pandas as pd  # type: ignore[import-untyped]

    stations = _read_stations(Path(folder) / STATION_TABLE)
    path = _existing(Path(folder) / DAILY_TABLE)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UscrnError(f"{path} is not a Parquet file: write it again.") from error
    _check_columns(path, table.columns, ("wban", "date", *REQUIRED), QUANTITIES)
    wban = table["wban"].astype(str).str.zfill(5)
    of_station = pd.Index([station.wban for station in stations]).get_indexer(wban)
    if (of_station < 0).any():
        unknown = wban[of_station < 0].iloc[0]
        raise UscrnError(
            f"Station {unknown} of {path} is not in {STATION_TABLE}: add its row there."
        )
    try:
        days = pd.to_datetime(table["date"]).to_numpy("datetime64[D]")
    except (TypeError, ValueError) as error:
        raise UscrnError(f"Date in {path} is not a date everywhere: write YYYY-MM-DD.") from error
    if table.empty or np.isnat(days).any():
        raise UscrnError(f"{path} has no rows or one without a date: write a date in each row.")
    names = [name for name in QUANTITIES if name in table.columns]
    values = {name: _numbers(path, table, name).astype(np.float32) for name in names}
    return _record(stations, of_station, days, values)


def _read_stations(path: Path) -> tuple[Station, ...]:
    """Read the table of stations, in its order."""
    import pandas as pd

    texts = dict.fromkeys(("wban", "station", "state"), str)
    try:
        table = pd.read_csv(_existing(path), dtype=texts)
    except ValueError as error:
        raise UscrnError(f"{path} is not a CSV table: write it again.") from error
    _check_columns(path, table.columns, _STATION_REQUIRED, _STATION_OPTIONAL)
    wban = table["wban"].str.zfill(5)
    if wban.duplicated().any():
        twice = wban[wban.duplicated()].iloc[0]
        raise UscrnError(f"{path} has two rows of station {twice}: keep one.")
    lat, lon, elevation, sand, clay, cover = (
        _numbers(path, table, name) if name in table.columns else np.full(len(table), np.nan)
        for name in ("lat", "lon", "elevation_m", *_SOIL, "nlcd_class")
    )
    nowhere = ~((np.abs(lat) <= 90) & (np.abs(lon) <= 180))
    if nowhere.any():
        raise UscrnError(
            f"Station {wban[nowhere].iloc[0]} of {path} has no valid position: give lat and lon in"
            " degrees."
        )
    soil = np.concatenate([sand, clay])
    soil = soil[np.isfinite(soil)]
    if soil.size and not (soil.min() >= 0 and 1 < soil.max() <= 100):
        raise UscrnError(
            f"{' and '.join(_SOIL)} in {path} go from {soil.min():g} to {soil.max():g}, which is"
            " not percent: multiply fractions by 100."
        )
    return tuple(
        Station(
            wban=wban[i],
            name=table["station"][i],
            state=table["state"][i],
            lat=float(lat[i]),
            lon=float(lon[i]),
            elevation=float(elevation[i]),
            nlcd_class=None if np.isnan(cover[i]) else int(cover[i]),
            sand=float(sand[i]) / 100,
            clay=float(clay[i]) / 100,
        )
        for i in range(len(table))
    )


def _existing(path: Path) -> Path:
    """Return the path of an existing file."""
    if not path.is_file():
        raise UscrnError(f"Station data {path} not found: give the folder that contains them.")
    return path


def _check_columns(
    path: Path, columns: Iterable[str], required: Iterable[str], others: Iterable[str]
) -> None:
    """Refuse a table with a missing required column or with an unknown column.

    An optional column with a misspelt name would otherwise be ignored silently.
    """
    columns, required = set(columns), set(required)
    if missing := sorted(required - columns):
        raise UscrnError(f"{path} has no column {missing[0]}: add it.")
    if unknown := sorted(columns - required - set(others)):
        raise UscrnError(
            f"{path} has an unknown column {unknown[0]}: remove it or give it one of the names"
            f" {', '.join(others)}."
        )


def _numbers(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where it is empty."""
    try:
        numbers: NDArray[np.float64] = table[name].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UscrnError(f"{name} in {path} is not a number ({error}): write numbers.") from error
    return numbers


def _record(
    stations: tuple[Station, ...],
    of_station: NDArray[np.intp],
    dates: NDArray[np.datetime64],
    values: dict[str, NDArray[np.float32]],
) -> DailyRecord:
    """Arrange rows, each of a station and a day, on one axis of days."""
    first = dates.min()
    days = np.arange(first, dates.max() + 1)
    of_day = (dates - first).astype(np.intp)
    cell = of_station * days.size + of_day
    # After sorting, rows of the same station and day are adjacent.
    order = np.argsort(cell, kind="stable")
    twice = order[1:][np.diff(cell[order]) == 0]
    if twice.size:
        station, day = stations[of_station[twice[0]]], dates[twice[0]]
        raise UscrnError(f"Station {station.wban} {station.name} has two rows of {day}: keep one.")
    placed = {}
    for name, column in values.items():
        # NOAA's codes of missing values are -99 in columns of soil moisture and -9999 elsewhere.
        code = -99 if name.startswith("soil_moisture") else -9999
        on_days = np.full((len(stations), days.size), np.nan, np.float32)
        on_days[of_station, of_day] = np.where(column == code, np.nan, column)
        placed[name] = on_days
    return DailyRecord(stations, days, placed)
