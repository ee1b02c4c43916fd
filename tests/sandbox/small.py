"""Weather of a few cells, for small and fast granules."""

from datetime import datetime
from typing import Any

from numpy.typing import NDArray

from msm.sandbox.weather.interface import Extent, Fields
from msm.sandbox.weather.synthetic import SyntheticWeather


class SmallWeather(SyntheticWeather):
    """A place that both half-orbits of 2024-07-20 observe, with different rain each hour."""

    extent = Extent(38.0, 40.0, -92.0, -89.0)

    def __init__(self, seed: int) -> None:
        super().__init__(seed, self.extent)

    def hour(self, stamp: datetime, lat: NDArray[Any], lon: NDArray[Any]) -> Fields:
        """Return the forcing at a UTC hour; see `Weather.hour`."""
        fields = super().hour(stamp, lat, lon)
        return {**fields, "precipitation": fields["precipitation"] + 1.0 + stamp.hour**2 % 7}
