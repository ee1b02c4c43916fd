"""The replay returns exactly the daily values of its table."""

import shutil
from datetime import UTC, date, datetime

import h5py
import netCDF4
import numpy as np
import pytest

from msm.errors import MsmError
from msm.grid.domain import load_domain
from msm.grid.ease import M09, M36, NEST, children, unproject
from msm.grid.regrid import LatLonGrid, regrid, weights
from msm.sandbox.granules.granule import make_granule, served_products
from msm.sandbox.weather.interface import NORTH_AMERICA, region
from msm.sandbox.weather.replay import FORCING, ReplayWeather, vegetation_water_content
from msm.sandbox.weather.sources import load_weather

ROWS, COLS = (83, 87, 91), (203, 207, 211, 215)
DAYS = 4


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Eleven points of a lattice of three by four, the last one missing."""
    path = tmp_path_factory.mktemp("table") / "points.nc"
    chance = np.random.default_rng(5)
    places = [(row, col) for row in ROWS for col in COLS][:-1]
    rows, cols = np.array(places).T
    scales = {"precipitation": 0.5, "air_temperature_2m": 290.0, "specific_humidity_2m": 0.01}
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("pixel", rows.size)
        dataset.createDimension("time", DAYS)
        time = dataset.createVariable("time", "i8", ("time",))
        time.units = "days since 2016-04-01 00:00:00"
        time[:] = np.arange(DAYS)
        for name in (*FORCING.values(), "smap_soil_moisture_am"):
            values = scales.get(name, 200.0) * chance.uniform(0.8, 1.2, (rows.size, DAYS))
            variable = dataset.createVariable(name, "f4", ("pixel", "time"))
            variable[:] = values / 1000 if name.startswith("smap") else values
        dataset["smap_soil_moisture_am"][3, :] = np.nan
        for name, values in {
            "sand": chance.uniform(20, 60, rows.size),
            "clay": np.where(np.arange(rows.size) == 5, np.nan, 20.0),
            "ndvi": np.linspace(0, 0.6, rows.size),
            "latitude": M36.lat[rows],
            "longitude": M36.lon[cols],
        }.items():
            dataset.createVariable(name, "f8", ("pixel",))[:] = values
    return path


@pytest.fixture(scope="module")
def weather(table):
    return load_weather(str(table))


def test_table_is_read(weather):
    assert (weather.first_day, weather.last_day) == (date(2016, 4, 1), date(2016, 4, 4))
    assert weather.row.tolist()[:5] == [83, 83, 83, 83, 87]


def test_missing_points_take_the_value_of_the_nearest(weather):
    lat, lon = served_products()["NLDAS_FORA0125_H"].layout.grid.axes()
    fields = weather.hour(datetime(2016, 4, 2, 12, tzinfo=UTC), lat, lon)
    assert all(np.isfinite(field).all() for field in fields.values())
    missing = weather._spread(weather.sand, M36.lat[[91]], M36.lon[[215]])
    assert missing[0, 0] in weather.sand[[10, 7]]


def test_interpolation_stays_between_its_points(weather):
    lat, lon = np.linspace(25, 53, 200), np.linspace(-125, -67, 300)
    spread = weather._spread(weather.sand, lat, lon)
    assert spread.min() >= weather.sand.min() - 1e-12
    assert spread.max() <= weather.sand.max() + 1e-12


def test_days_outside_the_table_take_its_nearest_day(weather):
    lat, lon = M36.lat[[83]], M36.lon[[203]]
    first = weather.hour(datetime(2016, 4, 1, tzinfo=UTC), lat, lon)
    assert np.isfinite(first["precipitation"]).all()
    after = weather.hour(datetime(2016, 4, 5, tzinfo=UTC), lat, lon)
    same_hour = weather.hour(datetime(2016, 4, 4, tzinfo=UTC), lat, lon)
    np.testing.assert_array_equal(after["wind_east"], same_hour["wind_east"])


@pytest.mark.parametrize("half", ["am", "pm"])
def test_satellite_values_nest(weather, half):
    day = date(2016, 4, 2)
    coarse, fine = weather.satellite(day, M36, half), weather.satellite(day, M09, half)
    rows, cols = region(M36, NORTH_AMERICA)
    count = np.isfinite(coarse["soil_moisture"]).sum()
    assert count == (10 if half == "am" else 0)
    assert np.isfinite(fine["soil_moisture"]).sum() == NEST**2 * count
    fine_rows, fine_cols = region(M09, NORTH_AMERICA)
    for name, field in coarse.items():
        for row, col in ((83, 207), (91, 203), (85, 205)):
            cell_rows, cell_cols = children(row, col)
            inside = fine[name][cell_rows - fine_rows.start, cell_cols - fine_cols.start]
            assert np.array_equal(
                inside, [field[row - rows.start, col - cols.start]] * 16, equal_nan=True
            )


def test_soil_water_is_unknown(weather):
    water = weather.soil_water(date(2016, 4, 2), M36.lat[[83, 87]], M36.lon[[203, 207, 211]])
    assert water.shape == (2, 3)
    assert np.isnan(water).all()


def test_vegetation_follows_ndvi():
    content = vegetation_water_content(np.array([0.0, 0.1, 0.3, 0.6]))
    assert content[0] == 0
    assert (np.diff(content) >= 0).all()
    assert content[3] == pytest.approx(1.9134 * 0.36 - 0.3215 * 0.6)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("sand", "has no sand"),
        ("latitude", "every 4th M36 row"),
        ("time", "do not follow one another"),
    ],
)
def test_invalid_table_is_refused(table, tmp_path, change, complaint):
    path = shutil.copy(table, tmp_path / "other.nc")
    with netCDF4.Dataset(path, "a") as dataset:
        if change == "sand":
            dataset.renameVariable("sand", "sandy")
        elif change == "latitude":
            dataset["latitude"][2] = M36.lat[84]
        else:
            dataset["time"][1] = 7
    with pytest.raises(MsmError, match=complaint):
        load_weather(str(path))


@pytest.mark.parametrize("source", ["no such", "synthetic:x", "global:-1", "/no/such/table.nc"])
def test_unknown_weather_is_refused(source):
    with pytest.raises(MsmError, match="There is no weather"):
        load_weather(source)


def test_file_that_is_not_a_table_is_refused(tmp_path):
    (tmp_path / "text.nc").write_text("no table")
    with pytest.raises(MsmError, match="not a table"):
        load_weather(str(tmp_path / "text.nc"))


DAY = date(2016, 5, 12)
M36_LAT_EDGES = unproject(0.0, M36.y_edges)[0]
M36_LON_EDGES = unproject(M36.x_edges, 0.0)[1]


@pytest.fixture(scope="module")
def real(real_data):
    path = real_data / "conus_pixels" / "conus_v4f1.nc"
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_mask(False)
        day = (DAY - date(2015, 4, 1)).days
        values = {name: dataset[source][:, day] for name, source in FORCING.items()}
        values["soil_moisture"] = dataset["smap_soil_moisture_am"][:, day]
        values["latitude"], values["longitude"] = dataset["latitude"][:], dataset["longitude"][:]
        values["sand"] = dataset["sand"][:]
    return ReplayWeather.read(path), values


@pytest.fixture(scope="module")
def daily(real, tmp_path_factory):
    """Daily means on the NLDAS grid, from a day's granules by the layout's time rules."""
    weather, _ = real
    layout = served_products()["NLDAS_FORA0125_H"].layout
    folder = tmp_path_factory.mktemp("replay")
    sums = {variable.name: np.zeros((224, 464)) for variable in layout.variables}
    for stamp in layout.stamps(DAY):
        path = folder / f"{stamp:%Y%m%d%H}.nc"
        make_granule(weather, "NLDAS_FORA0125_H", stamp, 1, path)
        with h5py.File(path) as file:
            for variable in layout.variables:
                if (stamp, 0) in layout.used(variable, DAY):
                    sums[variable.name] += file[variable.path][0].astype(float)
    return {name: total / 24 for name, total in sums.items()}


@pytest.mark.parametrize("name", list(FORCING))
def test_hours_average_to_real_daily_values(real, daily, name):
    _, values = real
    layout = served_products()["NLDAS_FORA0125_H"].layout
    lat, lon = layout.grid.axes()
    rows, cols = M36.rowcol(values["latitude"], values["longitude"])
    assert rows.size == 412
    for row, col, value in zip(rows, cols, values[name], strict=True):
        # Every NLDAS cell that overlaps the pixel's cell has its value.
        north, south = M36_LAT_EDGES[row], M36_LAT_EDGES[row + 1]
        west, east = M36_LON_EDGES[col], M36_LON_EDGES[col + 1]
        overlapping = np.ix_(
            (lat > south - 0.0625) & (lat < north + 0.0625),
            (lon > west - 0.0625) & (lon < east + 0.0625),
        )
        np.testing.assert_allclose(daily[name][overlapping], value, rtol=4e-7, atol=1e-7)


def test_surface_pressure_is_fill(daily):
    assert (daily["surface_pressure"] == -9999.0).all()


@pytest.mark.parametrize("name", ["precipitation", "air_temperature", "shortwave_down"])
def test_regridding_keeps_the_values_of_nested_cells(real, daily, name):
    _, values = real
    domain = load_domain("conus")
    grid = LatLonGrid.from_centres(*served_products()["NLDAS_FORA0125_H"].layout.grid.axes())
    cells = np.asarray(regrid(daily[name], weights(grid, domain))[0])
    assert np.isfinite(cells).all()
    rows, cols = M36.rowcol(values["latitude"], values["longitude"])
    on_map = domain.to_map(cells)
    checked = 0
    for row, col, value in zip(rows, cols, values[name], strict=True):
        cell_rows, cell_cols = children(row, col)
        nested = on_map[cell_rows - domain.window.row0, cell_cols - domain.window.col0]
        land = nested[np.isfinite(nested)]
        np.testing.assert_allclose(land, value, rtol=1e-6, atol=1e-7)
        checked += land.size
    assert checked > 0.9 * 16 * 412


def test_real_retrievals_are_in_their_cells(real, tmp_path):
    weather, values = real
    stamp = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    for short_name in ("SPL3SMP", "SPL3SMP_E"):
        make_granule(weather, short_name, stamp, 1, tmp_path / short_name)
    group = "Soil_Moisture_Retrieval_Data_AM"
    with h5py.File(tmp_path / "SPL3SMP") as coarse, h5py.File(tmp_path / "SPL3SMP_E") as fine:
        soil36, soil09 = coarse[f"{group}/soil_moisture"][...], fine[f"{group}/soil_moisture"][...]
        flag36 = coarse[f"{group}/retrieval_qual_flag"][...]
        afternoon = fine["Soil_Moisture_Retrieval_Data_PM/soil_moisture_pm"][...]
    rows, cols = M36.rowcol(values["latitude"], values["longitude"])
    known = np.isfinite(values["soil_moisture"])
    assert known.sum() > 50
    np.testing.assert_array_equal(soil36[rows, cols][known], values["soil_moisture"][known])
    assert (soil36[rows, cols][~known] == -9999.0).all()
    assert (soil36 != -9999.0).sum() == known.sum()
    assert (flag36[rows, cols][known] == 0).all()
    assert (flag36 != 65534).sum() == known.sum()
    np.testing.assert_array_equal(soil09, soil36.repeat(NEST, 0).repeat(NEST, 1))
    assert (afternoon == -9999.0).all()


def test_real_soils_are_fractions(real, tmp_path):
    weather, values = real
    make_granule(weather, "SPL4SMLM", datetime(2015, 3, 31, tzinfo=UTC), 1, tmp_path / "soil")
    with h5py.File(tmp_path / "soil") as file:
        sand = file["Land-Model-Constants_Data/mwrtm_sand"][...]
    rows, cols = M36.rowcol(values["latitude"], values["longitude"])
    for row, col, value in zip(rows, cols, values["sand"], strict=True):
        if np.isfinite(value):
            np.testing.assert_allclose(sand[children(row, col)], value / 100, rtol=1e-6)
    domain = load_domain("conus")
    here = domain.from_map(sand[domain.window.slices])
    assert ((here > 0) & (here < 1)).all()


def test_rain_of_the_first_hours_belongs_to_the_day_before(real):
    weather, _ = real
    lat, lon = served_products()["NLDAS_FORA0125_H"].layout.grid.axes()
    midnight = weather.hour(datetime(2016, 5, 13, tzinfo=UTC), lat, lon)
    rain_of_day = weather._spread(
        weather.forcing["precipitation"][(DAY - weather.first_day).days], lat, lon
    )
    assert (midnight["precipitation"][rain_of_day == 0] == 0).all()
