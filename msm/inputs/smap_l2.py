"""SPL2SMP_NRT: SMAP radiometer soil moisture hours after the pass, half an orbit, 36 km."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product

SPL2SMP_NRT_107 = Product(load_layout("spl2smp_nrt_107"))
