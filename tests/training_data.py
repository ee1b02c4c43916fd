"""Training data of a made-up network, and recipes that are fitted in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tests.training.buckets import weather

N_STATION = 12

RECIPE = """
name = "tiny"
version = "{version}"
licence = "Apache-2.0"
forcing = ["precipitation", "air_temperature"]
statics = ["measured_sand"]
optional = ["measured_sand"]
log1p = ["precipitation"]
published = "ground"
hidden_size = 8
members = 2
dropout = 0.0
steps = {steps}
window_days = 60
warm_up_days = 20
learning_rate = 0.02
weight_decay = 0.0
seed = 1

[ground]
first = 2021-01-01
last = 2022-12-31
windows = 12
share = 1.0
"""


def write_recipe(folder: Path, version: str = "1", steps: int = 60) -> Path:
    """Write a recipe; with one step it learns nothing."""
    path = folder / f"tiny-{version}.toml"
    path.write_text(RECIPE.format(version=version, steps=steps))
    return path


def write_training_data(folder: Path) -> Path:
    """Write stations where buckets fill with rain and drain the faster the sandier they are."""
    rng = np.random.default_rng(0)
    days = np.arange("2021-01-01", "2023-01-01", dtype="datetime64[D]")
    shape = N_STATION, days.size
    forcing, sand, water = weather(*shape, seed=0, seen=1.0)
    wban = [f"{number:05d}" for number in range(1, N_STATION + 1)]
    stations = pd.DataFrame(
        {
            "wban": wban,
            "station": [f"KS_Town_{number}_N" for number in range(N_STATION)],
            "state": "KS",
            "lat": np.linspace(30, 45, N_STATION),
            "lon": np.linspace(-118, -80, N_STATION),
            "elevation_m": 200.0,
            "sand_5cm_percent": 100 * sand,
            "clay_5cm_percent": np.linspace(10, 25, N_STATION),
        }
    )
    daily = pd.DataFrame(
        {
            "wban": np.repeat(wban, days.size),
            "date": np.tile(days, N_STATION),
            "t_avg_c": rng.uniform(2, 28, shape).ravel(),
            "precipitation_mm": forcing["precipitation"].ravel(),
            "solar_mj_m2": rng.uniform(5, 25, shape).ravel(),
            "rh_avg_percent": rng.uniform(30, 90, shape).ravel(),
            "soil_moisture_5cm": water.ravel(),
        }
    )
    (folder / "uscrn").mkdir(parents=True)
    stations.to_csv(folder / "uscrn" / "stations.csv", index=False)
    daily.to_parquet(folder / "uscrn" / "daily.parquet")
    _write_cells(folder / "conus_pixels")
    return folder


def _write_cells(folder: Path) -> None:
    """Write the satellite's file, from which the recipes here do not learn."""
    shape = ("pixel", "time"), np.full((2, 3), 0.25, np.float32)
    names = (
        *("precipitation", "air_temperature_2m", "specific_humidity_2m"),
        *("shortwave_down", "longwave_down", "smap_soil_moisture_am"),
    )
    places = ("pixel", np.array([40.0, 41.0]))
    attributes = "sand", "clay", "bulk", "ndvi", "flag_albedo", "flag_roughness"
    days = np.arange("2021-01-01", "2021-01-04", dtype="datetime64[D]").astype("datetime64[ns]")
    folder.mkdir()
    xr.Dataset(
        {
            **dict.fromkeys(names, shape),
            **dict.fromkeys((*attributes, "latitude", "longitude"), places),
            "time": ("time", days),
        }
    ).to_netcdf(folder / "conus_v4f1.nc")
