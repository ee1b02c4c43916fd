"""The pages on input products, from their layout files and from real files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from docs_tools.rendering import render
from msm.cli.inspect import summarise
from msm.products.definitions import PRODUCTS
from msm.products.layout import STEP, Layout
from msm.products.product import GranuleError, Product
from msm.sources.known_bad import load_known_bad
from msm.sources.tiers import load_tiers

DAY = date(2026, 9, 1)
"""Day of the examples."""


def input_pages() -> dict[str, str]:
    """Return a page for each product, their list and the page on their order, by file name."""
    overview = {"products": PRODUCTS, "file_name": file_name}
    sources = {
        "tiers": load_tiers(),
        "known_bad": load_known_bad().periods,
        "file_name": file_name,
    }
    return {file_name(product): product_page(product) for product in PRODUCTS} | {
        "README.md": render("inputs", overview),
        "sources.md": render("sources", sources),
    }


def real_files_page(folder: Path) -> str:
    """Return the page on reading each real file of a folder."""
    files: list[tuple[str, dict[str, Any] | None, str | None]] = []
    for path in sorted(folder.iterdir()):
        try:
            files.append((path.name, summarise(path), None))
        except GranuleError as error:
            files.append((path.name, None, str(error)))
    return render("real-files", {"files": files})


def product_page(product: Product) -> str:
    """Return the page of a product."""
    layout = product.layout
    values = {"product": product, "example": _example(layout), "granules": _granules(layout)}
    return render("input", values)


def file_name(product: Product) -> str:
    """Return the file name of a product's page."""
    return f"{product.id.replace(' ', '_')}.md"


def _example(layout: Layout) -> str:
    time = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    time += timedelta(minutes=layout.first_minutes)
    return layout.file_name.format(
        time=time,
        end=time + STEP.get(layout.cadence, timedelta()) - timedelta(seconds=1),
        minute=layout.first_minutes,
        orbit=0,
        half="A",
        release="RELEASE",
        counter="001",
    )


def _granules(layout: Layout) -> str:
    stamps = layout.stamps(DAY)
    if not stamps:
        return "at no fixed times"
    if len(stamps) == 1:
        return "one"
    hour = stamps[-1]
    last = "00:00 of the next day" if hour.date() > DAY else f"{hour:%H:%M}"
    return f"{len(stamps)}, {stamps[0]:%H:%M} to {last} UTC"
