"""The made-up globe: plausible everywhere, without a seam, with a winter on one side."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from msm.fields.forcing import PLAUSIBLE
from msm.grid.ease import M09, M36
from msm.sandbox.weather import global_storms
from msm.sandbox.weather.air import STEPS, saturation_humidity
from msm.sandbox.weather.earth import dryness, height
from msm.sandbox.weather.global_weather import GlobalWeather
from msm.sandbox.weather.interface import WORLD, land_share
from msm.sandbox.weather.orbit import seen
from msm.sandbox.weather.sources import load_weather

LAT, LON = np.linspace(-90, 90, 37), np.arange(-180, 180, 7.5)
DAY = date(2024, 7, 16)
SEASONS = [date(2024, 1, 15), date(2024, 7, 15)]


@pytest.fixture(scope="module")
def weather():
    return load_weather("global:1")


def hours_of(day):
    return [datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for hour in range(24)]


@pytest.fixture(scope="module")
def days(weather):
    """Daily means of the seasons."""
    means = {}
    for day in SEASONS:
        fields = [weather.hour(stamp, LAT, LON) for stamp in hours_of(day)]
        means[day] = {name: np.mean([f[name] for f in fields], axis=0) for name in fields[0]}
    return means


def test_a_new_weather_of_the_same_seed_is_the_same(weather):
    stamp = datetime(2024, 7, 16, 6, tzinfo=UTC)
    first = {**weather.hour(stamp, LAT, LON), **weather.satellite(DAY, M36, "am")}
    global_storms._born_on.cache_clear()
    other = GlobalWeather(1)
    other.hour(stamp + timedelta(days=9), LAT, LON)
    other.soil_water(DAY + timedelta(days=1), LAT, LON)
    second = {**other.hour(stamp, LAT, LON), **other.satellite(DAY, M36, "am")}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    another = GlobalWeather(2).hour(stamp, LAT, LON)
    assert not np.array_equal(another["air_temperature"], first["air_temperature"])
    assert not np.array_equal(another["precipitation"], first["precipitation"])


@pytest.mark.parametrize("day", SEASONS, ids=str)
def test_days_are_plausible_on_every_row_of_the_globe(days, day):
    fields = dict(days[day])
    fields["wind_speed"] = np.hypot(fields.pop("wind_east"), fields.pop("wind_north"))
    for name, field in fields.items():
        low, high = PLAUSIBLE[name]
        assert field.min() >= low
        assert field.max() <= high
    assert 205 < fields["air_temperature"].min() < 240
    assert 300 < fields["air_temperature"].max() < 320
    assert 10 < fields["precipitation"].max() < 400


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_air_never_holds_more_than_saturation(seed):
    for stamp in (datetime(2024, 1, 15, 9, tzinfo=UTC), datetime(2030, 7, 1, 21, tzinfo=UTC)):
        fields = GlobalWeather(seed).hour(stamp, LAT, LON)
        saturated = saturation_humidity(fields["air_temperature"], fields["surface_pressure"])
        # The values are rounded.
        assert (fields["specific_humidity"] <= saturated + STEPS["specific_humidity"]).all()
        assert (fields["specific_humidity"] > 0).all()
        assert all(field.dtype == np.float32 for field in fields.values())


def test_hemispheres_have_opposite_seasons(days):
    january, july = (days[day]["air_temperature"].mean(axis=1) for day in SEASONS)
    north, south = np.searchsorted(LAT, 50), np.searchsorted(LAT, -50)
    assert july[north] - january[north] > 20
    assert january[south] - july[south] > 10
    assert abs(july - january)[np.abs(LAT) < 5].max() < 5
    # Neither is the sun seen on the winter's pole, nor is it dark on the other.
    sun = [days[day]["shortwave_down"] for day in SEASONS]
    assert sun[0][-1].max() == sun[1][0].max() == 0
    assert min(sun[0][0].min(), sun[1][-1].min()) > 50


def test_rains_follow_the_sun(weather):
    lat = np.arange(-24.0, 25.0)
    centres = []
    for day in SEASONS:
        rain = sum(weather.hour(stamp, lat, LON)["precipitation"] for stamp in hours_of(day)[::6])
        centres.append((rain.mean(axis=1) * lat).sum() / rain.mean(axis=1).sum())
    assert centres[0] < -2
    assert centres[1] > 6


def test_storms_go_east_in_mid_latitudes_and_west_in_the_tropics():
    for day in SEASONS:
        storms = global_storms.storms_at(1, hours_of(day)[12])
        tropical, temperate = np.abs(storms.lat) < 15, np.abs(storms.lat) > 45
        assert min(tropical.sum(), temperate.sum()) > 10
        assert storms.east[tropical].max() < 0
        assert storms.east[temperate].min() > 0


def test_deserts_are_dry_and_the_equator_is_wet(weather):
    places = np.array([23.0, 3.0])  # Sahara and Congo
    rain = np.zeros(2)
    for month in range(1, 13):
        for day in range(1, 28, 3):
            fields = weather.hour(datetime(2023, month, day, 6, tzinfo=UTC), places, LON[23:28])
            rain += fields["precipitation"].mean(axis=1) / 108
    assert rain[0] < 0.5
    assert rain[1] > 2


def test_mountains_and_deserts_are_where_they_are():
    lat, lon = np.array([33.0, -18.0, 50.0]), np.array([88.0, -68.5, 0.0])
    high = height(lat, lon)
    assert high[0, 0] > 4000
    assert high[1, 1] > 3000
    assert high[2, 2] < 100
    dry = dryness(hours_of(DAY)[0], np.array([23.0, 0.0]), np.array([10.0, -60.0]))
    assert dry[0, 0] > 0.8
    assert dry[1, 1] < 0.1


def test_there_is_no_seam_at_the_date_line(weather):
    lat, seam = np.arange(-80.0, 81.0), np.array([-180.0, -179.999, 179.999, 180.0])
    wet = 0
    for stamp in hours_of(DAY)[::6]:
        for name, field in weather.hour(stamp, lat, seam).items():
            assert np.abs(field - field[:, :1]).max() <= 4 * STEPS[name]
            wet += (field > 0).sum() if name == "precipitation" else 0
    assert wet > 20

    # Chukotka lies on both sides.
    chukotka = weather.soil_water(DAY, np.arange(66.5, 68.5, 0.1), seam)
    assert np.isfinite(chukotka).all()
    assert np.abs(chukotka - chukotka[:, :1]).max() < 1e-4


def test_soils_are_fractions_of_all_land(weather):
    soil = weather.soil(M09)
    sand, clay = soil["sand"], soil["clay"]
    land = land_share(M09, WORLD) > 0
    np.testing.assert_array_equal(np.isfinite(sand), land)
    np.testing.assert_array_equal(np.isfinite(clay), land)
    assert min(sand[land].min(), clay[land].min()) > 0
    assert (sand + clay)[land].max() <= 1


def test_satellite_sees_soil_water_on_swaths(weather):
    found = weather.satellite(DAY, M36, "am")["soil_moisture"]
    retrieved = np.isfinite(found)
    assert not retrieved[~seen(DAY, "am", M36.lat, M36.lon)].any()
    for rows in (M36.lat > 0, M36.lat < 0):
        assert retrieved[rows].mean() > 0.05
    error = found - weather.soil_water(DAY, M36.lat, M36.lon)
    assert abs(np.nanmean(error)) < 0.005
    assert np.nanstd(error) < 0.06


def test_soil_water_is_known_on_all_land_of_any_axes(weather):
    water = weather.soil_water(DAY, M09.lat[::7], M09.lon[::7])
    land = land_share(M09, WORLD)[::7, ::7] > 0
    np.testing.assert_array_equal(np.isfinite(water), land)
    assert np.nanmin(water) > 0.02
    assert np.nanmax(water) < 0.5
    beyond = weather.soil_water(DAY, np.array([-89.0, 89.0]), LON)
    assert np.isnan(beyond).all()
