"""SMAP L4 on the 9 km grid: the 3-hourly means with their forcing, and the analysis updates."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product

SPL4SMGP_008 = Product(load_layout("spl4smgp_008"))
SPL4SMAU_008 = Product(load_layout("spl4smau_008"))
