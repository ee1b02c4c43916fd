"""SMAP L3 radiometer soil moisture: SPL3SMP_E (9 km) and SPL3SMP (36 km), daily composites."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msm.products.layout import load_layout
from msm.products.product import Product, Reading

SPL3SMP_E_006 = Product(load_layout("spl3smp_e_006"))
SPL3SMP_009 = Product(load_layout("spl3smp_009"))
SPL3SMP_003 = Product(load_layout("spl3smp_003"))

Rule = Literal["recommended", "lenient"]

FLAG_FILL = 65534
NOT_RECOMMENDED, NOT_ATTEMPTED, NOT_SUCCESSFUL = 1, 2, 4
"""Bits of retrieval_qual_flag; a set bit is bad news."""

SURFACE_UNFIT = (1 << 0) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 8)
"""Bits of surface_flag that the lenient rule still refuses.

Static water, snow, permanent ice, frozen ground by radiometer and by model temperature.
"""

VALID_RANGE = (0.02, 0.50)
"""Valid range of the passive retrieval, m3 m-3: what lies outside is neither target nor input."""

MAX_SOIL_MOISTURE = 0.6
"""Retrievals above it occur (0.94 in a real granule) and are no soil moisture, m3 m-3."""


def good(reading: Reading, half_orbit: str, rule: Rule) -> NDArray[np.bool_]:
    """Tell which retrievals may be used.

    Parameters
    ----------
    reading
        A granule of SPL3SMP or SPL3SMP_E.
    half_orbit
        `_am`, `_pm`, or the empty string for the early layout with one group.
    rule
        `recommended`: the provider's own recommendation (bit 0 of retrieval_qual_flag).
        `lenient`: also where a retrieval was attempted and succeeded over ground that is neither
        water, snow, ice nor frozen, for the cover of forests and crops in training.

    Returns
    -------
    ndarray of bool
        Shape (rows, cols) of the product's grid.
    """
    soil_moisture = reading.fields["soil_moisture" + half_orbit]
    quality = reading.fields["retrieval_qual_flag" + half_orbit]
    surface = reading.fields["surface_flag" + half_orbit]
    # The fill has bit 0 clear: unmasked, it would read as "recommended".
    there = (quality != FLAG_FILL) & (soil_moisture > 0) & (soil_moisture <= MAX_SOIL_MOISTURE)
    if rule == "recommended":
        return there & (quality & NOT_RECOMMENDED == 0)
    attempted = quality & (NOT_ATTEMPTED | NOT_SUCCESSFUL) == 0
    return there & attempted & (surface != FLAG_FILL) & (surface & SURFACE_UNFIT == 0)
