"""The sources of weather, by name."""

from __future__ import annotations

from pathlib import Path

from msm.errors import MsmError
from msm.sandbox.replay import ReplayWeather
from msm.sandbox.synthetic import SyntheticWeather
from msm.sandbox.weather import Weather


def load_weather(source: str) -> Weather:
    """Load weather by name.

    Parameters
    ----------
    source
        `synthetic`, `synthetic:SEED`, or the path of a table of daily values at points.

    Raises
    ------
    MsmError
        If it is neither.
    """
    kind, _, seed = source.partition(":")
    if kind == "synthetic" and (not seed or seed.isdigit()):
        return SyntheticWeather(int(seed or 0))
    if Path(source).is_file():
        return ReplayWeather.read(Path(source))
    raise MsmError(
        f"There is no weather {source!r}: use 'synthetic', 'synthetic:SEED' with a whole number, "
        "or the path of a table such as conus_v4f1.nc."
    )
