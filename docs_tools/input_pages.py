"""The pages of the documentation on input products, made from their layout files.

`python -m docs_tools.input_pages docs/inputs ../shared/data/granules` writes a page per product,
the list of them, and what came of reading each real file of a folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from msm.cli.inspect import summarise
from msm.products.definitions import PRODUCTS
from msm.products.layout import STEP, Layout, Variable
from msm.products.product import GranuleError, Product
from msm.sources.known_bad import load_known_bad
from msm.sources.tiers import Box, load_tiers

DAY = date(2026, 9, 1)
"""The day that examples are of."""

CADENCE = {
    "half_hourly": "every half hour",
    "hourly": "every hour",
    "three_hourly": "every three hours",
    "daily": "every day",
    "half_orbit": "every half orbit",
    "static": "once",
}
TIME = {
    "instantaneous": "at the stamp",
    "mean_before": "mean of the interval before the stamp",
    "total_before": "total of the interval before the stamp",
    "mean_centred": "mean of the interval around the stamp",
    "mean_after": "mean of the interval from the stamp on",
    "static": "does not change",
}
GRID = {
    "latlon": "latitude and longitude",
    "M09": "EASE-2 9 km (M09)",
    "M36": "EASE-2 36 km (M36)",
}
HEAD = "Made by `make pages` from the layout files and the real files. Do not edit.\n"


def pages(granules: Path) -> dict[str, str]:
    """Make every page, by file name.

    Parameters
    ----------
    granules
        Folder of real files, for the page on what came of reading each.
    """
    made = {_file_name(product): page(product) for product in PRODUCTS}
    return made | {
        "README.md": overview(),
        "sources.md": sources_page(),
        "real-files.md": real_files(granules),
    }


def _file_name(product: Product) -> str:
    return f"{product.id.replace(' ', '_')}.md"


def overview() -> str:
    """List the products: what each is used for, and how much of its layout a real file showed."""
    rows = [
        (
            f"[{product.id}]({_file_name(product)})",
            product.layout.title,
            ", ".join(sorted({v.use for v in product.layout.variables})),
            _verified(product.layout),
        )
        for product in PRODUCTS
    ]
    table = _table(("product", "what it is", "used for", "verified on a real file"), rows)
    return (
        f"# Input products\n\n{HEAD}\n{table}\nWhat is for comparison never enters a map. "
        "[Where a day's forcing comes from](sources.md) tells which product is taken when. "
        "[Real files](real-files.md) tells what came of reading each real file that was at hand.\n"
    )


def sources_page() -> str:
    """Tell which product gives which variable, and what each is good for."""
    tiers = load_tiers()

    def name(variable: str, key: str) -> str:
        tier = tiers.products[key]
        field = tiers.field_for(tier, variable)
        return tier.product + (f" (`{field}`)" if field != variable else "")

    orders = [
        (f"`{variable}`" + note, ", ".join(name(variable, key) for key in order))
        for group, note in ((tiers.required, ""), (tiers.optional, ", where it is there"))
        for variable, order in group.items()
    ]
    products = [
        (
            f"[{tier.source.id}]({_file_name(tier.source)})",
            _box(tier.inside) if tier.inside else "any domain",
            _box(tier.cells) if tier.cells else "all",
            f"{tier.first} to {tier.last or 'now'}",
            f"{tier.source.layout.latency.due_days:g}",
            f"{tier.source.layout.latency.final_after_days:g}",
            tier.good_for,
        )
        for tier in tiers.products.values()
    ]
    head = ("product", "for domains inside", "for cells in", "days", "due", "final", "good for")
    return (
        f"# Where a day's forcing comes from\n\n{HEAD}\n"
        "For each variable and cell a day takes the first product of the list that serves the "
        "domain, reaches the\ncell and is complete for the day. A cell that takes another than the "
        "first is flagged `lower_tier`, and so\nis one that takes a stand-in (in brackets): a "
        "quantity near enough to be of use, not the same. While a better\nproduct is awaited the "
        "map is provisional, and made again when it has come. The file's `forcing_sources`\n"
        f"tells what was used. The order stands in `msm/sources/tiers.toml`.\n\n"
        f"{_table(('variable', 'products, best first'), orders)}\n"
        f"Due and final in days after the product day.\n\n{_table(head, products)}\n"
        "Granules of these days are left out although they are offered, unless they were produced "
        "later than is said\nhere (`msm/sources/known_bad.toml`):\n\n"
        f"{_table(('products', 'days', 'produced before', 'why'), _known_bad())}"
    )


def _known_bad() -> list[tuple[str, ...]]:
    return [
        (
            ", ".join(period.products),
            f"{period.first} to {period.last}",
            f"{period.produced_before:%Y-%m-%d}" if period.produced_before else "at any time",
            f"{period.reason} ({period.source})",
        )
        for period in load_known_bad().periods
    ]


def _box(box: Box) -> str:
    return f"{box.south:g} to {box.north:g} N, {box.west:g} to {box.east:g} E"


def _verified(layout: Layout) -> str:
    count = sum(v.verified for v in layout.variables)
    if count == 0:
        return "no: from documentation"
    of = len(layout.variables)
    return "yes" if count == of else f"{count} of {of} variables"


def page(product: Product) -> str:
    """Describe one product: what it is, what is used, what was verified and what was not."""
    layout = product.layout
    facts = [
        ("a granule comes", CADENCE[layout.cadence]),
        ("its name", f"`{_example(layout)}`"),
        ("times in it", str(layout.times)),
        ("a day takes", _day(layout)),
        ("grid", _grid(layout)),
        ("time in the file", _stamp(layout)),
        ("latency", _latency(layout)),
        ("provider", layout.provider),
        ("downloads at a time", str(layout.connections)),
        ("DOI", f"[{layout.doi}](https://doi.org/{layout.doi})" if layout.doi else "not at hand"),
    ]
    variables = [
        (
            f"`{v.name}`",
            f"`{v.path}`",
            _units(v),
            f"{v.fill:.6g}",
            TIME[v.time],
            v.use + ("" if v.required else ", where it is there"),
            ("real file: " if v.verified else "documentation: ") + v.source,
        )
        for v in layout.variables
    ]
    head = ("in msm", "in the file", "units", "fill", "time", "used for", "known from")
    derived = "".join(
        f"\n`{field.name}` ({field.units}) is worked out from these, time by time.\n"
        for field in product.derived
    )
    return (
        f"# {product.id}\n\n{HEAD}\n{layout.title}.\n\n{layout.notes.strip()}\n\n"
        f"{_table(('', ''), facts)}\n## What is read\n\n{_table(head, variables)}{derived}"
    )


def _units(variable: Variable) -> str:
    if variable.scale == 1.0 and variable.units == variable.canonical_units:
        return variable.units
    factor = "" if variable.scale == 1.0 else f" × {variable.scale:.6g}"
    return f"{variable.units}{factor} → {variable.canonical_units}"


def _example(layout: Layout) -> str:
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    time = start + timedelta(minutes=layout.first_minutes)
    return layout.file_name.format(
        time=time,
        end=time + STEP.get(layout.cadence, timedelta()) - timedelta(seconds=1),
        minute=layout.first_minutes,
        orbit=0,
        half="A",
        release="RELEASE",
        counter="001",
    )


def _day(layout: Layout) -> str:
    stamps = layout.stamps(DAY)
    if not stamps:
        return "no fixed times"
    if len(stamps) == 1:
        return "one granule"
    hour = stamps[-1]
    last = "00:00 of the next day" if hour.date() > DAY else f"{hour:%H:%M}"
    return f"{len(stamps)} granules, {stamps[0]:%H:%M} to {last} UTC"


def _grid(layout: Layout) -> str:
    grid = layout.grid
    size = f"{GRID[grid.kind]}, {grid.rows} rows and {grid.cols} columns"
    if grid.row_index:
        return f"{size}; cells are listed with their row and column"
    if grid.kind != "latlon":
        return size
    return (
        f"{size}, first centre {grid.lat_first:g}, {grid.lon_first:g}, "
        f"steps {grid.lat_step:g} and {grid.lon_step:g} degrees"
    )


def _stamp(layout: Layout) -> str:
    stamp = layout.stamp
    if stamp is None:
        return "none"
    where = f"`{stamp.variable or stamp.attribute}`"
    shift = f", {stamp.offset_seconds:+g} s" if stamp.offset_seconds else ""
    known = "real file" if stamp.verified else "documentation"
    return f"{where}{shift} ({known}: {stamp.source})"


def _latency(layout: Layout) -> str:
    latency = layout.latency
    if layout.cadence == "static":
        return "static"
    return (
        f"due after {latency.due_days:g} days, waited for {latency.retry_days:g}, "
        f"final after {latency.final_after_days:g} ({latency.source})"
    )


def real_files(granules: Path) -> str:
    """Tell what `msm inspect` says of each file of a folder: its summary, or why not."""
    rows, details = [], []
    for path in sorted(granules.iterdir()):
        try:
            found = summarise(path)
        except GranuleError as error:
            rows.append((f"`{path.name}`", "refused", "", str(error)))
            continue
        known = f"{found['product']} {found['version']}"
        rows.append((f"`{path.name}`", known, found["day"] or "static", "read"))
        values = [
            (f"`{name}`", v["units"], str(v["count"]), *(_number(v[k]) for k in STATISTICS))
            for name, v in found["variables"].items()
        ]
        table = _table(("variable", "units", "count", *STATISTICS), values)
        details.append(f"## {path.name}\n\n{table}")
    listed = _table(("file", "product, version stated", "day", "what came of it"), rows)
    return "\n".join((f"# Real files\n\n{HEAD}\n{listed}", *details))


STATISTICS = ("min", "mean", "max")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write the pages into a folder."""
    parser = argparse.ArgumentParser(prog="python -m docs_tools.input_pages", description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the pages are written.")
    parser.add_argument("granules", type=Path, help="Folder of real files.")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(arguments.granules).items():
        (arguments.folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
