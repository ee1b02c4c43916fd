"""Daily soil moisture and weather of the U.S. Climate Reference Network (NOAA).

Two forms hold one and the same: the text that NOAA publishes (product ``daily01``, a file for each
station and year), and a folder with the tables ``daily.parquet`` and ``stations.csv``, which is
also the form in which sites of any other network are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError

DAILY_TABLE = "daily.parquet"
STATION_TABLE = "stations.csv"

# From the product's readme.txt and headers.txt, format 03, in the order of the file.
TEXT_COLUMNS = (
    *("WBANNO", "LST_DATE", "CRX_VN", "LONGITUDE", "LATITUDE"),
    *("T_DAILY_MAX", "T_DAILY_MIN", "T_DAILY_MEAN", "T_DAILY_AVG", "P_DAILY_CALC"),
    *("SOLARAD_DAILY", "SUR_TEMP_DAILY_TYPE"),
    *("SUR_TEMP_DAILY_MAX", "SUR_TEMP_DAILY_MIN", "SUR_TEMP_DAILY_AVG"),
    *("RH_DAILY_MAX", "RH_DAILY_MIN", "RH_DAILY_AVG"),
    *(f"SOIL_MOISTURE_{depth}_DAILY" for depth in (5, 10, 20, 50, 100)),
    *(f"SOIL_TEMP_{depth}_DAILY" for depth in (5, 10, 20, 50, 100)),
)

QUANTITIES = {
    "t_max_c": "T_DAILY_MAX",
    "t_min_c": "T_DAILY_MIN",
    # The mean of the 5-minute values; T_DAILY_MEAN is only the middle of maximum and minimum.
    "t_avg_c": "T_DAILY_AVG",
    "precipitation_mm": "P_DAILY_CALC",
    "solar_mj_m2": "SOLARAD_DAILY",
    "rh_avg_percent": "RH_DAILY_AVG",
    "surface_temp_c": "SUR_TEMP_DAILY_AVG",
    **{
        f"soil_moisture_{depth}cm": f"SOIL_MOISTURE_{depth}_DAILY" for depth in (5, 10, 20, 50, 100)
    },
    "soil_temp_5cm_c": "SOIL_TEMP_5_DAILY",
}
"""Daily quantities by their column in the table, unit in the name, and their column in the text.

Soil moisture is in m3 m-3, the mean of up to three sensors at that depth.
"""

REQUIRED = ("t_avg_c", "precipitation_mm", "solar_mj_m2", "rh_avg_percent", "soil_moisture_5cm")
"""Quantities that a table must have; what is made of the record does without the others."""

_STATION_REQUIRED = ("wban", "station", "state", "lat", "lon", "elevation_m")
_SOIL = ("sand_5cm_percent", "clay_5cm_percent")
_STATION_OPTIONAL = (
    *_SOIL,
    *("silt_5cm_percent", "bulk_density_5cm_g_cm3", "ksat_class_um_s", "nlcd_class"),
)


class UscrnError(MsmError):
    """Station data are not there or not what they should be."""


@dataclass(frozen=True)
class Station:
    """Where a station stands, and in what soil.

    Attributes
    ----------
    wban : str
        Number in the Weather Bureau Army Navy register, five digits; of another network, its
        own identifier.
    name : str
        Place, distance and direction from it, as ``AZ_Tucson_11_W``.
    state : str
    lat, lon : float
        Degrees.
    elevation : float
        m above sea level; NaN where unknown.
    nlcd_class : int or None
        Class of the National Land Cover Database.
    sand, clay : float
        Fractions of the mass of the soil at 5 cm, of which silt is the rest; NaN where unknown.
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
    """What stations measured, in the quantities of the file.

    Attributes
    ----------
    stations : tuple of Station
    days : ndarray of datetime64[D], shape (n_day,)
        Consecutive. A day runs from midnight to midnight of the station's local standard time;
        over CONUS it begins five (Eastern) to eight hours (Pacific) after the UTC day.
    values : dict of str to ndarray of float32, shape (n_station, n_day)
        By the names in `QUANTITIES`; NaN where nothing was measured.
    """

    stations: tuple[Station, ...]
    days: NDArray[np.datetime64]
    values: dict[str, NDArray[np.float32]]


def read_text(files: Iterable[Path]) -> DailyRecord:
    """Read files as NOAA publishes them.

    The text tells neither elevation nor soil nor land cover; the station's name and state are in
    the name of the file.

    Parameters
    ----------
    files : iterable of Path
        Files ``CRND0103-YYYY-STATION.txt``, of any stations and years.

    Raises
    ------
    UscrnError
        If a file is missing, is not of this format, or repeats a day of its station.
    """
    parts = [_parse(Path(path)) for path in files]
    if not parts:
        raise UscrnError("no file of station data was given: give files CRND0103-YYYY-STATION.txt")
    stations = {station.wban: station for station, _, _ in parts}
    order = {wban: index for index, wban in enumerate(stations)}
    of_station = [np.full(dates.size, order[station.wban]) for station, dates, _ in parts]
    return _record(
        tuple(stations.values()),
        np.concatenate(of_station),
        np.concatenate([dates for _, dates, _ in parts]),
        {name: np.concatenate([values[name] for _, _, values in parts]) for name in QUANTITIES},
    )


def read_tables(folder: Path) -> DailyRecord:
    """Read the tables ``daily.parquet`` and ``stations.csv`` of a folder.

    Parameters
    ----------
    folder : Path
        ``daily.parquet`` has a row for each station and day: `wban`, `date` and the columns named
        in `QUANTITIES`, of which those in `REQUIRED` must be there. ``stations.csv`` has a row for
        each station: `wban`, `station`, `state`, `lat`, `lon` and `elevation_m`; soil (percent)
        and land cover may be missing, in a row or as a whole.

    Raises
    ------
    UscrnError
        If a table is missing or cannot be read, lacks a column or has an unknown one, names a
        station that the other does not, or repeats a day of a station.
    """
    import pandas as pd  # type: ignore[import-untyped]

    stations = _read_stations(Path(folder) / STATION_TABLE)
    path = _existing(Path(folder) / DAILY_TABLE)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UscrnError(f"{path} is not a Parquet file: write it again") from error
    _check_columns(path, table.columns, ("wban", "date", *REQUIRED), QUANTITIES)
    wban = table["wban"].astype(str).str.zfill(5)
    of_station = pd.Index([station.wban for station in stations]).get_indexer(wban)
    if (of_station < 0).any():
        unknown = wban[of_station < 0].iloc[0]
        raise UscrnError(
            f"station {unknown} of {path} is not in {STATION_TABLE}: add its row there"
        )
    try:
        days = pd.to_datetime(table["date"]).to_numpy("datetime64[D]")
    except (TypeError, ValueError) as error:
        raise UscrnError(f"date in {path} is not a date everywhere: write YYYY-MM-DD") from error
    if table.empty or np.isnat(days).any():
        raise UscrnError(f"{path} has no rows or one without a date: write a date in each row")
    names = [name for name in QUANTITIES if name in table.columns]
    values = {name: _numbers(path, table, name).astype(np.float32) for name in names}
    return _record(stations, of_station, days, values)


def _parse(path: Path) -> tuple[Station, NDArray[np.datetime64], dict[str, NDArray[np.float32]]]:
    """Read a file as NOAA publishes it: its station, and of each line the date and the values."""
    name = re.fullmatch(r"CRND0103-\d{4}-([A-Z]{2}_.+)\.txt", path.name)
    if name is None:
        raise UscrnError(
            f"{path} is not named CRND0103-YYYY-STATION.txt: give a file of the product daily01,"
            " format 03, under the name that NOAA gave it"
        )
    lines = [line.split() for line in _existing(path).read_text(errors="replace").splitlines()]
    for number, line in enumerate(lines, 1):
        if len(line) != len(TEXT_COLUMNS):
            raise UscrnError(
                f"line {number} of {path} has {len(line)} columns, not {len(TEXT_COLUMNS)}:"
                " download the file again"
            )
    if len({line[0] for line in lines}) != 1:
        raise UscrnError(f"{path} does not hold one station: download the file again")
    columns = dict(zip(TEXT_COLUMNS, np.array(lines).T, strict=True))
    days = [f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in columns["LST_DATE"]]
    try:
        dates = np.array(days, "datetime64[D]")
        values = {name: columns[column].astype(np.float32) for name, column in QUANTITIES.items()}
        lat, lon = float(columns["LATITUDE"][0]), float(columns["LONGITUDE"][0])
    except ValueError as error:
        raise UscrnError(f"{path} is damaged ({error}): download the file again") from error
    wban = columns["WBANNO"][0].zfill(5)  # NOAA omits leading zeros
    return Station(wban, name[1], name[1][:2], lat, lon), dates, values


def _read_stations(path: Path) -> tuple[Station, ...]:
    """Read the table of stations, in its order."""
    import pandas as pd

    texts = dict.fromkeys(("wban", "station", "state"), str)
    try:
        table = pd.read_csv(_existing(path), dtype=texts)
    except ValueError as error:
        raise UscrnError(f"{path} is not a CSV table: write it again") from error
    _check_columns(path, table.columns, _STATION_REQUIRED, _STATION_OPTIONAL)
    wban = table["wban"].str.zfill(5)
    if wban.duplicated().any():
        twice = wban[wban.duplicated()].iloc[0]
        raise UscrnError(f"{path} has two rows of station {twice}: keep one")
    lat, lon, elevation, sand, clay, cover = (
        _numbers(path, table, name) if name in table.columns else np.full(len(table), np.nan)
        for name in ("lat", "lon", "elevation_m", *_SOIL, "nlcd_class")
    )
    nowhere = ~((np.abs(lat) <= 90) & (np.abs(lon) <= 180))
    if nowhere.any():
        raise UscrnError(
            f"station {wban[nowhere].iloc[0]} of {path} is nowhere: give lat and lon in degrees"
        )
    soil = np.concatenate([sand, clay])
    soil = soil[np.isfinite(soil)]
    if soil.size and not (soil.min() >= 0 and 1 < soil.max() <= 100):
        raise UscrnError(
            f"{' and '.join(_SOIL)} in {path} go from {soil.min():g} to {soil.max():g}, which is"
            " not percent: multiply fractions by 100"
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
    """Return the path of a file that is there."""
    if not path.is_file():
        raise UscrnError(f"station data {path} not found: give the folder or file that holds them")
    return path


def _check_columns(
    path: Path, columns: Iterable[str], required: Iterable[str], others: Iterable[str]
) -> None:
    """Refuse a table without a required column, or with one of a name that nobody reads.

    An optional column under a mistaken name would otherwise be missing without a word.
    """
    columns, required = set(columns), set(required)
    if missing := sorted(required - columns):
        raise UscrnError(f"{path} has no column {missing[0]}: add it")
    if unknown := sorted(columns - required - set(others)):
        raise UscrnError(
            f"{path} has an unknown column {unknown[0]}: remove it or give it one of the names"
            f" {', '.join(others)}"
        )


def _numbers(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where it is empty."""
    try:
        numbers: NDArray[np.float64] = table[name].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UscrnError(f"{name} in {path} is not a number ({error}): write numbers") from error
    return numbers


def _record(
    stations: tuple[Station, ...],
    of_station: NDArray[np.intp],
    dates: NDArray[np.datetime64],
    values: dict[str, NDArray[np.float32]],
) -> DailyRecord:
    """Lay rows, each of a station and a day, out on one axis of days."""
    first = dates.min()
    days = np.arange(first, dates.max() + 1)
    of_day = (dates - first).astype(np.intp)
    cell = of_station * days.size + of_day
    # Sorted, the rows of one station and day stand side by side.
    order = np.argsort(cell, kind="stable")
    twice = order[1:][np.diff(cell[order]) == 0]
    if twice.size:
        station, day = stations[of_station[twice[0]]], dates[twice[0]]
        raise UscrnError(f"station {station.wban} {station.name} has two rows of {day}: keep one")
    placed = {}
    for name, column in values.items():
        # The lowest integer that the format of the column holds stands for a missing value.
        code = -99 if name.startswith("soil_moisture") else -9999
        laid_out = np.full((len(stations), days.size), np.nan, np.float32)
        laid_out[of_station, of_day] = np.where(column == code, np.nan, column)
        placed[name] = laid_out
    return DailyRecord(stations, days, placed)
