"""Quality-controlled samples of stations with their own weather, in canonical units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from msm.training.data.conversions import kelvin, mean_flux, specific_humidity, standard_pressure
from msm.training.data.gaps import fill_gaps
from msm.training.data.samples import Floats, Mask, Samples, SamplesError, Selection
from msm.training.data.uscrn import DailyRecord, Station, read_tables

RULES = {
    "precipitation range": "precipitation outside 0 to 500 mm",
    "temperature range": "air temperatures outside -60 to 50 °C",
    "humidity range": "relative humidity outside 1 to 100 %",
    "solar range": "radiation outside 0 to 42 MJ m-2",
    "soil moisture range": "soil moisture outside 0.001 to 0.6 m3 m-3",
    "deeper range": "soil moisture of 10 to 50 cm outside the same",
    "station left out": "stations without an elevation or without any value of some forcing",
    "placeholder soil": "stations whose sand and clay are also those of stations far away",
    "interpolated": "forcing filled between its neighbours, in gaps of up to 3 days",
    "climatology": "forcing filled with the mean of the season, in gaps of up to 30 days",
    "long gap": "forcing filled with the mean of the season, in longer gaps",
    "frozen": "targets with air or soil below 0 °C",
    "frost unknown": "targets with neither an air nor a soil temperature",
    "target in long gap": "targets during a long gap in some forcing",
    "target after long gap": "targets in the 60 days after one",
}
"""The rules of the quality control in the order of their application, and what each counts.

Counts are of daily values unless the text says stations. A value that meets several rules counts
for the first.
"""

RANGES = {
    "precipitation_mm": ("precipitation range", 0.0, 500.0),
    "t_avg_c": ("temperature range", -60.0, 50.0),
    # The driest day of Death Valley has a mean of 1.9 %; broken sensors report 0.1 to 0.3.
    "rh_avg_percent": ("humidity range", 1.0, 100.0),
    # The clearest day brings 35; 42 reach the top of the atmosphere.
    "solar_mj_m2": ("solar range", 0.0, 42.0),
    # The smallest step of the sensor, and a pore space that topsoil rarely exceeds.
    "soil_moisture_5cm": ("soil moisture range", 0.001, 0.6),
    **{f"soil_moisture_{depth}cm": ("deeper range", 0.001, 0.6) for depth in (10, 20, 50)},
}
"""Rule, lowest and highest daily value, by the name in the record."""

UNITS = {
    "precipitation_mm": (0.01, 500.0, "give mm of the day, mm s-1 times 86400"),
    "t_avg_c": (-60.0, 50.0, "give °C, kelvin less 273.15"),
    "soil_temp_5cm_c": (-60.0, 50.0, "give °C, kelvin less 273.15"),
    "rh_avg_percent": (1.0, 100.0, "give percent, a fraction times 100"),
    "solar_mj_m2": (0.0, 42.0, "give MJ m-2 of the day, W m-2 times 0.0864"),
    "soil_moisture_5cm": (0.0, 1.0, "give m3 m-3, percent divided by 100"),
}
"""Range of a station's median (of wet days for precipitation), and the remedy outside of it."""

RECOVERY_DAYS = 60
"""Days after a long gap until the topsoil no longer depends on the unmeasured weather."""

AUXILIARY = ("soil_moisture_10cm", "soil_moisture_20cm", "soil_moisture_50cm", "soil_temp_5cm_c")
"""Further soil measurements of some stations, by the name in the record."""

SAME_SOIL_METRES = 50e3
"""Stations farther apart do not have the same soil to a tenth of a percent."""

PLACEHOLDERS = (
    *((0.421, 0.200), (0.430, 0.175), (0.217, 0.235), (0.221, 0.500)),
    *((0.283, 0.040), (0.639, 0.055), (0.946, 0.040)),
)
"""Sand and clay that distant USCRN stations share: they are placeholders, not measurements.

The list is needed besides the rule that detects them: a table may contain only one such station.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stations(Samples):
    """Stations with their own weather.

    Days run from midnight to midnight of a station's local standard time; daily values cannot be
    shifted to UTC days.

    Attributes
    ----------
    wban, names, state
        Shape (n_cell,).
    elevation
        Shape (n_cell,). m above sea level.
    observed
        Shape (n_cell, n_day). True where all forcing was measured; elsewhere some of it is filled.
    auxiliary
        Shape (n_cell, n_day). Those of `AUXILIARY` that were measured, as recorded; NaN where they
        are not, or the soil is frozen.
    """

    wban: NDArray[np.str_]
    names: NDArray[np.str_]
    state: NDArray[np.str_]
    elevation: NDArray[np.float64]
    observed: Mask
    auxiliary: dict[str, Floats] = field(default_factory=dict)

    def _take(self, places: Selection, days: Selection) -> Self:
        return replace(
            super()._take(places, days),
            wban=self.wban[places],
            names=self.names[places],
            state=self.state[places],
            elevation=self.elevation[places],
            observed=self.observed[places][:, days],
            auxiliary={name: values[places][:, days] for name, values in self.auxiliary.items()},
        )


def read_stations(folder: Path) -> tuple[Stations, dict[str, int]]:
    """Read the tables of a folder (see `uscrn.read_tables`) as samples.

    Returns
    -------
    Stations
    dict of str to int
        Count for each of `RULES`.
    """
    return make_samples(read_tables(folder))


def make_samples(record: DailyRecord) -> tuple[Stations, dict[str, int]]:
    """Convert station measurements to samples.

    Parameters
    ----------
    record

    Returns
    -------
    Stations
        In the order of the record. Stations without an elevation, which humidity requires, or
        without any value of some forcing are left out.
    dict of str to int
        Count for each of `RULES`.

    Raises
    ------
    SamplesError
        If values are not in the unit of their name, or no station remains.
    """
    check_units(record)
    report = Counter(dict.fromkeys(RULES, 0))
    values = dict(record.values)
    for name, (rule, lowest, highest) in RANGES.items():
        if name not in values:
            continue
        outside = (values[name] < lowest) | (values[name] > highest)
        values[name] = _remove(values[name], outside, rule, report)
    forcing = _forcing(record, values)
    kept = np.all([np.isfinite(found).any(axis=1) for found in forcing.values()], axis=0)
    report["station left out"] = int((~kept).sum())
    if not kept.any():
        raise SamplesError(
            "No station has an elevation and values of all forcing: give elevation_m in"
            " stations.csv and the quantities in daily.parquet."
        )
    statics = _statics(record.stations, report)
    observed = np.all([np.isfinite(found[kept]) for found in forcing.values()], axis=0)
    unknown = np.zeros(observed.shape, bool)
    for name, found in forcing.items():
        # Rain before and after a gap does not determine the rain within it.
        forcing[name], gaps = fill_gaps(found[kept], record.days, bridge=name != "precipitation")
        report.update({rule: int(days.sum()) for rule, days in gaps.items()})
        unknown |= gaps["long gap"]
    values = {name: found[kept] for name, found in values.items()}
    target = _targets(values, unknown, report)
    samples = Stations(
        wban=_each(record.stations, "wban")[kept],
        names=_each(record.stations, "name")[kept],
        state=_each(record.stations, "state")[kept],
        lat=_each(record.stations, "lat")[kept],
        lon=_each(record.stations, "lon")[kept],
        elevation=_each(record.stations, "elevation")[kept],
        days=record.days,
        forcing=forcing,
        observed=observed,
        auxiliary=_auxiliary(values),
        statics={name: found[kept] for name, found in statics.items()},
        target=target,
    )
    return samples, dict(report)


def check_units(record: DailyRecord) -> None:
    """Refuse values that are not in the unit of their column's name.

    Raises
    ------
    SamplesError
        With the column, the station and the remedy.
    """
    for name, (lowest, highest, remedy) in UNITS.items():
        if name not in record.values:
            continue
        for station, row in zip(record.stations, record.values[name], strict=True):
            known = row[row > 0] if name == "precipitation_mm" else row[np.isfinite(row)]
            # The median is robust to the faulty values that the rules remove.
            if known.size and not lowest <= (median := np.median(known)) <= highest:
                raise SamplesError(
                    f"{name} of station {station.name} has a median of {median:.3g}, which is not"
                    f" in its unit: {remedy}."
                )


def shared_soils(stations: Sequence[Station]) -> Mask:
    """Return whether each station has, to a tenth of a percent, the soil of a distant one.

    Silt is the remainder of sand and clay, so these two determine all three.
    """
    sand, clay = (_each(stations, name).round(3) for name in ("sand", "clay"))
    lat, lon = (_each(stations, name) for name in ("lat", "lon"))
    one, other = np.nonzero((sand[:, None] == sand) & (clay[:, None] == clay))
    _, _, distance = Geod(ellps="WGS84").inv(lon[one], lat[one], lon[other], lat[other])
    shared = np.zeros(len(stations), bool)
    shared[one[distance > SAME_SOIL_METRES]] = True
    return shared


def _forcing(record: DailyRecord, values: dict[str, Floats]) -> dict[str, Floats]:
    """Return the forcing in canonical units with its gaps; no humidity without an elevation."""
    temperature = kelvin(values["t_avg_c"])
    pressure = standard_pressure(_each(record.stations, "elevation"))[:, None]
    humidity = specific_humidity(values["rh_avg_percent"], temperature, pressure)
    return {
        "precipitation": values["precipitation_mm"],
        "air_temperature": temperature.astype(np.float32),
        "specific_humidity": humidity.astype(np.float32),
        "shortwave_down": mean_flux(values["solar_mj_m2"]).astype(np.float32),
    }


def _statics(stations: Sequence[Station], report: Counter[str]) -> dict[str, Floats]:
    """Return the soil of all stations, NaN where it was not measured."""
    listed = [(round(place.sand, 3), round(place.clay, 3)) in PLACEHOLDERS for place in stations]
    placeholder = shared_soils(stations) | listed
    report["placeholder soil"] = int(placeholder.sum())
    return {
        f"measured_{name}": np.where(placeholder, np.nan, _each(stations, name)).astype(np.float32)
        for name in ("sand", "clay")
    }


def _targets(values: dict[str, Floats], unknown: Mask, report: Counter[str]) -> Floats:
    """Return the soil moisture of days with a valid measurement and known antecedent weather.

    Dielectric sensors do not detect ice. If only one of the air and soil temperatures is known, it
    decides; if neither is, the day may have been frozen.
    """
    target, air = values["soil_moisture_5cm"], values["t_avg_c"]
    soil = values.get("soil_temp_5cm_c", np.full_like(air, np.nan))
    target = _remove(target, _frozen(values), "frozen", report)
    target = _remove(target, np.isnan(air) & np.isnan(soil), "frost unknown", report)
    target = _remove(target, unknown, "target in long gap", report)
    day = np.arange(target.shape[1])
    last_unknown = np.maximum.accumulate(np.where(unknown, day, -RECOVERY_DAYS - 1), axis=1)
    recovering = day - last_unknown <= RECOVERY_DAYS
    return _remove(target, recovering, "target after long gap", report)


def _auxiliary(values: dict[str, Floats]) -> dict[str, Floats]:
    """Return the auxiliary measurements of unfrozen soil."""
    measured = [name for name in AUXILIARY if name in values]
    return {name: np.where(_frozen(values), np.float32(np.nan), values[name]) for name in measured}


def _frozen(values: dict[str, Floats]) -> Mask:
    """Return whether the air or the soil is known to be below 0 °C."""
    frozen: Mask = values["t_avg_c"] < 0
    return frozen | (values["soil_temp_5cm_c"] < 0) if "soil_temp_5cm_c" in values else frozen


def _remove(values: Floats, where: Mask, rule: str, report: Counter[str]) -> Floats:
    """Return the values with NaN where a rule removes them, and count these."""
    report[rule] += int((where & ~np.isnan(values)).sum())
    return np.where(where, np.float32(np.nan), values)


def _each(stations: Sequence[Station], name: str) -> NDArray[Any]:
    """Return an attribute of each station."""
    return np.array([getattr(station, name) for station in stations])
