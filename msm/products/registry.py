"""The input products by name, and the product that a granule belongs to."""

from __future__ import annotations

from pathlib import Path

from msm.errors import MsmError
from msm.products.definitions import PRODUCTS
from msm.products.product import LayoutError, Product, contradicts, missing, open_granule, present


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
        If no product has this layout; the message names the product that is nearest by the
        file's name, and what is missing for it.
    """
    with open_granule(path) as granule:
        absent = {p.id: missing(p.layout, present(granule, p.layout)) for p in PRODUCTS}
        # Of products with the same fields, the file belongs to the one that it names.
        contradicted = {p.id: contradicts(granule, p.layout) for p in PRODUCTS}
    by_content = [p for p in PRODUCTS if not absent[p.id]]
    by_content.sort(key=lambda p: contradicted[p.id])
    by_name = [p for p in PRODUCTS if p.layout.matches(path.name)]
    if not by_name:
        # The name of every SPL3SMP_E file contains SPL3SMP too: the longest short name counts.
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
        missed = ", ".join(absent[nearest.id])
        raise LayoutError(
            f"{path.name} is named as {nearest.id} but has no {missed}: it is a subset by a "
            "service, or its layout is unknown to msm; fetch the complete granule."
        )
    known = ", ".join(p.id for p in PRODUCTS)
    raise LayoutError(f"{path.name} has the layout of no product that msm reads ({known}).")
