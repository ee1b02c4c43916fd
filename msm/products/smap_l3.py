"""Quality masking of SMAP L3 radiometer soil moisture, SPL3SMP_E (9 km) and SPL3SMP (36 km)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from msm.products.product import Reading

Rule = Literal["recommended", "lenient"]

FLAG_FILL = 65534
NOT_RECOMMENDED, NOT_ATTEMPTED, NOT_SUCCESSFUL = 1, 2, 4
"""Bits of retrieval_qual_flag; a set bit lowers the quality."""

SURFACE_UNFIT = (1 << 0) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 8)
"""Bits of surface_flag that the lenient rule excludes.

Static water, snow, permanent ice, frozen ground by radiometer and by model temperature.
"""

VALID_RANGE = (0.02, 0.50)
"""Valid range of the passive retrieval, m3 m-3; values outside are neither target nor input."""

MAX_SOIL_MOISTURE = 0.6
"""Largest plausible soil moisture, m3 m-3; larger retrievals occur (0.94 in a real granule)."""


def good(reading: Reading, half_orbit: str, rule: Rule) -> NDArray[np.bool_]:
    """Return which retrievals may be used.

    Parameters
    ----------
    reading
        A granule of SPL3SMP or SPL3SMP_E.
    half_orbit
        `_am`, `_pm`, or the empty string for the early layout with one group.
    rule
        `recommended`: the provider's recommendation (bit 0 of retrieval_qual_flag).
        `lenient`: also successful retrievals over ground that is not water, snow, ice or frozen,
        which adds forests and crops.

    Returns
    -------
    ndarray of bool
        Shape (rows, cols) of the product's grid.
    """
    soil_moisture = reading.fields["soil_moisture" + half_orbit]
    quality = reading.fields["retrieval_qual_flag" + half_orbit]
    surface = reading.fields["surface_flag" + half_orbit]
    # Bit 0 of the fill is clear: unmasked, it would mean "recommended".
    there = (quality != FLAG_FILL) & (soil_moisture > 0) & (soil_moisture <= MAX_SOIL_MOISTURE)
    if rule == "recommended":
        return there & (quality & NOT_RECOMMENDED == 0)
    attempted = quality & (NOT_ATTEMPTED | NOT_SUCCESSFUL) == 0
    return there & attempted & (surface != FLAG_FILL) & (surface & SURFACE_UNFIT == 0)
