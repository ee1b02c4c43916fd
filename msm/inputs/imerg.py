"""GPM IMERG precipitation, 0.1 degree: daily Early, Late and Final runs, and an old half hour."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product

EARLY_07 = Product(load_layout("gpm_3imergde_07"))
LATE_07 = Product(load_layout("gpm_3imergdl_07"))
FINAL_07 = Product(load_layout("gpm_3imergdf_07"))
HALF_HOUR_03 = Product(load_layout("gpm_3imerghh_03"))
