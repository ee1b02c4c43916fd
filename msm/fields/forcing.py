"""A day's granules become daily forcing on the cells of a domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.fields.cell_fields import CellFields, fill_from_neighbours
from msm.grid.domain import Domain
from msm.grid.regrid import LatLonGrid, regrid, weights
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers
from msm.sources.granule import Granule, GranuleFile
from msm.sources.tiers import Choice

PLAUSIBLE = {
    "precipitation": (0.0, 2000.0),
    "air_temperature": (180.0, 340.0),
    # Slightly negative humidity occurs: -0.0003 over the Sahara in a real granule of GLDAS.
    "specific_humidity": (-0.001, 0.06),
    "shortwave_down": (0.0, 600.0),
    "longwave_down": (30.0, 700.0),
    "surface_pressure": (40000.0, 112000.0),
    "wind_speed": (0.0, 90.0),
    "air_temperature_lowest_level": (180.0, 340.0),
    "specific_humidity_lowest_level": (-0.001, 0.06),
    "wind_speed_lowest_level": (0.0, 120.0),
    "longwave_absorbed": (30.0, 700.0),
}
"""Daily values that weather on Earth stays within; wider than any record, in canonical units."""


class SourceError(MsmError):
    """A product's granules of a day cannot be made into forcing; the next source may do."""

    def __init__(self, product: Product, sentence: str) -> None:
        super().__init__(sentence)
        self.product = product


def missing_stamps(product: Product, day: date, granules: Iterable[Granule]) -> list[str]:
    """List the stamps that a complete day of a product lacks, ISO 8601."""
    there = {granule.time for granule in granules}
    lacking = [t for t in product.layout.stamps(day) if t not in there]
    return [t.strftime("%Y-%m-%dT%H:%MZ" if t.minute else "%Y-%m-%dT%HZ") for t in lacking]


def make(
    domain: Domain,
    day: date,
    choice: Choice,
    granules: Sequence[GranuleFile],
    superseded: Sequence[Granule],
    readers: Readers,
) -> CellFields:
    """Make a day's forcing from its granules.

    Parameters
    ----------
    domain
        Where the forcing is wanted.
    day
        UTC day.
    choice
        Which product gives which variable.
    granules
        The chosen granule of each stamp of each product in the choice.
    superseded
        Older productions of them, for the lineage.
    readers
        Processes that read.

    Returns
    -------
    CellFields
        Canonical names and units; cells without a source within reach are NaN.

    Raises
    ------
    SourceError
        If a product's granules cannot be read, a required field is empty over its cells or holds
        values that no weather has.
    """
    values: dict[str, NDArray[np.float32]] = {}
    units: dict[str, str] = {}
    origins: dict[str, list[str]] = {}
    for product in choice.products:
        found = of_product(domain, product, day, granules, readers)
        for share in choice.shares:
            if share.product is not product or share.field not in found:
                continue
            field = values.setdefault(share.variable, np.full(domain.n_cell, np.nan, np.float32))
            field[share.cells] = found[share.field][share.cells]
            units[share.variable] = product.units(share.field)
            stand_in = f" ({share.field})" if share.field != share.variable else ""
            origins.setdefault(share.variable, []).append(product.id + stand_in)
    fields, filled = fill_from_neighbours(domain, values)
    return CellFields(
        mask_sha256=domain.mask_sha256,
        day=day,
        fields=fields,
        units=units,
        filled=filled,
        inputs=(
            *(file.used("forcing") for file in granules),
            *(granule.superseded() for granule in superseded),
        ),
        lower_tier=choice.lower_tier,
        origins={name: ", ".join(ids) for name, ids in origins.items()},
        awaited=choice.awaited,
    )


def of_product(
    domain: Domain,
    product: Product,
    day: date,
    granules: Sequence[GranuleFile],
    readers: Readers,
) -> dict[str, NDArray[np.float32]]:
    """Bring one product's fields of a day onto the cells, NaN where it has no value.

    Each variable is averaged over exactly the intervals inside the day, on the source grid, where
    a cell that lacks one of them has no value for the day, and then regridded conservatively: the
    average commutes with the regridding and 24 fields become one. A source on the M09 grid is
    only indexed.

    Raises
    ------
    SourceError
        If a stamp has no granule, a granule cannot be read, or a field is not what weather is.
    """
    by_time = {
        file.granule.time: file
        for file in granules
        if (file.granule.product, file.granule.version)
        == (product.layout.product, product.layout.version)
    }
    lacking = missing_stamps(product, day, [file.granule for file in by_time.values()])
    if lacking:
        raise SourceError(product, incomplete(product, day, lacking))
    wanted = [v.name for v in product.layout.variables if v.use == "forcing"]
    paths = [by_time[stamp].path for stamp in product.layout.stamps(day)]
    try:
        values = mean_on_cells(domain, product, day, wanted, paths, readers)
    except GranuleError as error:
        raise SourceError(product, str(error)) from error
    return _checked(domain, product, day, values)


def incomplete(product: Product, day: date, lacking: Sequence[str]) -> str:
    """Say which stamps of a day are missing and what to do."""
    wait = product.layout.latency.retry_days
    listed = ", ".join(lacking[:4]) + (", ..." if len(lacking) > 4 else "")
    return (
        f"{product.id} of {day} lacks {len(lacking)} of {len(product.layout.stamps(day))} granules "
        f"({listed}): they come up to {wait:.0f} days late, run again; what is not there after "
        f"{day + timedelta(days=wait)} is a gap of the provider's, or this version has ended."
    )


def mean_on_cells(
    domain: Domain,
    product: Product,
    day: date,
    names: Sequence[str],
    paths: Sequence[Path],
    readers: Readers,
) -> dict[str, NDArray[np.float32]]:
    """Average fields over a day and bring them onto the cells, reading no more than these need.

    Parameters
    ----------
    domain
        The cells.
    product
        On a latitude/longitude grid or on M09.
    day
        UTC day.
    names
        Layout variables to read.
    paths
        The granules of `product.layout.stamps(day)`.
    readers
        Processes that read.

    Returns
    -------
    dict
        Canonical fields that no granule lacks, shape (n_cell,), NaN where there is no value.

    Raises
    ------
    GranuleError
        If a granule cannot be read.
    """
    onto = None
    window = domain.window.slices
    if product.layout.grid.kind != "M09":
        whole = weights(LatLonGrid.from_centres(*product.layout.grid.axes()), domain)
        window = whole.needed
        onto = whole.within(window)
    stamps = product.layout.stamps(day)
    derived = [field.name for field in product.derived]
    used = {name: product.used(name, day) for name in (*names, *derived)}
    granules = [
        (path, [name for name in names if any(time == stamp for time, _ in used[name])])
        for stamp, path in zip(stamps, paths, strict=True)
    ]
    several = product.layout.times > 1
    totals: dict[str, NDArray[np.float64]] = {}
    counts = Counter[str]()
    # Granule by granule, so that memory does not grow with their number.
    for stamp, reading in zip(stamps, readers.each(product, granules, window), strict=True):
        for name, field in reading.fields.items():
            for place in (place for time, place in used[name] if time == stamp):
                values = field[place] if several else field
                if onto is None:
                    values = domain.from_map(values)
                if name in totals:
                    totals[name] += values
                else:
                    # Float32 would lose the last digit of a pressure in a sum of 24.
                    totals[name] = values.astype(np.float64)
                counts[name] += 1
    for name, total in totals.items():
        total /= counts[name]
    means = {name: mean for name, mean in totals.items() if counts[name] == len(used[name])}
    if onto is None:
        return {name: mean.astype(np.float32) for name, mean in means.items()}
    # All at once: they share their mask, and with it the weights of what is there.
    cells = regrid(np.stack(list(means.values())), onto)[0].compute()
    return dict(zip(means, cells, strict=True))


def _checked(
    domain: Domain, product: Product, day: date, values: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Refuse what no weather is; leave out an optional field that is empty.

    All of these quantities are positive: a hair below zero becomes zero.
    """
    required = {v.name for v in product.layout.variables if v.required}
    kept = {}
    for name, field in values.items():
        there = field[np.isfinite(field)]
        if there.size == 0:
            if name in required:
                raise SourceError(
                    product,
                    f"{name} of {product.id} on {day} has no value anywhere in {domain.name}: the "
                    "granules are empty; remove them and run again, or tell the provider.",
                )
            continue
        low, high = PLAUSIBLE[name]
        if there.min() < low or there.max() > high:
            raise SourceError(
                product,
                f"{name} of {product.id} on {day} runs from {there.min():g} to {there.max():g} "
                f"{product.units(name)}, beyond {low:g} to {high:g}: the granules are wrong or "
                "their units have changed; see msm inspect.",
            )
        kept[name] = field.clip(min=0)
    return kept
