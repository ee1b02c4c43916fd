"""SMAP retrievals on the cells of a domain, and the newest of them for a later day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from msm.fields.cell_fields import CellFields
from msm.grid.domain import Domain
from msm.products.product import Product
from msm.products.reader_pool import Readers
from msm.products.smap_l3 import VALID_RANGE, good
from msm.sources.granule import Granule, GranuleFile

MORNING = "_am"
"""The 6 h overpass (descending), which the training data are from."""

FIELDS = ("soil_moisture", "retrieval_qual_flag", "surface_flag")
"""Variables that are read from a granule."""

UNITS = {"retrieval": "m3 m-3", "retrieval_age": "days", "retrieval_quality": "1"}
"""Retrieval inputs of a day, and their units."""

Float32 = NDArray[np.float32]


def retrievals_on_cells(
    domain: Domain,
    day: date,
    product: Product,
    file: GranuleFile | None,
    superseded: Sequence[Granule],
    readers: Readers,
) -> CellFields:
    """Place a day's retrievals on the cells.

    Only successful retrievals within the valid range count, over ground that is not water, snow,
    ice or frozen.

    Parameters
    ----------
    domain
        Cells of the retrievals.
    day
        UTC day of the overpasses.
    product
        SPL3SMP_E, on M09.
    file
        Its granule of the day; None where there is none, which is stored and awaited.
    superseded
        Older productions of it, for the lineage.
    readers
        Reading processes.

    Returns
    -------
    CellFields
        `retrieval` (m3 m-3) and `retrieval_quality` (1 recommended, 0 not), NaN where there is no
        retrieval.

    Raises
    ------
    GranuleError
        If the granule cannot be read.
    """
    unflagged = np.zeros(domain.n_cell, bool)
    fields = _empty(("retrieval", "retrieval_quality"), (domain.n_cell,))
    if file is not None:
        names = [name + MORNING for name in FIELDS]
        reading = readers.submit(product, file.path, names, domain.window.slices).result()
        values = domain.from_map(reading.fields[names[0]])
        usable = domain.from_map(good(reading, MORNING, "lenient"))
        usable &= (values >= VALID_RANGE[0]) & (values <= VALID_RANGE[1])
        recommended = domain.from_map(good(reading, MORNING, "recommended"))
        fields["retrieval"][usable] = values[usable]
        fields["retrieval_quality"][usable] = recommended[usable]
    return CellFields(
        mask_sha256=domain.mask_sha256,
        day=day,
        fields=fields,
        units={name: UNITS[name] for name in fields},
        filled=unflagged,
        inputs=(file.used("retrieval"), *(granule.superseded() for granule in superseded))
        if file
        else (),
        lower_tier=unflagged,
        origins={"retrieval": product.id} if file else {},
        awaited=() if file else (product.id,),
    )


def newest_retrievals(
    values: Float32, lag_days: int, window_days: int, quality: Float32 | None = None
) -> dict[str, Float32]:
    """Return the newest available retrieval of every day and cell.

    On day D the days D - lag_days back to D - lag_days - window_days + 1 are available.

    Parameters
    ----------
    values
        Retrievals of consecutive days, shape (n_day, n_cell), m3 m-3; NaN where there is none.
    lag_days
        Age of the youngest available retrieval, at least 1.
    window_days
        Number of available days, at least 1.
    quality
        1 where a retrieval is of recommended quality, 0 where not, shape (n_day, n_cell).

    Returns
    -------
    dict
        `retrieval` (m3 m-3), `retrieval_age` (days) and, with `quality`, `retrieval_quality`, each
        of shape (n_day, n_cell); NaN where no retrieval is available.
    """
    names = [name for name in UNITS if name != "retrieval_quality" or quality is not None]
    found = _empty(names, values.shape)
    for age in range(lag_days, min(lag_days + window_days, len(values))):
        later = {name: field[age:] for name, field in found.items()}
        _take(later, age, values[:-age], None if quality is None else quality[:-age])
    return found


def newest_of_day(stored: Sequence[CellFields], lag_days: int) -> dict[str, Float32]:
    """Return the newest available retrieval of one day, as `newest_retrievals` does.

    Parameters
    ----------
    stored
        Retrievals on the cells of the available days, newest first; at least one.
    lag_days
        Age of the first.

    Returns
    -------
    dict
        `retrieval` (m3 m-3), `retrieval_age` (days) and `retrieval_quality`, shape (n_cell,).
    """
    found = _empty(UNITS, stored[0].filled.shape)
    for age, earlier in enumerate(stored, lag_days):
        _take(found, age, earlier.fields["retrieval"], earlier.fields["retrieval_quality"])
    return found


def _empty(names: Iterable[str], shape: tuple[int, ...]) -> dict[str, Float32]:
    return {name: np.full(shape, np.nan, np.float32) for name in names}


def _take(found: dict[str, Float32], age: int, values: Float32, quality: Float32 | None) -> None:
    """Add retrievals of one age to `found` where it has no younger one; shapes are equal."""
    new = np.isnan(found["retrieval"]) & np.isfinite(values)
    found["retrieval"][new] = values[new]
    found["retrieval_age"][new] = age
    if quality is not None:
        found["retrieval_quality"][new] = quality[new]
