"""Daily forcing on the cells of a domain, from the granules of a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.fields.cell_fields import CellFields
from msm.fields.gap_filling import fill_from_neighbours
from msm.grid.domain import Domain
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers
from msm.sources.granule import Granule, GranuleFile
from msm.sources.tiers import Choice

PLAUSIBLE = {
    "precipitation": (0.0, 2000.0),
    "air_temperature": (180.0, 340.0),
    # Slightly negative values occur: -0.0003 over the Sahara in a real granule of GLDAS.
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
"""Range of daily values on Earth, in canonical units; wider than any record."""


class SourceError(MsmError):
    """A product cannot serve as forcing of a day; the next source may."""

    def __init__(self, product: Product, sentence: str) -> None:
        super().__init__(sentence)
        self.product = product


def missing_stamps(product: Product, day: date, granules: Iterable[Granule]) -> list[str]:
    """List the granule times that are missing from a product's day, ISO 8601."""
    there = {granule.time for granule in granules}
    missing = [t for t in product.layout.stamps(day) if t not in there]
    return [t.strftime("%Y-%m-%dT%H:%MZ" if t.minute else "%Y-%m-%dT%HZ") for t in missing]


def daily_forcing(
    domain: Domain,
    day: date,
    choice: Choice,
    granules: Sequence[GranuleFile],
    superseded: Sequence[Granule],
    readers: Readers,
) -> CellFields:
    """Compute a day's forcing from its granules.

    Parameters
    ----------
    domain
        Cells of the forcing.
    day
        UTC day.
    choice
        Source of each variable.
    granules
        Chosen granule of each time of each product in the choice.
    superseded
        Older productions of these granules, for the lineage.
    readers
        Reading processes.

    Returns
    -------
    CellFields
        Canonical names and units; cells without a source within reach are NaN.

    Raises
    ------
    SourceError
        If a product's granules cannot be read, or a required field is empty over its cells or has
        implausible values.
    """
    values: dict[str, NDArray[np.float32]] = {}
    units: dict[str, str] = {}
    origins: dict[str, list[str]] = {}
    for product in choice.products:
        found = daily_fields(domain, product, day, granules, readers)
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


def daily_fields(
    domain: Domain,
    product: Product,
    day: date,
    granules: Sequence[GranuleFile],
    readers: Readers,
) -> dict[str, NDArray[np.float32]]:
    """Compute one product's daily fields on the cells, NaN where it has no value.

    Each variable is averaged on the source grid over exactly the intervals inside the day; a
    source cell without one of them has no value. The mean is then regridded conservatively, which
    commutes with averaging. A source on the M09 grid is only indexed.

    Raises
    ------
    SourceError
        If a granule is missing or cannot be read, or a field is empty or implausible.
    """
    by_time = {
        file.granule.time: file
        for file in granules
        if (file.granule.product, file.granule.version)
        == (product.layout.product, product.layout.version)
    }
    missing = missing_stamps(product, day, [file.granule for file in by_time.values()])
    if missing:
        raise SourceError(product, incomplete(product, day, missing))
    wanted = [v.name for v in product.layout.variables if v.use == "forcing"]
    paths = [by_time[stamp].path for stamp in product.layout.stamps(day)]
    try:
        values = mean_on_cells(domain, product, day, wanted, paths, readers)
    except GranuleError as error:
        raise SourceError(product, str(error)) from error
    return _checked(domain, product, day, values)


def incomplete(product: Product, day: date, missing: Sequence[str]) -> str:
    """Return the message on the missing granules of a day, with the remedy."""
    wait = product.layout.latency.retry_days
    listed = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
    expected = len(product.layout.stamps(day))
    return (
        f"{product.id} of {day} is missing {len(missing)} of {expected} granules ({listed}): they "
        f"arrive up to {wait:.0f} days late, run again; what is missing after "
        f"{day + timedelta(days=wait)} is a gap of the provider, or this version has ended."
    )


def mean_on_cells(
    domain: Domain,
    product: Product,
    day: date,
    names: Sequence[str],
    paths: Sequence[Path],
    readers: Readers,
) -> dict[str, NDArray[np.float32]]:
    """Average fields over a day and regrid them onto the cells, reading only what these need.

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
        Granules of `product.layout.stamps(day)`.
    readers
        Reading processes.

    Returns
    -------
    dict
        Canonical fields that every granule has, shape (n_cell,), NaN where there is no value.

    Raises
    ------
    GranuleError
        If a granule cannot be read.
    """
    # dask and scipy cost a second, which a run that makes no forcing is spared.
    from msm.grid.regrid import LatLonGrid, regrid, weights

    onto = None
    window = domain.window.slices
    if product.layout.grid.kind != "M09":
        complete = weights(LatLonGrid.from_centres(*product.layout.grid.axes()), domain)
        window = complete.needed
        onto = complete.within(window)
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
    # One granule at a time, so that memory does not grow with their number.
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
    # All at once: they have one mask, whose coverage is computed once.
    cells = regrid(np.stack(list(means.values())), onto)[0].compute()
    return dict(zip(means, cells, strict=True))


def _checked(
    domain: Domain, product: Product, day: date, values: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Refuse implausible values; leave out an optional field that is empty.

    All of these quantities are positive: a slightly negative value becomes zero.
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
                    "granules are empty; remove them and run again, or report it to the provider.",
                )
            continue
        low, high = PLAUSIBLE[name]
        if there.min() < low or there.max() > high:
            raise SourceError(
                product,
                f"{name} of {product.id} on {day} is {there.min():g} to {there.max():g} "
                f"{product.units(name)}, outside {low:g} to {high:g}: the granules are wrong or "
                "their units have changed; check them with msm inspect.",
            )
        kept[name] = field.clip(min=0)
    return kept
