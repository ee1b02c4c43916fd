"""Samples to learn from: buckets that fill with rain and drain the faster the sandier they are."""

import tomllib

import numpy as np

from msm.training.data.datasets import Data
from msm.training.data.samples import Samples
from msm.training.data.stations import Stations
from msm.training.fitting.recipe import Recipe, WrittenRecipe

N_STATION, N_CELL, N_DAY = 30, 16, 800
FIRST = np.datetime64("2014-01-01")


def weather(
    n: int, n_day: int, seed: int, seen: float = 0.5
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return forcing, sand and soil moisture of n places, which a share of the days has."""
    rng = np.random.default_rng(seed)
    rain = rng.exponential(8, (n, n_day)) * (rng.random((n, n_day)) < 0.25)
    sand = rng.uniform(0.2, 0.7, n)
    water, level = np.empty((n, n_day)), np.full(n, 0.2)
    for day in range(n_day):
        level = np.clip(level + 0.006 * rain[:, day], 0.05, 0.45)
        level = 0.05 + (level - 0.05) * (0.97 - 0.2 * sand)
        water[:, day] = level
    water[rng.random((n, n_day)) < 1 - seen] = np.nan
    forcing = {
        "precipitation": rain.astype(np.float32),
        "air_temperature": rng.normal(285, 8, (n, n_day)).astype(np.float32),
    }
    return forcing, sand.astype(np.float32), water.astype(np.float32)


def stations(n: int = N_STATION, n_day: int = N_DAY, seed: int = 0) -> Stations:
    """Return stations a hundred kilometres and more apart, in three states."""
    forcing, sand, water = weather(n, n_day, seed)
    number = np.arange(n)
    return Stations(
        wban=np.array([f"{k:05d}" for k in number]),
        names=np.array([f"XX_Place_{k}" for k in number]),
        state=np.array([("KS", "OR", "GA")[k % 3] for k in number]),
        lat=30.0 + 2.0 * (number // 6),
        lon=-120.0 + 3.0 * (number % 6),
        elevation=np.zeros(n),
        days=FIRST + np.arange(n_day),
        forcing=forcing,
        observed=np.ones((n, n_day), bool),
        statics={"sand": sand},
        target=water,
    )


def cells(n: int = N_CELL, n_day: int = N_DAY, seed: int = 1) -> Samples:
    """Return satellite cells, which know more of their weather and see 0.03 more water."""
    forcing, sand, water = weather(n, n_day, seed)
    rng = np.random.default_rng(seed)
    forcing |= {
        name: rng.normal(mean, spread, (n, n_day)).astype(np.float32)
        for name, mean, spread in (
            ("longwave_down", 330, 40),
            ("specific_humidity", 0.008, 0.002),
            ("shortwave_down", 200, 50),
        )
    }
    return Samples(
        lat=np.linspace(30, 45, n),
        lon=np.linspace(-120, -80, n),
        days=FIRST + np.arange(n_day),
        forcing=forcing,
        statics={"sand": sand},
        target=water + np.float32(0.03),
    )


def data() -> Data:
    """Return both."""
    return Data(stations(), cells(), "0" * 64)


RECIPE = """
name = "tiny"
version = "1"
licence = "Apache-2.0"
forcing = ["precipitation", "air_temperature", "longwave_down"]
statics = ["sand"]
optional = ["longwave_down"]
log1p = ["precipitation"]
published = "ground"
hidden_size = 12
members = 2
dropout = 0.1
source_dropout = 0.2
steps = 150
window_days = 60
warm_up_days = 20
learning_rate = 0.02
weight_decay = 0.0
seed = 5

[ground]
first = 2014-01-01
last = 2015-12-31
windows = 8
share = 0.7
level_penalty = 0.1

[satellite]
first = 2014-01-01
last = 2014-12-31
windows = 6
share = 0.3
"""


GROUND_ONLY = {
    "forcing": ["precipitation", "air_temperature"],
    "optional": [],
    "satellite": None,
}
"""Changes to the recipe that leave the satellite out."""


def recipe(**changes: object) -> WrittenRecipe:
    """Return the recipe with some fields changed; those of a stream are given as a dict."""
    fields = tomllib.loads(RECIPE)
    for name, value in changes.items():
        if isinstance(value, dict):
            fields[name] |= value
        elif value is None:
            del fields[name]
        else:
            fields[name] = value
    return WrittenRecipe(Recipe.model_validate(fields), repr(fields))
