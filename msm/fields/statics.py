"""Static attributes of the cells of a domain: soil from SPL4SMLM, vegetation from SMAP L3."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.fields.cell_fields import CellFields
from msm.fields.gap_filling import fill_from_neighbours
from msm.grid.domain import Domain
from msm.products.product import Product
from msm.products.reader_pool import Readers
from msm.sources.granule import GranuleFile

SOIL = ("sand", "clay")
VEGETATION = "vegetation_water_content"


def static_attributes(
    domain: Domain,
    constants: Product,
    constants_file: GranuleFile,
    satellite: Product,
    satellite_files: Sequence[GranuleFile],
    readers: Readers,
) -> CellFields:
    """Compute the static attributes of a domain.

    Parameters
    ----------
    domain
        Cells of the attributes.
    constants, constants_file
        SPL4SMLM and its granule, on M09: sand and clay as fractions.
    satellite, satellite_files
        SPL3SMP_E and some days of it, on M09; one repeat cycle of eight days observes every cell.
        Their mean vegetation water content is taken; where it is NaN, the flag of dense
        vegetation is not set.
    readers
        Reading processes.

    Returns
    -------
    CellFields
        `sand`, `clay` (1) and `vegetation_water_content` (kg m-2).

    Raises
    ------
    MsmError
        If a soil fraction is outside 0 to 1, or empty over the entire domain.
    """
    window = domain.window.slices
    reading = readers.submit(constants, constants_file.path, SOIL, window).result()
    soil = {name: domain.from_map(reading.fields[name]) for name in SOIL}
    for name, field in soil.items():
        there = field[np.isfinite(field)]
        if there.size == 0 or there.min() < 0 or there.max() > 1:
            raise MsmError(
                f"{name} in {constants_file.granule.name} is not a fraction of 0 to 1 over "
                f"{domain.name}: the granule is wrong; remove it and run again."
            )
    fields, filled = fill_from_neighbours(domain, soil)
    halves = (VEGETATION + "_am", VEGETATION + "_pm")
    granules = [(file.path, halves) for file in satellite_files]
    passes = [
        domain.from_map(field)
        for reading in readers.each(satellite, granules, window)
        for field in reading.fields.values()
    ]
    fields[VEGETATION] = _mean(passes, domain.n_cell)
    return CellFields(
        mask_sha256=domain.mask_sha256,
        day=None,
        fields=fields,
        units={"sand": "1", "clay": "1", VEGETATION: "kg m-2"},
        filled=filled,
        lower_tier=np.zeros(domain.n_cell, bool),
        inputs=(
            constants_file.used("statics"),
            *(file.used("statics") for file in satellite_files),
        ),
    )


def _mean(passes: list[NDArray[np.float32]], n_cell: int) -> NDArray[np.float32]:
    if not passes:
        return np.full(n_cell, np.nan, np.float32)
    with warnings.catch_warnings():
        # The mean of a cell that no overpass observed is NaN.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(np.stack(passes), axis=0).astype(np.float32)
