"""GLDAS-2.1 Noah, 3-hourly, 0.25 degree, global land north of 60 S, and its land mask."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product

NOAH025_3H_2_1 = Product(load_layout("gldas_noah025_3h_2.1"))
NOAH025_3H_EP_2_1 = Product(load_layout("gldas_noah025_3h_ep_2.1"))
LANDMASK = Product(load_layout("gldas_landmask_025d"))
