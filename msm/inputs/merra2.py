"""MERRA-2 hourly means, 0.5 by 0.625 degree, global, a day in one granule."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product
from msm.inputs.wind import WIND_SPEED, wind_speed

M2T1NXSLV = Product(load_layout("m2t1nxslv_5.12.4"), wind_speed, (WIND_SPEED,))
M2T1NXFLX = Product(load_layout("m2t1nxflx_5.12.4"))
M2T1NXRAD = Product(load_layout("m2t1nxrad_5.12.4"))
