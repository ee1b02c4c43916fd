import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyproj import Geod

from msm.training.data.gaps import season_means
from msm.training.data.samples import Samples, SamplesError
from msm.training.data.stations import (
    PLACEHOLDERS,
    RULES,
    Stations,
    check_units,
    make_samples,
    read_stations,
    shared_soils,
)
from msm.training.data.uscrn import DailyRecord, Station

HERE = Station("00001", "XX_Here", "XX", 40.0, -100.0, elevation=0.0, sand=0.31, clay=0.22)
CONSTANT = {
    "t_avg_c": 20.0,
    "precipitation_mm": 2.0,
    "solar_mj_m2": 8.64,
    "rh_avg_percent": 50.0,
    "soil_moisture_5cm": 0.2,
    "soil_temp_5cm_c": 15.0,
}


def record(n_day: int = 10, stations: tuple[Station, ...] = (HERE,)) -> DailyRecord:
    """Return a record of constant weather at each station."""
    shape = (len(stations), n_day)
    days = np.datetime64("2015-01-01") + np.arange(n_day)
    values = {name: np.full(shape, value, np.float32) for name, value in CONSTANT.items()}
    return DailyRecord(stations, days, values)


def counts(report: dict[str, int]) -> dict[str, int]:
    """Return the counts of a report that are not 0."""
    return {rule: count for rule, count in report.items() if count}


@pytest.fixture(scope="module")
def real(real_record: DailyRecord) -> tuple[Stations, dict[str, int]]:
    return make_samples(real_record)


def test_names_and_units_are_canonical():
    samples, report = make_samples(record())
    assert counts(report) == {}
    assert report.keys() == RULES.keys()
    found = {name: values[0, 0].item() for name, values in samples.forcing.items()}
    # 50 % of the 2333.44 Pa of saturation at 20 °C and 101325 Pa: 725.700 / 100883.98.
    assert found == pytest.approx(
        {
            "precipitation": 2.0,
            "air_temperature": 293.15,
            "specific_humidity": 0.00719340,
            "shortwave_down": 100.0,
        },
        rel=1e-5,
    )
    assert samples.statics["measured_sand"].item() == pytest.approx(0.31)
    assert samples.statics["measured_clay"].item() == pytest.approx(0.22)
    assert (samples.target == np.float32(0.2)).all()
    assert samples.observed.all()
    identity = (samples.wban.item(), samples.names.item(), samples.state.item())
    assert identity == ("00001", "XX_Here", "XX")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("precipitation_mm", -0.1, "precipitation range"),
        ("precipitation_mm", 501.0, "precipitation range"),
        ("t_avg_c", 51.0, "temperature range"),
        ("rh_avg_percent", 0.3, "humidity range"),
        ("rh_avg_percent", 100.5, "humidity range"),
        ("solar_mj_m2", 42.1, "solar range"),
        ("solar_mj_m2", -0.1, "solar range"),
    ],
)
def test_values_out_of_range_are_removed_and_filled(name: str, value: float, rule: str):
    faulty = record()
    faulty.values[name][0, 4] = value
    samples, report = make_samples(faulty)
    filling = "climatology" if name == "precipitation_mm" else "interpolated"
    # Humidity goes with the temperature that it needs.
    assert counts(report) == {rule: 1, filling: 2 if name == "t_avg_c" else 1}
    sound, _ = make_samples(record())
    for variable, values in samples.forcing.items():
        np.testing.assert_allclose(values, sound.forcing[variable], rtol=1e-6)
    np.testing.assert_array_equal(samples.observed[0], np.arange(10) != 4)
    assert np.isfinite(samples.target).all()


def test_soil_moisture_out_of_range_is_not_a_target():
    faulty = record()
    faulty.values["soil_moisture_5cm"][0, :5] = [0.6, 0.601, 0.0, 0.001, -0.02]
    samples, report = make_samples(faulty)
    np.testing.assert_array_equal(
        np.isfinite(samples.target[0, :5]), [True, False, False, True, False]
    )
    assert counts(report) == {"soil moisture range": 3}


def test_soil_moisture_of_frozen_days_is_not_a_target():
    nan = np.nan
    frost = record(6)
    frost.values["t_avg_c"][0] = [-0.1, 1.0, 1.0, nan, nan, nan]
    frost.values["soil_temp_5cm_c"][0] = [1.0, -0.1, nan, 1.0, -0.1, nan]
    samples, report = make_samples(frost)
    # One temperature alone decides; with neither the day is not used.
    np.testing.assert_array_equal(
        np.isfinite(samples.target[0]), [False, False, True, True, False, False]
    )
    assert (report["frozen"], report["frost unknown"]) == (3, 1)
    del frost.values["soil_temp_5cm_c"]
    _, report = make_samples(frost)
    assert (report["frozen"], report["frost unknown"]) == (1, 3)


def _with_gap(n_day: int, start: int, stop: int, name: str = "solar_mj_m2") -> DailyRecord:
    gone = record(n_day)
    gone.values[name][0] = np.arange(n_day) % 40
    gone.values[name][0, start:stop] = np.nan
    return gone


def test_auxiliary_measurements_are_kept():
    made = record(4)
    values = dict(made.values)
    values["soil_moisture_10cm"] = np.array([[0.2, 0.7, 0.21, np.nan]], np.float32)
    values["soil_temp_5cm_c"] = np.array([[8.0, 9.0, -1.0, 7.0]], np.float32)
    samples, report = make_samples(replace(made, values=values))
    np.testing.assert_array_equal(
        samples.auxiliary["soil_moisture_10cm"],
        np.array([[0.2, np.nan, np.nan, np.nan]], np.float32),
    )
    np.testing.assert_array_equal(
        samples.auxiliary["soil_temp_5cm_c"], np.array([[8.0, 9.0, np.nan, 7.0]], np.float32)
    )
    assert "soil_moisture_20cm" not in samples.auxiliary
    assert report["deeper range"] == 1


def test_short_gaps_are_interpolated():
    samples, report = make_samples(_with_gap(40, 10, 13))
    assert counts(report) == {"interpolated": 3}
    radiation = samples.forcing["shortwave_down"][0] / np.float32(1e6 / 86400)
    np.testing.assert_allclose(radiation, np.arange(40), rtol=1e-5, atol=1e-5)
    assert np.isfinite(samples.target).all()


@pytest.mark.parametrize(
    ("start", "stop", "name"),
    [
        (10, 14, "solar_mj_m2"),
        (10, 40, "solar_mj_m2"),
        (10, 11, "precipitation_mm"),
        (0, 2, "solar_mj_m2"),
        (398, 400, "solar_mj_m2"),
    ],
)
def test_other_gaps_get_the_seasonal_mean(start: int, stop: int, name: str):
    gone = _with_gap(400, start, stop, name)
    samples, report = make_samples(gone)
    assert counts(report) == {"climatology": stop - start}
    canonical = {"solar_mj_m2": "shortwave_down", "precipitation_mm": "precipitation"}[name]
    filled = samples.forcing[canonical]
    measured = filled.copy()
    measured[0, start:stop] = np.nan
    season = season_means(measured, gone.days)
    np.testing.assert_array_equal(filled[0, start:stop], season[0, start:stop])
    assert np.isfinite(samples.target).all()
    assert samples.observed.sum() == 400 - (stop - start)


def test_targets_after_a_long_gap_are_removed():
    samples, report = make_samples(_with_gap(200, 50, 81, "rh_avg_percent"))
    expected = np.ones(200, bool)
    expected[50 : 81 + 60] = False
    np.testing.assert_array_equal(np.isfinite(samples.target[0]), expected)
    assert report["long gap"] == report["target in long gap"] == 31
    assert report["target after long gap"] == 60
    assert np.isfinite(samples.forcing["specific_humidity"]).all()


def test_a_target_is_counted_once():
    gone = _with_gap(200, 50, 81)
    gone.values["t_avg_c"][0, 60:70] = -5
    gone.values["soil_moisture_5cm"][0, 65] = 0.9
    _, report = make_samples(gone)
    assert report["soil moisture range"] == 1
    assert report["frozen"] == 9
    assert report["target in long gap"] == 21


def test_placeholder_soils_are_detected(real_data: Path, real_record: DailyRecord):
    listed = re.findall(r"(\d+\.\d)/\d+\.\d/(\d+\.\d)", (real_data / "README.md").read_text())
    triples = {(round(float(sand) / 100, 3), round(float(clay) / 100, 3)) for sand, clay in listed}
    assert triples == set(PLACEHOLDERS)
    assert len(triples) == 7
    soils = [(round(place.sand, 3), round(place.clay, 3)) for place in real_record.stations]
    shared = shared_soils(real_record.stations)
    # Of two of the seven the table holds one station only, so that no rule can tell.
    alone = {(0.283, 0.040), (0.639, 0.055)}
    assert {soil for soil, found in zip(soils, shared, strict=True) if found} == triples - alone
    assert all(soils.count(soil) == 1 for soil in alone)


def test_placeholder_soils_are_missing():
    far = replace(HERE, wban="00002", lat=41.0)
    other = replace(HERE, wban="00003", sand=0.4)
    listed = replace(HERE, wban="00004", sand=0.639, clay=0.055)
    unknown = replace(HERE, wban="00005", sand=np.nan, clay=np.nan)
    samples, report = make_samples(record(stations=(HERE, far, other, listed, unknown)))
    assert report["placeholder soil"] == 3
    for values in samples.statics.values():
        np.testing.assert_array_equal(np.isfinite(values), [False, False, True, False, False])


def test_nearby_stations_may_share_their_soil():
    twin = replace(HERE, wban="00002", lat=40.4)  # 44 km to the north
    assert not shared_soils((HERE, twin)).any()
    assert shared_soils((HERE, twin, replace(HERE, wban="00003", lat=45.0))).all()


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("precipitation_mm", lambda x: x / 86400, "precipitation_mm .* give mm of the day"),
        ("precipitation_mm", lambda x: x / 1000, "precipitation_mm .* give mm of the day"),
        ("t_avg_c", lambda x: x + 273.15, "t_avg_c .* median of 293.* give °C"),
        ("soil_temp_5cm_c", lambda x: x + 273.15, "soil_temp_5cm_c .* give °C"),
        ("t_avg_c", lambda x: x * 1.8 + 32, "t_avg_c .* median of 68"),
        ("rh_avg_percent", lambda x: x / 100, "rh_avg_percent .* give percent"),
        ("solar_mj_m2", lambda x: x / 0.0864, "solar_mj_m2 of station XX_Here .* give MJ m-2"),
        ("soil_moisture_5cm", lambda x: x * 100, "soil_moisture_5cm .* give m3 m-3"),
    ],
)
def test_values_of_another_unit_are_refused(name: str, change, sentence: str):
    mistaken = record()
    mistaken.values[name][:] = change(mistaken.values[name])
    with pytest.raises(SamplesError, match=sentence):
        make_samples(mistaken)


def test_dry_stations_and_missing_values_pass_the_unit_check():
    dry = record()
    dry.values["precipitation_mm"][:] = 0
    dry.values["soil_temp_5cm_c"][:] = np.nan
    check_units(dry)


def test_a_station_without_elevation_or_forcing_is_left_out():
    nowhere = replace(HERE, wban="00002", elevation=np.nan)
    deaf = replace(HERE, wban="00003", sand=0.5)
    incomplete = record(stations=(nowhere, deaf, replace(HERE, sand=0.4)))
    incomplete.values["rh_avg_percent"][1] = np.nan
    samples, report = make_samples(incomplete)
    assert samples.wban.tolist() == ["00001"]
    assert report["station left out"] == 2
    with pytest.raises(SamplesError, match="No station has an elevation"):
        make_samples(record(stations=(nowhere,)))


def test_days_and_stations_are_selected(real: tuple[Stations, dict[str, int]]):
    samples, _ = real
    year = samples.between(date(2016, 1, 1), date(2016, 12, 31))
    assert year.target.shape == year.observed.shape == (93, 366)
    at = int(np.flatnonzero(samples.days == np.datetime64("2016-01-01"))[0])
    np.testing.assert_array_equal(
        year.forcing["precipitation"], samples.forcing["precipitation"][:, at : at + 366]
    )
    some = year.at(np.array([5, 2]))
    assert some.n_cell == 2
    assert some.names.tolist() == samples.names[[5, 2]].tolist()
    np.testing.assert_array_equal(some.target, year.target[[5, 2]])
    np.testing.assert_array_equal(
        some.statics["measured_sand"], samples.statics["measured_sand"][[5, 2]]
    )
    with pytest.raises(SamplesError, match=r"not all of 2023-12-01\.\.2024-01-01"):
        samples.between(date(2023, 12, 1), date(2024, 1, 1))


def test_the_real_stations(real: tuple[Stations, dict[str, int]]):
    samples, report = real
    assert report == {
        "precipitation range": 0,
        "temperature range": 0,
        "humidity range": 24,
        "solar range": 47,
        "soil moisture range": 620,
        "deeper range": 2507,
        "station left out": 1,
        "placeholder soil": 13,
        "interpolated": 5039,
        "climatology": 6318,
        "long gap": 35711,
        "frozen": 22621,
        "frost unknown": 0,
        "target in long gap": 4223,
        "target after long gap": 2264,
    }
    assert samples.n_cell == 93
    assert "OH_Wooster_3_SSE" not in samples.names
    for values in samples.forcing.values():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert np.isfinite(samples.statics["measured_sand"]).sum() == 80
    assert np.isfinite(samples.target).sum() == 340913
    assert (np.nanmin(samples.target), np.nanmax(samples.target)) == pytest.approx((0.001, 0.6))
    years = samples.between(date(2012, 1, 1), date(2022, 12, 31))
    assert np.isfinite(years.target).sum(axis=1).min() >= 365


def test_the_weather_agrees_with_that_of_the_satellite_cells(
    real_pixels: Samples, real: tuple[Stations, dict[str, int]]
):
    """NLDAS-2 knows the same weather, so that a mistaken unit or conversion would show."""
    samples, cells = real[0], real_pixels
    samples = samples.between(cells.days[0].item(), cells.days[-1].item())
    one, cell = np.divmod(np.arange(samples.n_cell * cells.n_cell), cells.n_cell)
    _, _, distance = Geod(ellps="WGS84").inv(
        samples.lon[one], samples.lat[one], cells.lon[cell], cells.lat[cell]
    )
    pairs = np.flatnonzero(distance < 25e3)
    assert pairs.size >= 5
    for pair in pairs:
        for name, correlation, share in (
            ("air_temperature", 0.95, 0.02),
            ("specific_humidity", 0.93, 0.15),
            ("shortwave_down", 0.85, 0.20),
            ("precipitation", 0.55, 0.25),
        ):
            seen = samples.observed[one[pair]]
            here, there = (
                samples.forcing[name][one[pair]][seen],
                cells.forcing[name][cell[pair]][seen],
            )
            assert np.corrcoef(here, there)[0, 1] > correlation, name
            assert here.mean() == pytest.approx(there.mean(), rel=share), name


def test_a_folder_is_read(tmp_path: Path):
    days = pd.date_range("2015-01-01", periods=10)
    pd.DataFrame({"wban": "00001", "date": days, **CONSTANT}).to_parquet(tmp_path / "daily.parquet")
    (tmp_path / "stations.csv").write_text(
        "wban,station,state,lat,lon,elevation_m,sand_5cm_percent,clay_5cm_percent\n"
        "00001,XX_Here,XX,40,-100,0,31,22\n"
    )
    found, report = read_stations(tmp_path)
    expected, expected_report = make_samples(record())
    assert report == expected_report
    assert found.names.tolist() == expected.names.tolist()
    np.testing.assert_array_equal(found.days, expected.days)
    np.testing.assert_array_equal(found.target, expected.target)
    for name in ("forcing", "statics"):
        for variable, values in getattr(expected, name).items():
            np.testing.assert_array_equal(getattr(found, name)[variable], values)
