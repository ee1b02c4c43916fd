"""SMAP retrievals on the cells of a domain, and what a later day knows of them."""

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
"""The half-orbits of 6 h: the training data are of these."""

FIELDS = ("soil_moisture", "retrieval_qual_flag", "surface_flag")
"""What is read of a granule."""

UNITS = {"retrieval": "m3 m-3", "retrieval_age": "days", "retrieval_quality": "1"}
"""What a later day is given, and in which unit."""

Float32 = NDArray[np.float32]


def make(
    domain: Domain,
    day: date,
    product: Product,
    file: GranuleFile | None,
    superseded: Sequence[Granule],
    readers: Readers,
) -> CellFields:
    """Bring a day's retrievals onto the cells.

    Taken are those that were attempted and succeeded, within the valid range, over ground that is
    neither water, snow, ice nor frozen.

    Parameters
    ----------
    domain
        Where they are wanted.
    day
        UTC day of the half-orbits.
    product
        SPL3SMP_E, on M09.
    file
        Its granule of the day, None where there is none: that is kept as well, and awaited.
    superseded
        Older productions of that, for the lineage.
    readers
        Processes that read.

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
    nothing = np.zeros(domain.n_cell, bool)
    fields = _nowhere(("retrieval", "retrieval_quality"), (domain.n_cell,))
    if file is not None:
        names = [name + MORNING for name in FIELDS]
        reading = readers.submit(product, file.path, names, domain.window.slices).result()
        values = domain.from_map(reading.fields[names[0]])
        taken = domain.from_map(good(reading, MORNING, "lenient"))
        taken &= (values >= VALID_RANGE[0]) & (values <= VALID_RANGE[1])
        recommended = domain.from_map(good(reading, MORNING, "recommended"))
        fields["retrieval"][taken] = values[taken]
        fields["retrieval_quality"][taken] = recommended[taken]
    return CellFields(
        mask_sha256=domain.mask_sha256,
        day=day,
        fields=fields,
        units={name: UNITS[name] for name in fields},
        filled=nothing,
        inputs=(file.used("retrieval"), *(granule.superseded() for granule in superseded))
        if file
        else (),
        lower_tier=nothing,
        origins={"retrieval": product.id} if file else {},
        awaited=() if file else (product.id,),
    )


def newest_retrievals(
    values: Float32, lag_days: int, window_days: int, quality: Float32 | None = None
) -> dict[str, Float32]:
    """Give every day the newest retrieval that it may know of.

    For day D these are of the days D - lag_days back to D - lag_days - window_days + 1.

    Parameters
    ----------
    values
        Retrievals of consecutive days, shape (n_day, n_cell), m3 m-3; NaN where there is none.
    lag_days
        Age of the youngest that a day knows of, at least 1.
    window_days
        So many days are looked through, at least 1.
    quality
        1 where a retrieval is of recommended quality, 0 where not, shape (n_day, n_cell).

    Returns
    -------
    dict
        `retrieval` (m3 m-3), `retrieval_age` (days) and, with `quality`, `retrieval_quality`, each
        of shape (n_day, n_cell); NaN where there is no retrieval, nor a day before the first.
    """
    names = [name for name in UNITS if name != "retrieval_quality" or quality is not None]
    found = _nowhere(names, values.shape)
    for age in range(lag_days, min(lag_days + window_days, len(values))):
        later = {name: field[age:] for name, field in found.items()}
        _take(later, age, values[:-age], None if quality is None else quality[:-age])
    return found


def newest_of_day(stored: Sequence[CellFields], lag_days: int) -> dict[str, Float32]:
    """Give one day the newest retrieval that it may know of, as `newest_retrievals` does.

    Parameters
    ----------
    stored
        What `make` made of the days that it may know of, newest first; at least one.
    lag_days
        Age of the first of them.

    Returns
    -------
    dict
        `retrieval` (m3 m-3), `retrieval_age` (days) and `retrieval_quality`, shape (n_cell,).
    """
    found = _nowhere(UNITS, stored[0].filled.shape)
    for age, known in enumerate(stored, lag_days):
        _take(found, age, known.fields["retrieval"], known.fields["retrieval_quality"])
    return found


def _nowhere(names: Iterable[str], shape: tuple[int, ...]) -> dict[str, Float32]:
    return {name: np.full(shape, np.nan, np.float32) for name in names}


def _take(found: dict[str, Float32], age: int, values: Float32, quality: Float32 | None) -> None:
    """Take retrievals of one age where no younger one was `found`; all arrays are of one shape."""
    new = np.isnan(found["retrieval"]) & np.isfinite(values)
    found["retrieval"][new] = values[new]
    found["retrieval_age"][new] = age
    if quality is not None:
        found["retrieval_quality"][new] = quality[new]
