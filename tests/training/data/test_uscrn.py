from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msm.training.data.uscrn import QUANTITIES, DailyRecord, UscrnError, read_tables, read_text

LINE = (
    " 3047 20160101  2.423 -102.81   31.62    18.6     0.4     9.5     9.1     0.3    13.05 C"
    "    26.6    -0.6     9.4    66.7    25.1    46.1   0.052   0.066 -99.000   0.081   0.090"
    "     9.7     9.8     9.9    10.0    10.1"
)
TEXT_NAME = "CRND0103-2016-TX_Monahans_6_ENE.txt"


@pytest.fixture(scope="module")
def table(real_data: Path) -> DailyRecord:
    return read_tables(real_data / "uscrn")


@pytest.fixture(scope="module")
def text(real_data: Path) -> DailyRecord:
    return read_text(sorted((real_data / "uscrn" / "raw").glob("*.txt")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of two stations and three days, with the columns that must be there."""
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


def test_published_text_and_tables_are_one(table: DailyRecord, text: DailyRecord):
    assert [station.name for station in text.stations] == [
        "AZ_Tucson_11_W",
        "MT_Wolf_Point_29_ENE",
        "OK_Stillwater_2_W",
    ]
    assert text.values.keys() == table.values.keys() == QUANTITIES.keys()
    wban = [station.wban for station in table.stations]
    rows = [wban.index(station.wban) for station in text.stations]
    days = np.isin(table.days, text.days)
    assert days.sum() == text.days.size == 366 + 365
    for name, values in text.values.items():
        np.testing.assert_array_equal(table.values[name][rows][:, days], values, err_msg=name)
    for row, station in zip(rows, text.stations, strict=True):
        other = table.stations[row]
        assert (station.state, station.lat, station.lon) == (other.state, other.lat, other.lon)


def test_no_missing_code_is_left(table: DailyRecord, text: DailyRecord):
    for record in (table, text):
        for name, values in record.values.items():
            assert np.nanmin(values) > -90, name
    # The two deepest sensors of Tucson do not exist, and its soil is missing on one day of 2016.
    soil = text.values["soil_moisture_5cm"][0, :366]
    assert np.isnan(text.values["soil_moisture_100cm"][0]).all()
    assert np.isnan(soil).sum() == 1


def test_the_stations_of_the_table(table: DailyRecord):
    assert table.values["t_avg_c"].shape == (94, 5113)
    assert (table.days[0], table.days[-1]) == (
        np.datetime64("2010-01-01"),
        np.datetime64("2023-12-31"),
    )
    first = table.stations[0]
    assert (first.wban, first.name, first.nlcd_class) == ("03047", "TX_Monahans_6_ENE", 71)
    assert (first.sand, first.clay) == pytest.approx((0.974, 0.009))
    unknown = next(station for station in table.stations if station.name == "OH_Wooster_3_SSE")
    assert np.isnan([unknown.elevation, unknown.sand, unknown.clay]).all()
    assert unknown.nlcd_class is None


def test_text_is_read_by_the_columns_of_its_format(tmp_path: Path):
    (tmp_path / TEXT_NAME).write_text(LINE + "\n" + LINE.replace("20160101", "20160103") + "\n")
    record = read_text([tmp_path / TEXT_NAME])
    (station,) = record.stations
    assert (station.wban, station.name, station.state) == ("03047", "TX_Monahans_6_ENE", "TX")
    assert (station.lat, station.lon) == (31.62, -102.81)
    assert np.isnan(station.elevation)
    np.testing.assert_array_equal(
        record.days, np.arange("2016-01-01", "2016-01-04", dtype="datetime64[D]")
    )
    first = {name: values[0, 0].item() for name, values in record.values.items()}
    assert first == pytest.approx(
        {
            "t_max_c": 18.6,
            "t_min_c": 0.4,
            "t_avg_c": 9.1,
            "precipitation_mm": 0.3,
            "solar_mj_m2": 13.05,
            "rh_avg_percent": 46.1,
            "surface_temp_c": 9.4,
            "soil_moisture_5cm": 0.052,
            "soil_moisture_10cm": 0.066,
            "soil_moisture_20cm": np.nan,
            "soil_moisture_50cm": 0.081,
            "soil_moisture_100cm": 0.090,
            "soil_temp_5cm_c": 9.7,
        },
        nan_ok=True,
    )
    assert np.isnan(record.values["t_avg_c"][0, 1])


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("daily.txt", LINE, r"daily\.txt is not named CRND0103-YYYY-STATION\.txt"),
        (TEXT_NAME, LINE + "\n" + LINE[:-5], r"line 2 of .* has 27 columns, not 28"),
        (TEXT_NAME, LINE + "\n" + LINE.replace("3047", "3048"), "does not hold one station"),
        (TEXT_NAME, "", "does not hold one station"),
        (TEXT_NAME, LINE.replace("13.05", "13.O5"), r"damaged \(.*13\.O5"),
        (TEXT_NAME, LINE.replace("20160101", "20161301"), "damaged"),
        (
            TEXT_NAME,
            LINE + "\n" + LINE,
            "station 03047 TX_Monahans_6_ENE has two rows of 2016-01-01",
        ),
    ],
)
def test_text_of_another_form_is_refused(tmp_path: Path, name: str, content: str, sentence: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(UscrnError, match=sentence):
        read_text([tmp_path / name])


def test_missing_files_are_named(tmp_path: Path, folder: Path):
    with pytest.raises(UscrnError, match=rf"{TEXT_NAME} not found"):
        read_text([tmp_path / TEXT_NAME])
    with pytest.raises(UscrnError, match="no file"):
        read_text([])
    (folder / "daily.parquet").unlink()
    with pytest.raises(UscrnError, match=r"daily\.parquet not found"):
        read_tables(folder)
    (folder / "stations.csv").unlink()
    with pytest.raises(UscrnError, match=r"stations\.csv not found"):
        read_tables(folder)


def test_the_columns_that_must_be_there_are_enough(folder: Path):
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


def test_numbers_of_stations_may_lack_their_zeros(folder: Path):
    _stations(wban=[3047, 53131]).to_csv(folder / "stations.csv", index=False)
    _daily(wban=[53131, 53131, 3047]).to_parquet(folder / "daily.parquet")
    assert [station.wban for station in read_tables(folder).stations] == ["03047", "53131"]


def test_missing_codes_in_a_table_are_gaps(folder: Path):
    codes = {"precipitation_mm": [-9999, 1, 2], "soil_moisture_5cm": [0.1, 0.2, -99.0]}
    _daily(**codes).to_parquet(folder / "daily.parquet")
    record = read_tables(folder)
    assert np.nansum(record.values["precipitation_mm"]) == 3
    assert np.isnan(record.values["soil_moisture_5cm"][0]).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"soil_temp_5cm": [1.0, 2.0, 3.0]}, "unknown column soil_temp_5cm: remove it or"),
        ({"wban": ["53131", "53131", "99999"]}, r"station 99999 of .* is not in stations\.csv"),
        ({"rh_avg_percent": ["50", "dry", "60"]}, "rh_avg_percent in .* is not a number"),
        ({"date": ["2016-01-01", "soon", "2016-01-02"]}, "date in .* is not a date"),
        ({"date": pd.to_datetime(["2016-01-01", None, "2016-01-02"])}, "one without a date"),
        (
            {"date": pd.to_datetime(["2016-01-01", "2016-01-01", "2016-01-02"])},
            "station 53131 AZ_Tucson_11_W has two rows of 2016-01-01: keep one",
        ),
    ],
)
def test_a_table_that_is_not_what_it_should_be_is_refused(folder: Path, changes, sentence: str):
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
        ({"lat": [31.62, 3224.0]}, "station 53131 of .* is nowhere: give lat and lon in degrees"),
        ({"elevation_m": ["830", "high"]}, "elevation_m in .* is not a number"),
        (
            {"sand_5cm_percent": [0.974, 0.22], "clay_5cm_percent": [0.009, np.nan]},
            r"from 0\.009 to 0\.974, which is not percent: multiply fractions by 100",
        ),
        ({"sand_percent": [97.4, 22.0]}, "unknown column sand_percent"),
    ],
)
def test_stations_that_are_not_what_they_should_be_are_refused(
    folder: Path, changes, sentence: str
):
    _stations(**changes).to_csv(folder / "stations.csv", index=False)
    with pytest.raises(UscrnError, match=sentence):
        read_tables(folder)
