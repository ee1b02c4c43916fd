"""Weathers by name."""

from __future__ import annotations

from pathlib import Path

from msm.errors import MsmError
from msm.sandbox.weather.interface import NORTH_AMERICA, WORLD, Weather
from msm.sandbox.weather.replay import ReplayWeather
from msm.sandbox.weather.synthetic import SyntheticWeather

EXTENTS = {"synthetic": NORTH_AMERICA, "global": WORLD}


def load_weather(source: str) -> Weather:
    """Load weather by name.

    Parameters
    ----------
    source
        `synthetic` or `synthetic:SEED` (simulated, of North America), `global` or `global:SEED`
        (the same weather, of the globe), or the path of a table of daily values at points.

    Raises
    ------
    MsmError
        If the source is not one of these.
    """
    kind, _, seed = source.partition(":")
    if kind in EXTENTS and (not seed or seed.isdigit()):
        return SyntheticWeather(int(seed or 0), EXTENTS[kind])
    if Path(source).is_file():
        return ReplayWeather.read(Path(source))
    raise MsmError(
        f"There is no weather {source!r}: use 'synthetic' (North America) or 'global', each with "
        "or without ':SEED', a whole number, or the path of a table such as conus_v4f1.nc."
    )
