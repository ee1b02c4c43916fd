"""Write docs/scaling.md from what was measured, and what follows from it: `make scaling`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.results import FOUND, read
from benchmarks.speed.capacity import Costs, Link, capacity, kept, most_workers
from docs_tools.results_page import table
from msm.settings import Settings

TEMPLATE = Path("benchmarks/scaling.template.md")
PAGE = Path("docs/scaling.md")

HOURLY = "NLDAS_FORA0125_H"
GLOBAL = "SPL4SMGP 008"
READERS = 2
"""Processes that read in `make bench` and `make global`."""
DECADE = 3652
WORKERS = (1, 2, 4, 8, 16, 64)
FETCHING = 8
"""Workers of the decade that is fetched."""
MEGABITS = (10, 100, 1000)
SECONDS_A_FILE = 1.0
"""Taken, not measured."""


def source(storage: dict[str, Any], domain: str) -> tuple[str, dict[str, float]]:
    """Return the product that a domain's day comes from, real granules before simulated ones."""
    known = storage[domain]["granules"] | {
        f"{name} *": row for name, row in storage["real granules"].items()
    }
    wanted = HOURLY if domain == "conus" else GLOBAL
    name = max((name for name in known if name.startswith(wanted)), key=lambda n: n.endswith("*"))
    return name, known[name]


def unit_costs(
    storage: dict[str, Any], many: dict[str, Any], inference: dict[str, Any], found: Path
) -> dict[str, Costs]:
    """Return what one day of each domain costs one worker."""
    of_reading = read("reading", found)
    hourly = next(row for name, row in of_reading.items() if name.startswith(HOURLY))
    reading = hourly["granules"] * hourly["MB each"] / hourly["msm, MB/s"]
    regrid = read("regridding", found)["seconds"]["msm, land cells"]
    run, step = many["seconds a day"]["1"], inference["window"]["carried state, s"]
    globe = read("global_day", found)["against cells"]
    day = {name: made["seconds"] for name, made in globe.items()}
    ratio = _run(day["global"]) / _run(day["CONUS"])
    costs = {}
    for domain, forcing, times in (
        ("conus", READERS * reading + regrid, 1.0),
        ("global", READERS * day["global"]["forcing"], ratio),
    ):
        _, granules = source(storage, domain)
        costs[domain] = Costs(
            forcing=forcing,
            run=times * run,
            serial=many["serial fraction"],
            step=times * step,
            files=granules["files a day"],
            size=granules["files a day"] * granules["bytes each"],
        )
    return costs


def _run(seconds: dict[str, float]) -> float:
    return seconds["network"] + seconds["publish"]


def first_map(costs: Costs, row: dict[str, float], settings: Settings) -> dict[str, Any]:
    """Return what a fresh installation fetches and how long that takes."""
    days = settings.spin_up_days
    files, size = days * costs.files, days * costs.size
    lines = []
    for megabits in MEGABITS:
        link = Link(megabits, settings.connections, SECONDS_A_FILE)
        waiting = link.seconds(files, 0.0)
        minutes = link.seconds(files, size) / 60
        what = "waiting" if waiting / 60 >= minutes else "the line"
        lines.append((f"{megabits}", f"{minutes:.0f}", what))
    return {
        "spin_up_days": days,
        "first_files": round(files),
        "first_each": row["bytes each"] / 1e6,
        "first_seen": row.get("files", "no"),
        "first_gb": size / 1e9,
        "connections": settings.connections,
        "seconds_a_file": SECONDS_A_FILE,
        "first_table": table(("Mbit/s", "minutes", "what decides"), lines),
        "first_forcing_minutes": days * costs.forcing / 60,
        "first_run_minutes": days * costs.run / 60,
    }


def bytes_table(storage: dict[str, Any], settings: Settings) -> str:
    """Return the bytes of each kind, a day and a year, and what stays after a year."""
    rows = []
    for domain in ("conus", "global"):
        of_day = storage[domain]["bytes a day"]
        name, row = source(storage, domain)
        granules = row["files a day"] * row["bytes each"]
        left = kept(of_day, granules, 365, settings)
        for kind, size in {"granules": granules, **of_day}.items():
            shown = f"granules, {name}" if kind == "granules" else kind
            scaled = " (by cells)" if kind in storage[domain].get("scaled by cells", ()) else ""
            rows.append(
                (
                    domain,
                    shown + scaled,
                    f"{size / 1e6:.4g}",
                    f"{365 * size / 1e9:.3g}",
                    f"{left[kind] / 1e9:.3g}",
                )
            )
    return table(("", "kind", "MB a day", "GB made a year", "keeps, GB"), rows)


def kept_table(storage: dict[str, Any], settings: Settings) -> str:
    """Return what is on disk after a year and a decade."""
    rows = []
    for domain in ("conus", "global"):
        _, row = source(storage, domain)
        for years, days in ((1, 365), (10, DECADE)):
            left = kept(
                storage[domain]["bytes a day"],
                row["files a day"] * row["bytes each"],
                days,
                settings,
            )
            published = sum(left[kind] for kind in ("map", "item", "picture"))
            rows.append(
                (
                    f"{domain}, {years} years" if years > 1 else f"{domain}, a year",
                    *(f"{left[kind] / 1e9:.3g}" for kind in ("granules", "forcing", "snapshot")),
                    f"{published / 1e9:.3g}",
                    f"{sum(left.values()) / 1e9:.3g}",
                )
            )
    return table(("", "granules", "forcing", "states", "archive", "all"), rows)


def decade_table(costs: dict[str, Costs]) -> str:
    """Return the hours of a decade of granules on disk, on so many workers."""
    rows = []
    for n in WORKERS:
        made = (capacity(cost, DECADE, n) for cost in costs.values())
        name = "1 worker" if n == 1 else f"{n} workers"
        rows.append((name, *(f"{each.hours:.1f} ({each.bound})" for each in made)))
    return table(("", *costs), rows)


def fetched_table(costs: dict[str, Costs], settings: Settings) -> str:
    """Return the hours of a decade that is fetched meanwhile."""
    links = [Link(megabits, settings.connections, SECONDS_A_FILE) for megabits in MEGABITS]
    rows = []
    for link in links:
        made = (capacity(cost, DECADE, FETCHING, link) for cost in costs.values())
        rows.append((f"{link.megabits}", *(f"{each.hours:.1f} ({each.bound})" for each in made)))
    return table(("Mbit/s", *costs), rows)


def stops(costs: dict[str, Costs]) -> str:
    """Return where more workers do not pay, in words."""
    return "\n".join(
        f"- {domain}: from {most_workers(cost):.0f} workers on, twice as many take more than "
        f"80 % of the time; {cost.serial * cost.run:.2f} s a day remain however many there are."
        for domain, cost in costs.items()
    )


def page(found: Path = FOUND) -> str:
    """Return the whole page, of the results in a folder."""
    settings = Settings.model_construct()
    storage, many, inference = (read(name, found) for name in ("storage", "many_days", "inference"))
    costs = unit_costs(storage, many, inference, found)
    return TEMPLATE.read_text().format(
        **first_map(costs["conus"], source(storage, "conus")[1], settings),
        unit_table=table(
            ("", "forcing", "forcing to file", "of which the step", "granules", "MB"),
            (
                (
                    f"{domain}, {storage[domain]['cells']:,} cells",
                    f"{cost.forcing:.2f}",
                    f"{cost.run:.2f}",
                    f"{cost.step:.2f}",
                    f"{cost.files:.0f}",
                    f"{cost.size / 1e6:.0f}",
                )
                for domain, cost in costs.items()
            ),
        ),
        serial=many["serial fraction"],
        many_speedup=many["1 -> 2 workers"],
        bytes_table=bytes_table(storage, settings),
        granule_days=settings.granule_days,
        state_days=settings.state_days,
        anchor_days=settings.anchor_days,
        chain_days=settings.chain_days,
        kept_table=kept_table(storage, settings),
        decade_days=DECADE,
        decade_table=decade_table(costs),
        fetching=FETCHING,
        fetched_table=fetched_table(costs, settings),
        stops=stops(costs),
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
