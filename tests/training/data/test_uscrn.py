from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msm.training.data.uscrn import QUANTITIES, DailyRecord, UscrnError, read_tables

TEXT_COLUMNS = {
    "t_max_c": 5,
    "t_min_c": 6,
    "t_avg_c": 8,
    "precipitation_mm": 9,
    "solar_mj_m2": 10,
    "surface_temp_c": 14,
    "rh_avg_percent": 17,
    "soil_moisture_5cm": 18,
    "soil_moisture_10cm": 19,
    "soil_moisture_20cm": 20,
    "soil_moisture_50cm": 21,
    "soil_moisture_100cm": 22,
    "soil_temp_5cm_c": 23,
}
"""Columns of the text files of NOAA (product daily01, format 03), from 0."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of two stations and three days, with the mandatory columns."""
    _stations().to_csv(tmp_path / "stations.csv", index=False)
    _daily().to_parquet(tmp_path / "daily.parquet")
    return tmp_path


def _stations(**changes: object) -> pd.DataFrame:
    columns = {
        "wban": ["03047", "53131"],
        "station": ["TX_Monahans_6_ENE", "AZ_Tucson_11_W"],
        "state": ["TX", "AZ"],
        "lat": [31.62, 32.24],
        "lon": [-102.81, -111.17],
        "elevation_m": [830.0, 833.0],
    }
    return pd.DataFrame(columns | changes)


def _daily(**changes: object) -> pd.DataFrame:
    columns = {
        "wban": ["53131", "53131", "03047"],
        "date": pd.to_datetime(["2016-01-01", "2016-01-03", "2016-01-02"]),
        "t_avg_c": [9.1, 10.0, np.nan],
        "precipitation_mm": [0.0, 1.5, 2.5],
        "solar_mj_m2": [13.0, 14.0, 15.0],
        "rh_avg_percent": [50.0, 60.0, 70.0],
        "soil_moisture_5cm": [0.05, 0.06, 0.07],
    }
    return pd.DataFrame(columns | changes)


def test_the_tables_contain_the_values_published_by_noaa(real_data: Path, real_record: DailyRecord):
    assert TEXT_COLUMNS.keys() == set(QUANTITIES) == real_record.values.keys()
    wban = [station.wban for station in real_record.stations]
    files = sorted((real_data / "uscrn" / "raw").glob("CRND0103-*.txt"))
    assert len(files) == 6
    for path in files:
        rows = np.array([line.split() for line in path.read_text().splitlines()])
        station = wban.index(rows[0, 0].zfill(5))
        days = [f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in rows[:, 1]]
        in_text = np.isin(real_record.days, np.array(days, "datetime64[D]"))
        for name, column in TEXT_COLUMNS.items():
            expected = rows[:, column].astype(np.float32)
            expected[expected < -98] = np.nan
            found = real_record.values[name][station, in_text]
            np.testing.assert_array_equal(found, expected, err_msg=name)
        place = real_record.stations[station]
        assert path.stem.endswith(place.name)
        assert place.name.startswith(place.state)
        assert (place.lon, place.lat) == tuple(rows[0, 3:5].astype(float))


def test_no_missing_code_remains(real_record: DailyRecord):
    for name, values in real_record.values.items():
        assert np.nanmin(values) > -90, name


def test_the_stations_of_the_table(real_record: DailyRecord):
    assert real_record.values["t_avg_c"].shape == (94, 5113)
    assert (real_record.days[0], real_record.days[-1]) == (
        np.datetime64("2010-01-01"),
        np.datetime64("2023-12-31"),
    )
    first = real_record.stations[0]
    assert (first.wban, first.name, first.nlcd_class) == ("03047", "TX_Monahans_6_ENE", 71)
    assert (first.sand, first.clay) == pytest.approx((0.974, 0.009))
    unknown = next(
        station for station in real_record.stations if station.name == "OH_Wooster_3_SSE"
    )
    assert np.isnan([unknown.elevation, unknown.sand, unknown.clay]).all()
    assert unknown.nlcd_class is None


def test_missing_files_are_named(folder: Path):
    (folder / "daily.parquet").unlink()
    with pytest.raises(UscrnError, match=r"daily\.parquet not found"):
        read_tables(folder)
    (folder / "stations.csv").unlink()
    with pytest.raises(UscrnError, match=r"stations\.csv not found"):
        read_tables(folder)


def test_the_mandatory_columns_suffice(folder: Path):
    record = read_tables(folder)
    nan = np.nan
    np.testing.assert_array_equal(
        record.values["precipitation_mm"], [[nan, 2.5, nan], [0, nan, 1.5]]
    )
    assert np.isnan(record.values["t_avg_c"][0]).all()
    assert "soil_temp_5cm_c" not in record.values
    for station in record.stations:
        assert np.isnan([station.sand, station.clay]).all()
        assert station.nlcd_class is None


def test_leading_zeros_of_station_numbers_are_optional(folder: Path):
    _stations(wban=[3047, 53131]).to_csv(folder / "stations.csv", index=False)
    _daily(wban=[53131, 53131, 3047]).to_parquet(folder / "daily.parquet")
    assert [station.wban for station in read_tables(folder).stations] == ["03047", "53131"]


def test_codes_of_missing_values_are_read_as_nan(folder: Path):
    codes = {"precipitation_mm": [-9999, 1, 2], "soil_moisture_5cm": [0.1, 0.2, -99.0]}
    _daily(**codes).to_parquet(folder / "daily.parquet")
    record = read_tables(folder)
    assert np.nansum(record.values["precipitation_mm"]) == 3
    assert np.isnan(record.values["soil_moisture_5cm"][0]).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"soil_temp_5cm": [1.0, 2.0, 3.0]}, "unknown column soil_temp_5cm: remove it or"),
        ({"wban": ["53131", "53131", "99999"]}, r"Station 99999 of .* is not in stations\.csv"),
        ({"rh_avg_percent": ["50", "dry", "60"]}, "rh_avg_percent in .* is not a number"),
        ({"date": ["2016-01-01", "soon", "2016-01-02"]}, "Date in .* is not a date"),
        ({"date": pd.to_datetime(["2016-01-01", None, "2016-01-02"])}, "one without a date"),
        (
            {"date": pd.to_datetime(["2016-01-01", "2016-01-01", "2016-01-02"])},
            "Station 53131 AZ_Tucson_11_W has two rows of 2016-01-01: keep one",
        ),
    ],
)
def test_an_invalid_daily_table_is_refused(folder: Path, changes, sentence: str):
    _daily(**changes).to_parquet(folder / "daily.parquet")
    with pytest.raises(UscrnError, match=sentence):
        read_tables(folder)


def test_a_missing_column_is_named(folder: Path):
    _daily().drop(columns="solar_mj_m2").to_parquet(folder / "daily.parquet")
    with pytest.raises(UscrnError, match=r"daily\.parquet has no column solar_mj_m2: add it"):
        read_tables(folder)
    _stations().drop(columns="elevation_m").to_csv(folder / "stations.csv", index=False)
    with pytest.raises(UscrnError, match=r"stations\.csv has no column elevation_m: add it"):
        read_tables(folder)


def test_a_table_without_rows_or_of_another_format_is_refused(folder: Path):
    _daily().iloc[:0].to_parquet(folder / "daily.parquet")
    with pytest.raises(UscrnError, match="has no rows"):
        read_tables(folder)
    (folder / "daily.parquet").write_text("wban,date\n")
    with pytest.raises(UscrnError, match="is not a Parquet file"):
        read_tables(folder)
    (folder / "stations.csv").write_text("")
    with pytest.raises(UscrnError, match="is not a CSV table"):
        read_tables(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"wban": ["53131", "53131"]}, "two rows of station 53131: keep one"),
        ({"lat": [31.62, 3224.0]}, "Station 53131 of .* has no valid position: give lat and lon"),
        ({"elevation_m": ["830", "high"]}, "elevation_m in .* is not a number"),
        (
            {"sand_5cm_percent": [0.974, 0.22], "clay_5cm_percent": [0.009, np.nan]},
            r"from 0\.009 to 0\.974, which is not percent: multiply fractions by 100",
        ),
        ({"sand_percent": [97.4, 22.0]}, "unknown column sand_percent"),
    ],
)
def test_an_invalid_station_table_is_refused(folder: Path, changes, sentence: str):
    _stations(**changes).to_csv(folder / "stations.csv", index=False)
    with pytest.raises(UscrnError, match=sentence):
        read_tables(folder)
