from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from msm.training.data.pixels import FILE, read_pixels
from msm.training.data.samples import Samples, SamplesError


def test_the_cells_agree_with_an_independent_reading(real_data: Path, real_pixels: Samples):
    pixels = real_pixels
    assert pixels.n_cell == 412
    assert (pixels.days[0], pixels.days[-1]) == (
        np.datetime64("2015-04-01"),
        np.datetime64("2018-03-31"),
    )
    with h5py.File(real_data / FILE) as file:
        np.testing.assert_allclose(pixels.lat, file["latitude"][:])
        np.testing.assert_allclose(pixels.lon, file["longitude"][:])
        np.testing.assert_allclose(pixels.statics["sand"], file["sand"][:] / 100, rtol=1e-6)
        np.testing.assert_allclose(pixels.statics["clay"], file["clay"][:] / 100, rtol=1e-6)
        rain = file["precipitation"][:] * 24
        np.testing.assert_allclose(pixels.forcing["precipitation"], rain, rtol=1e-6)
        for name, source in {
            "air_temperature": "air_temperature_2m",
            "specific_humidity": "specific_humidity_2m",
            "shortwave_down": "shortwave_down",
            "longwave_down": "longwave_down",
        }.items():
            np.testing.assert_array_equal(pixels.forcing[name], file[source][:])
        np.testing.assert_array_equal(pixels.target, file["smap_soil_moisture_am"][:])
    assert "wind_speed" not in pixels.forcing
    # One cell, 30.6 N 116.0 W, has no soil texture.
    bare = np.hypot(pixels.lat - 30.638, pixels.lon + 115.954) < 0.01
    np.testing.assert_array_equal(np.isnan(pixels.statics["sand"]), bare)
    assert bare.sum() == 1


def test_values_are_in_canonical_units(real_pixels: Samples):
    pixels = real_pixels
    yearly = pixels.forcing["precipitation"].mean(axis=1) * 365
    assert 50 < yearly.min() < 200
    assert 1000 < yearly.max() < 4000
    for name in ("sand", "clay", "ndvi"):
        known = pixels.statics[name][np.isfinite(pixels.statics[name])]
        assert ((known > 0) & (known < 1)).all()
    assert 1.2 < np.nanmean(pixels.statics["bulk_density"]) < 1.5
    assert 270 < pixels.forcing["air_temperature"].mean() < 300
    # The satellite saw 41 % of the days of the first two years and is not in the third.
    two_years = pixels.between(date(2015, 4, 1), date(2017, 3, 31)).target
    assert np.isfinite(two_years).mean() == pytest.approx(0.41, abs=0.02)
    assert np.isnan(pixels.between(date(2017, 4, 1), date(2018, 3, 31)).target).all()


def test_days_and_cells_are_selected(real_pixels: Samples):
    pixels = real_pixels
    year = pixels.between(date(2016, 4, 1), date(2017, 3, 31))
    assert year.target.shape == (412, 365)
    np.testing.assert_array_equal(
        year.forcing["precipitation"], pixels.forcing["precipitation"][:, 366:731]
    )
    some = year.at(np.array([5, 2]))
    np.testing.assert_array_equal(some.lat, pixels.lat[[5, 2]])
    np.testing.assert_array_equal(some.target, year.target[[5, 2]])
    with pytest.raises(SamplesError, match=r"not all of 2018-03-01\.\.2018-04-01"):
        pixels.between(date(2018, 3, 1), date(2018, 4, 1))


def _write(folder: Path, **changes: np.ndarray) -> Path:
    shape, time = (
        ("pixel", "time"),
        np.datetime64("2020-01-01", "ns") + np.arange(3) * 86400 * 10**9,
    )
    values = {
        name: (shape, np.ones((2, 3), np.float32))
        for name in (
            "precipitation",
            "air_temperature_2m",
            "specific_humidity_2m",
            "shortwave_down",
            "longwave_down",
        )
    }
    values["smap_soil_moisture_am"] = (
        shape,
        np.array([[0.019, 0.02, 0.3], [0.5, 0.501, np.nan]], np.float32),
    )
    for name in (
        *("sand", "clay", "bulk", "ndvi", "flag_albedo", "flag_roughness"),
        *("latitude", "longitude"),
    ):
        values[name] = ("pixel", np.array([40.0, 30.0]))
    values["time"] = ("time", time)
    for name, value in changes.items():
        values[name] = (values[name][0], value)
    (folder / FILE).parent.mkdir()
    xr.Dataset(values).to_netcdf(folder / FILE)
    return folder


def test_a_target_outside_the_valid_range_is_not_used(tmp_path: Path):
    target = read_pixels(_write(tmp_path)).target
    np.testing.assert_array_equal(np.isfinite(target), [[False, True, True], [True, False, False]])


def test_forcing_with_gaps_is_refused(tmp_path: Path):
    gap = np.array([[1, 1, 1], [1, np.nan, 1]], np.float32)
    with pytest.raises(SamplesError, match=r"shortwave_down .* has gaps"):
        read_pixels(_write(tmp_path, shortwave_down=gap))


def test_missing_days_are_refused(tmp_path: Path):
    days = np.array(["2020-01-01", "2020-01-02", "2020-01-04"], "datetime64[ns]")
    with pytest.raises(SamplesError, match="not consecutive"):
        read_pixels(_write(tmp_path, time=days))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SamplesError, match=r"conus_v4f1\.nc not found"):
        read_pixels(tmp_path)
