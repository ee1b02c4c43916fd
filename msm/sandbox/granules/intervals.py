"""Values of a granule from hourly weather: instantaneous, or means over a product's intervals.

The means of every product add up to the same day: an hour counts for the interval that it lies in,
the rain before an hour for the interval in which it ends.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.products.layout import BEGINS, Layout, Variable
from msm.sandbox.granules.quantities import is_soil_moisture, quantity, soil_moisture
from msm.sandbox.weather.interface import Fields, Weather

HOUR = timedelta(hours=1)
RAIN = "precipitation"

Array = NDArray[Any]


def hours(variable: Variable, time: datetime, interval: timedelta) -> list[datetime]:
    """Return the hours of weather that a value averages.

    Parameters
    ----------
    variable
        Variable of a layout; its time meaning gives the position of the interval.
    time
        Time of the value.
    interval
        Length of the interval, whole hours.
    """
    if variable.time == "instantaneous":
        return [time]
    begin = time + BEGINS.get(variable.time, 0.0) * interval
    # The weather's rain falls in the hour before its stamp.
    first = begin + HOUR if variable.name == RAIN else begin
    return [first + n * HOUR for n in range(interval // HOUR)]


def granule_fields(
    weather: Weather, layout: Layout, stamp: datetime, lat: Array, lon: Array
) -> Fields:
    """Return the fields of a granule.

    Parameters
    ----------
    weather
        Source of the hours.
    layout
        Layout of a product with granules at fixed times.
    stamp
        Time of the granule.
    lat, lon
        Centres of rows and columns, degrees, shapes (rows,) and (cols,).

    Returns
    -------
    Fields
        By the layout's variable names in canonical units, (rows, cols), or (times, rows, cols)
        where a granule has several times. Fields that the weather does not have are absent.
    """
    soil = [v.name for v in layout.variables if is_soil_moisture(v.name)]
    wanted: dict[datetime, list[tuple[str, int, float]]] = defaultdict(list)
    for variable in layout.variables:
        for place in range(0 if variable.name in soil else layout.times):
            used = hours(variable, stamp + place * layout.interval, layout.interval)
            for hour in used:
                wanted[hour].append((variable.name, place, 1 / len(used)))
    # Hour by hour, since a day of the globe takes gigabytes of memory.
    sums: dict[str, dict[int, Array]] = defaultdict(dict)
    for hour in sorted(wanted):
        then = weather.hour(hour, lat, lon)
        for name, place, share in wanted[hour]:
            value = quantity(name, then)
            if value is not None:
                sums[name][place] = share * value + sums[name].get(place, 0.0)
    fields = {
        name: np.stack([values[place] for place in range(layout.times)])
        if layout.times > 1
        else values[0]
        for name, values in sums.items()
    }
    if soil:
        top = weather.soil_water(stamp.date(), lat, lon)
        fields |= {name: soil_moisture(name, top) for name in soil}
    return fields
