"""Stations with their own weather as samples in canonical names and units, quality-controlled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
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
"""What each entry of a report counts, in the order in which the rules are applied.

Values of a station and day, where it does not say stations. A value that several rules would remove
is counted by the first.
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
"""Rule, lowest and highest daily value by the name in the record."""

UNITS = {
    "precipitation_mm": (0.01, 500.0, "give mm of the day, mm s-1 times 86400"),
    "t_avg_c": (-60.0, 50.0, "give °C, kelvin less 273.15"),
    "soil_temp_5cm_c": (-60.0, 50.0, "give °C, kelvin less 273.15"),
    "rh_avg_percent": (1.0, 100.0, "give percent, a fraction times 100"),
    "solar_mj_m2": (0.0, 42.0, "give MJ m-2 of the day, W m-2 times 0.0864"),
    "soil_moisture_5cm": (0.0, 1.0, "give m3 m-3, percent divided by 100"),
}
"""Where the median of a station lies (of its wet days for precipitation), and the remedy if not."""

RECOVERY_DAYS = 60
"""Days after a longer gap until the topsoil has forgotten the weather that nobody measured."""

AUXILIARY = ("soil_moisture_10cm", "soil_moisture_20cm", "soil_moisture_50cm", "soil_temp_5cm_c")
"""What else a station measures of the soil, by its name in the record, where it does."""

SAME_SOIL_METRES = 50e3
"""Farther apart no two stations measure one soil to a tenth of a percent."""

PLACEHOLDERS = (
    *((0.421, 0.200), (0.430, 0.175), (0.217, 0.235), (0.221, 0.500)),
    *((0.283, 0.040), (0.639, 0.055), (0.946, 0.040)),
)
"""Sand and clay that stations all over the USCRN share, which were not measured at each of them.

They are listed beside the rule that finds them since a table may hold only one of the stations.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Stations(Samples):
    """Stations with their own weather.

    Days run from midnight to midnight of a station's local standard time. They are not shifted to
    UTC days, as no daily value can be.

    Attributes
    ----------
    wban, names, state : ndarray of str, shape (n_cell,)
    elevation : ndarray of float64, shape (n_cell,)
        m above sea level.
    observed : ndarray of bool, shape (n_cell, n_day)
        Where all forcing was measured; elsewhere some of it is filled.
    auxiliary : dict of str to ndarray of float32, shape (n_cell, n_day)
        Those of `AUXILIARY` that were measured, as recorded; NaN where they are not, or the soil is
        frozen.
    """

    wban: npt.NDArray[np.str_]
    names: npt.NDArray[np.str_]
    state: npt.NDArray[np.str_]
    elevation: npt.NDArray[np.float64]
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
    """Read the tables of a folder (see `uscrn.read_tables`) and make samples of them.

    Returns
    -------
    Stations
    dict of str to int
        How much fell to each of `RULES`.
    """
    return make_samples(read_tables(folder))


def make_samples(record: DailyRecord) -> tuple[Stations, dict[str, int]]:
    """Make samples of what stations measured.

    Parameters
    ----------
    record : DailyRecord

    Returns
    -------
    Stations
        In the order of the record. A station without elevation, from which humidity follows, or
        without any value of a forcing is left out.
    dict of str to int
        How much fell to each of `RULES`.

    Raises
    ------
    SamplesError
        If values cannot be in the unit that their name states, or no station is left.
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
            "no station has an elevation and values of all forcing: give elevation_m in"
            " stations.csv and the quantities in daily.parquet"
        )
    statics = _statics(record.stations, report)
    observed = np.all([np.isfinite(found[kept]) for found in forcing.values()], axis=0)
    unknown = np.zeros(observed.shape, bool)
    for name, found in forcing.items():
        # What fell on the two sides of a gap in rain says nothing of what fell in it.
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
    """Refuse values that cannot be in the unit that the name of their column states.

    Raises
    ------
    SamplesError
        Naming the column, the station and the remedy.
    """
    for name, (lowest, highest, remedy) in UNITS.items():
        if name not in record.values:
            continue
        for station, row in zip(record.stations, record.values[name], strict=True):
            known = row[row > 0] if name == "precipitation_mm" else row[np.isfinite(row)]
            # The median, which the faults that the rules remove do not move.
            if known.size and not lowest <= (median := np.median(known)) <= highest:
                raise SamplesError(
                    f"{name} of station {station.name} has a median of {median:.3g}, which is not"
                    f" of its unit: {remedy}"
                )


def shared_soils(stations: Sequence[Station]) -> Mask:
    """Find the stations whose soil is, to a tenth of a percent, that of one far away.

    Silt is the rest of sand and clay, so the two are compared for all three.
    """
    sand, clay = (_each(stations, name).round(3) for name in ("sand", "clay"))
    lat, lon = (_each(stations, name) for name in ("lat", "lon"))
    one, other = np.nonzero((sand[:, None] == sand) & (clay[:, None] == clay))
    _, _, distance = Geod(ellps="WGS84").inv(lon[one], lat[one], lon[other], lat[other])
    shared = np.zeros(len(stations), bool)
    shared[one[distance > SAME_SOIL_METRES]] = True
    return shared


def _forcing(record: DailyRecord, values: dict[str, Floats]) -> dict[str, Floats]:
    """Return the forcing in canonical units, with its gaps; no humidity without an elevation."""
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
    """Return the soil of all stations, NaN where it was not measured there."""
    listed = [(round(place.sand, 3), round(place.clay, 3)) in PLACEHOLDERS for place in stations]
    placeholder = shared_soils(stations) | listed
    report["placeholder soil"] = int(placeholder.sum())
    return {
        f"measured_{name}": np.where(placeholder, np.nan, _each(stations, name)).astype(np.float32)
        for name in ("sand", "clay")
    }


def _targets(values: dict[str, Floats], unknown: Mask, report: Counter[str]) -> Floats:
    """Return the soil moisture of the days on which it is a measurement and its past is known.

    The dielectric sensors do not see ice. Where only one of the two temperatures is there, it
    decides alone; where none is, the day may have been frozen.
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
    """Return the further measurements of soil that is not frozen."""
    there = [name for name in AUXILIARY if name in values]
    return {name: np.where(_frozen(values), np.float32(np.nan), values[name]) for name in there}


def _frozen(values: dict[str, Floats]) -> Mask:
    """Return where the air or the soil is known to be below 0 °C."""
    frozen: Mask = values["t_avg_c"] < 0
    return frozen | (values["soil_temp_5cm_c"] < 0) if "soil_temp_5cm_c" in values else frozen


def _remove(values: Floats, where: Mask, rule: str, report: Counter[str]) -> Floats:
    """Return the values without those that a rule refuses, and count these."""
    report[rule] += int((where & ~np.isnan(values)).sum())
    return np.where(where, np.float32(np.nan), values)


def _each(stations: Sequence[Station], name: str) -> npt.NDArray[Any]:
    """Return an attribute of each station."""
    return np.array([getattr(station, name) for station in stations])
