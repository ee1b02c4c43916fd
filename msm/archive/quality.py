"""The quality flag of each cell."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

FREEZING_POINT = 273.15
"""Daily mean air temperature below which a cell is flagged as freezing, K."""
DENSE_VEGETATION = 5.0
"""Vegetation water content above which the retrieval is hardly sensitive to the soil, kg m-2.

SMAP's limit for retrievals of recommended quality.
"""
MOSTLY_LAND = 0.9
"""Land fraction below which a cell is flagged for water."""
SPIN_UP_DAYS = 365
"""Age of the network's state, in days, below which it is still spinning up."""


class Quality(IntFlag):
    """Bits of `quality_flag`; their values are part of the published format and never change."""

    SPIN_UP = 1
    """The network's state is younger than `SPIN_UP_DAYS`."""
    FREEZING = 2
    """Daily mean air temperature below `FREEZING_POINT`."""
    DENSE_VEGETATION = 4
    """Vegetation water content above `DENSE_VEGETATION`."""
    WATER_OR_COAST = 8
    """Land fraction below `MOSTLY_LAND`."""
    FORCING_FILLED = 16
    """Part of the day's forcing was filled."""
    LOWER_TIER = 32
    """A source other than the first choice was used."""
    OUTSIDE_TRAINING = 64
    """An input lies outside the range of the training data."""


ALL_BITS = int(sum(Quality))

FLAG_ATTRIBUTES = {
    "flag_masks": np.array([int(bit) for bit in Quality], dtype=np.uint8),
    "flag_meanings": " ".join(bit.name.lower() for bit in Quality if bit.name),
}
"""The CF attributes of `quality_flag`."""

CellFlag = NDArray[np.bool_] | bool
"""A condition on each cell, shape (n_cell,), or one for all of them."""


def quality_flag(
    *,
    land_fraction: NDArray[np.float32],
    air_temperature: NDArray[np.float32],
    vegetation_water_content: NDArray[np.float32] | None,
    state_age: int,
    forcing_filled: CellFlag = False,
    lower_tier: CellFlag = False,
    outside_training: CellFlag = False,
) -> NDArray[np.uint8]:
    """Combine the conditions of each cell into its quality flag.

    Parameters
    ----------
    land_fraction
        Share of the cell that is land, 0 to 1, shape (n_cell,).
    air_temperature
        Daily mean, K, shape (n_cell,).
    vegetation_water_content
        kg m-2, shape (n_cell,); None where no source provides it; then the bit is not set.
    state_age
        Days since the cold start of the state that the day started from.
    forcing_filled, lower_tier, outside_training
        Conditions found when the inputs were prepared.

    Returns
    -------
    numpy.ndarray
        `Quality` bits as uint8, shape (n_cell,).
    """
    conditions: dict[Quality, CellFlag] = {
        Quality.SPIN_UP: state_age < SPIN_UP_DAYS,
        Quality.FREEZING: air_temperature < FREEZING_POINT,
        Quality.DENSE_VEGETATION: vegetation_water_content is not None
        and vegetation_water_content > DENSE_VEGETATION,
        Quality.WATER_OR_COAST: land_fraction < MOSTLY_LAND,
        Quality.FORCING_FILLED: forcing_filled,
        Quality.LOWER_TIER: lower_tier,
        Quality.OUTSIDE_TRAINING: outside_training,
    }
    flag = np.zeros(land_fraction.shape, dtype=np.uint8)
    for bit, condition in conditions.items():
        flag |= np.where(condition, np.uint8(bit), np.uint8(0))
    return flag


def meanings(flag: int) -> tuple[str, ...]:
    """Return the names of the bits that are set in one flag, in order of their value."""
    return tuple(bit.name.lower() for bit in Quality if bit & flag and bit.name)
