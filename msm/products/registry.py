"""The registry of input products, and `msm inspect`, which reads any granule through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.products.definitions import PRODUCTS
from msm.products.product import LayoutError, Product, contradicts, held, missing, open_granule


def product(short_name: str, version: str) -> Product:
    """Return a product by its Earthdata short name and version.

    Raises
    ------
    MsmError
        If msm does not know it.
    """
    for candidate in PRODUCTS:
        if (candidate.layout.product, candidate.layout.version) == (short_name, version):
            return candidate
    known = ", ".join(p.id for p in PRODUCTS)
    raise MsmError(f"msm does not know {short_name} {version}; it reads {known}.")


def identify(path: Path) -> Product:
    """Find the product that a granule belongs to, by its content and then by its name.

    Raises
    ------
    GranuleError
        If the file does not open.
    LayoutError
        If no product has this layout; the sentence names the nearest product by the file's name
        and what is missing for it.
    """
    with open_granule(path) as granule:
        absent = {p.id: missing(p.layout, held(granule, p.layout)) for p in PRODUCTS}
        # Of products with the same fields the one is meant that the file itself names.
        contradicted = {p.id: contradicts(granule, p.layout) for p in PRODUCTS}
    by_content = [p for p in PRODUCTS if not absent[p.id]]
    by_content.sort(key=lambda p: contradicted[p.id])
    by_name = [p for p in PRODUCTS if p.layout.matches(path.name)]
    if not by_name:
        # SPL3SMP is in the name of every SPL3SMP_E file too: the longest short name is meant.
        mentioned = [p for p in PRODUCTS if p.layout.product in path.name]
        longest = max((len(p.layout.product) for p in mentioned), default=0)
        by_name = [p for p in mentioned if len(p.layout.product) == longest]
    for candidate in by_content:
        if candidate in by_name:
            return candidate
    if by_content and not by_name:
        return by_content[0]
    if by_name:
        nearest = min(by_name, key=lambda p: len(absent[p.id]))
        lacks = ", ".join(absent[nearest.id])
        raise LayoutError(
            f"{path.name} is named as {nearest.id} but lacks {lacks}: it is a subset by a "
            "service or a layout that msm does not know; fetch the whole granule."
        )
    known = ", ".join(p.id for p in PRODUCTS)
    raise LayoutError(f"{path.name} has the layout of no product that msm reads ({known}).")


def inspect(path: Path) -> dict[str, Any]:
    """Summarise a granule as it was read, before any masking by quality.

    Returns
    -------
    dict
        `product`, `version`, `day` (UTC day of the stamp, ISO, None for a static product) and
        `variables`: by canonical name, `units`, `count` of values that are not fill, and their
        unweighted `min`, `mean` and `max` (None where there is no value).
    """
    found = identify(path)
    reading = found.read(path)
    # Flags are no quantities: they are what masking is done with.
    variables = {
        name: summary(found.units(name), field[np.isfinite(field)])
        for name, field in reading.fields.items()
        if field.dtype.kind == "f"
    }
    return {
        "product": found.layout.product,
        "version": reading.version,
        "day": reading.day.isoformat() if reading.day else None,
        "variables": variables,
    }


def summary(units: str, values: NDArray[Any]) -> dict[str, Any]:
    """Count and summarise values that are there, unweighted; None where there are none."""
    exact = values.astype(np.float64)
    there = exact.size > 0
    return {
        "units": units,
        "count": int(exact.size),
        "min": float(exact.min()) if there else None,
        "mean": float(exact.mean()) if there else None,
        "max": float(exact.max()) if there else None,
    }
