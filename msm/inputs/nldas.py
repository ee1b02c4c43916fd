"""NLDAS-2 primary forcing, hourly, 0.125 degree, North America from 25 to 53 N."""

from __future__ import annotations

import numpy as np

from msm.inputs.layout import load_layout
from msm.inputs.product import Fields, Product


def _wind_speed(fields: Fields) -> Fields:
    east, north = fields.pop("wind_east", None), fields.pop("wind_north", None)
    if east is not None and north is not None:
        # Speed is taken hour by hour: the mean of the components would lose what turns around.
        fields["wind_speed"] = np.hypot(east, north)
    return fields


def _product(layout: str) -> Product:
    return Product(load_layout(layout), _wind_speed, (("wind_speed", "m s-1"),))


FORA0125_H_2_0 = _product("nldas_fora0125_h_2.0")
FORA0125_H_002 = _product("nldas_fora0125_h_002")
