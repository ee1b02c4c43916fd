"""SPL4SMLM: the time-invariant constants of the SMAP L4 land model, 9 km EASE-2."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product

SPL4SMLM_008 = Product(load_layout("spl4smlm_008"))
