"""The day of every product is the day of the weather, on any intervals and grid."""

from datetime import UTC, date, datetime, timedelta

import h5py
import numpy as np
import pytest

from msm.products.layout import load_layout
from msm.products.registry import product as registered
from msm.sandbox.granules.granule import make_granule, served_products
from msm.sandbox.granules.intervals import granule_fields, hours
from msm.sandbox.granules.window import centres, window
from tests.sandbox.small import SmallWeather

DAY = date(2024, 7, 20)
THREE = datetime(2024, 7, 20, 3, tzinfo=UTC)


def variable(short_name, name):
    return next(v for v in served_products()[short_name].layout.variables if v.name == name)


def of_nldas(name, lat, lon):
    """Return the daily mean of NLDAS at some places."""
    layout = served_products()["NLDAS_FORA0125_H"].layout
    used = layout.used(variable("NLDAS_FORA0125_H", name), DAY)
    assert len(used) == 24
    weather = SmallWeather(1)
    return np.mean([weather.hour(t, lat, lon)[name].astype(float) for t, _ in used], axis=0)


def of_granules(short_name, names, folder):
    """Return the daily means of a product's stored values on the window of the weather."""
    product, weather = served_products()[short_name], SmallWeather(1)
    layout, values = product.layout, {name: [] for name in names}
    cells = window(layout.grid, weather.extent)
    for stamp in layout.stamps(DAY):
        path = folder / product.name(stamp, 1)
        make_granule(weather, short_name, stamp, 1, path)
        with h5py.File(path) as file:
            for name in names:
                line = variable(short_name, name)
                turned = line.dims[-2:] == ("lon", "lat")
                for time, place in layout.used(line, DAY):
                    if time == stamp:
                        leading = (place,) * (len(line.dims) - 2)
                        stored = file[line.path][leading + (cells[::-1] if turned else cells)]
                        values[name].append((stored.T if turned else stored) * line.scale)
    return {name: np.mean(several, axis=0, dtype=float) for name, several in values.items()}


LOWEST_LEVEL = {
    "air_temperature_lowest_level": lambda found: found + 0.5684,
    "specific_humidity_lowest_level": lambda found: found / 0.97,
    "longwave_absorbed": lambda found: found / 0.97,
}


@pytest.mark.parametrize(
    ("short_name", "names"),
    [
        (
            "SPL4SMGP",
            {
                "precipitation": "precipitation",
                "air_temperature_lowest_level": "air_temperature",
                "specific_humidity_lowest_level": "specific_humidity",
                "shortwave_down": "shortwave_down",
                "longwave_absorbed": "longwave_down",
                "surface_pressure": "surface_pressure",
            },
        ),
        (
            "GLDAS_NOAH025_3H",
            {
                "precipitation": "precipitation",
                "shortwave_down": "shortwave_down",
                "longwave_down": "longwave_down",
            },
        ),
        ("GPM_3IMERGDL", {"precipitation": "precipitation"}),
        ("M2T1NXFLX", {"precipitation": "precipitation"}),
        (
            "M2T1NXSLV",
            {
                "air_temperature": "air_temperature",
                "wind_east": "wind_east",
                "wind_north": "wind_north",
            },
        ),
        ("M2T1NXRAD", {"shortwave_down": "shortwave_down", "longwave_absorbed": "longwave_down"}),
    ],
)
def test_day_of_a_product_is_that_of_nldas_at_the_same_places(short_name, names, tmp_path):
    places = centres(served_products()[short_name].layout.grid, SmallWeather.extent)
    found = of_granules(short_name, names, tmp_path)
    for name, of in names.items():
        expected = of_nldas(of, *places)
        at_two_metres = LOWEST_LEVEL.get(name, lambda found: found)(found[name])
        assert expected.shape == tuple(axis.size for axis in places)
        np.testing.assert_allclose(at_two_metres, expected, rtol=2e-6, atol=1e-6, err_msg=name)


def test_mean_of_three_hourly_moments_differs_slightly(tmp_path):
    places = centres(served_products()["GLDAS_NOAH025_3H"].layout.grid, SmallWeather.extent)
    found = of_granules("GLDAS_NOAH025_3H", ["air_temperature"], tmp_path)["air_temperature"]
    difference = np.abs(found - of_nldas("air_temperature", *places))
    assert 0 < difference.max() < 0.5


@pytest.mark.parametrize(
    ("short_name", "name", "time", "expected"),
    [
        ("NLDAS_FORA0125_H", "precipitation", THREE, [3]),
        ("NLDAS_FORA0125_H", "air_temperature", THREE, [3]),
        ("GLDAS_NOAH025_3H", "precipitation", THREE, [1, 2, 3]),
        ("GLDAS_NOAH025_3H", "shortwave_down", THREE, [0, 1, 2]),
        ("GLDAS_NOAH025_3H", "air_temperature", THREE, [3]),
        ("SPL4SMGP", "precipitation", THREE + timedelta(hours=1.5), [4, 5, 6]),
        ("SPL4SMGP", "shortwave_down", THREE + timedelta(hours=1.5), [3, 4, 5]),
        ("M2T1NXFLX", "precipitation", THREE, [4]),
        ("M2T1NXSLV", "air_temperature", THREE, [3]),
        ("GPM_3IMERGDL", "precipitation", THREE - timedelta(hours=3), [*range(1, 25)]),
    ],
)
def test_value_averages_the_hours_of_its_interval(short_name, name, time, expected):
    used = hours(variable(short_name, name), time, served_products()[short_name].layout.interval)
    midnight = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    assert [(hour - midnight) / timedelta(hours=1) for hour in used] == expected


def test_wind_is_averaged_as_speed_and_grows_with_height():
    layout = served_products()["SPL4SMGP"].layout
    weather, (lat, lon) = SmallWeather(1), centres(layout.grid, SmallWeather.extent)
    stamp = THREE + timedelta(hours=1.5)
    winds = [weather.hour(THREE + timedelta(hours=n), lat, lon) for n in range(3)]
    speed = np.mean([np.hypot(w["wind_east"], w["wind_north"]) for w in winds], axis=0)
    found = granule_fields(weather, layout, stamp, lat, lon)["wind_speed_lowest_level"]
    np.testing.assert_allclose(found, 1.389 * speed, rtol=1e-3)


def test_deeper_soil_is_closer_to_the_middle():
    layout = load_layout("gldas_noah025_3h_2.1")
    weather, places = SmallWeather(1), centres(layout.grid, SmallWeather.extent)
    fields = granule_fields(weather, layout, THREE, *places)
    top = weather.soil_water(DAY, *places)
    np.testing.assert_allclose(fields["soil_moisture_0_10cm"], top)
    away = [
        np.nanmax(np.abs(fields[f"soil_moisture_{layer}"] - 0.25))
        for layer in ("0_10cm", "10_40cm", "40_100cm", "100_200cm")
    ]
    assert away == sorted(away, reverse=True)
    assert len(set(away)) == 4


class Dull(SmallWeather):
    """Weather without pressure and winds."""

    def hour(self, stamp, lat, lon):
        """Return fewer fields."""
        absent = {"surface_pressure", "wind_east", "wind_north"}
        return {k: v for k, v in super().hour(stamp, lat, lon).items() if k not in absent}


@pytest.mark.parametrize("short_name", ["SPL4SMGP", "GLDAS_NOAH025_3H", "M2T1NXSLV"])
def test_field_that_a_weather_does_not_have_is_all_fill(short_name, tmp_path):
    product = served_products()[short_name]
    stamp = product.layout.stamps(DAY)[0]
    make_granule(Dull(1), short_name, stamp, 1, tmp_path / product.name(stamp, 1))
    reader = registered(short_name, product.layout.version)
    fields = reader.read(tmp_path / product.name(stamp, 1)).fields
    for name, field in fields.items():
        assert np.isfinite(field).any() == ("wind" not in name and name != "surface_pressure")
