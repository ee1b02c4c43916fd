"""Simulated SMAP retrievals: soil moisture with noise and flags, on the swaths."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.grid.ease import EaseGrid
from msm.sandbox.weather.air import FREEZING
from msm.sandbox.weather.interface import FLAG_FILL, Extent, Fields, Half, land_share, region
from msm.sandbox.weather.orbit import seen

Array = NDArray[Any]

RETRIEVAL_NOISE = {"M36": 0.02, "M09": 0.03}
"""Standard deviation of a retrieval's error, m3 m-3."""

# Bits of SMAP's flags, NSIDC user guide.
NOT_RECOMMENDED, NO_RETRIEVAL, NO_FREEZE_THAW = 1, 2 | 4, 8
WATER_BODY, FROZEN_GROUND, DENSE_VEGETATION = 1, 128 | 256, 1024


def retrievals(
    seed: int,
    day: date,
    grid: EaseGrid,
    half: Half,
    extent: Extent,
    *,
    water: Array,
    temperature: Array,
    vegetation: Array,
) -> Fields:
    """Return a day's retrievals of the simulated ground.

    Parameters
    ----------
    seed
        Seed of the noise.
    day
        UTC day.
    grid
        M36 or M09; the fields are on its region of the extent, shape (rows, cols).
    half
        Descending (am) or ascending (pm) half-orbits.
    extent
        Part of the world that the weather covers.
    water
        Water in the top soil, m3 m-3; all fields have the region's shape.
    temperature
        Daily temperature of the air, K.
    vegetation
        Vegetation water content, kg m-2.

    Returns
    -------
    Fields
        See `Weather.satellite`.
    """
    rows, cols = region(grid, extent)
    lat, lon = grid.lat[rows], grid.lon[cols]
    seen_here = seen(day, half, lat, lon)
    land = land_share(grid, extent)
    morning_cold = 4.0 if half == "am" else -2.0
    frozen = temperature - morning_cold < FREEZING
    chance = np.random.default_rng([seed, day.toordinal(), grid.rows, 0 if half == "am" else 1])
    noise = chance.normal(0.0, RETRIEVAL_NOISE[grid.name], land.shape)
    # Dense vegetation hides the soil: the retrieval gets noisier.
    noise *= 1.0 + (vegetation / 5.0).clip(max=2.0)
    retrieved = (water + noise).clip(0.02, 0.6)

    surface = np.zeros(land.shape, np.uint16)
    surface[land < 0.95] |= WATER_BODY
    surface[frozen] |= FROZEN_GROUND
    surface[vegetation > 5.0] |= DENSE_VEGETATION
    quality = np.where(surface > 0, NOT_RECOMMENDED, 0).astype(np.uint16)
    skipped = frozen | (land < 0.5)
    quality[skipped] |= NO_RETRIEVAL
    # Freeze and thaw are distinguished north of 45 degrees only.
    quality[(lat < 45.0)[:, None] & ~skipped] |= NO_FREEZE_THAW
    nothing = ~seen_here | (land == 0.0)
    surface[nothing] = quality[nothing] = FLAG_FILL
    return {
        "soil_moisture": np.where(nothing | skipped, np.nan, retrieved),
        "vegetation_water_content": np.where(nothing | skipped, np.nan, vegetation),
        "retrieval_qual_flag": quality,
        "surface_flag": surface,
    }
