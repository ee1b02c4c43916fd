"""Wind speed from its components, for the products that store those."""

from __future__ import annotations

import numpy as np

from msm.inputs.product import Derived, Fields

WIND_SPEED = Derived("wind_speed", "m s-1", of="wind_east")


def wind_speed(fields: Fields) -> Fields:
    """Replace the components of the wind by its speed."""
    east, north = fields.pop("wind_east", None), fields.pop("wind_north", None)
    if east is not None and north is not None:
        # Speed is taken time by time: the mean of the components would lose what turns around.
        fields["wind_speed"] = np.hypot(east, north)
    return fields
