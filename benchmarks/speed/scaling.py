"""Predict the first map, the size on disk and a decade of maps from one measured day."""

from __future__ import annotations

from typing import Any

from benchmarks.results import read
from benchmarks.speed.capacity import Costs, Link, capacity, kept, most_workers, parts
from msm.settings import Settings

HOURLY = "NLDAS_FORA0125_H"
GLOBAL = "SPL4SMGP 008"
READERS = 2
"""Reading processes of `make bench` and `make global`."""
YEAR, DECADE = 365, 3652
WORKERS = (1, 2, 4, 8, 16, 64)
FETCHING_WORKERS = 8
"""Workers of a decade whose granules are downloaded at the same time."""
MEGABITS = (10, 100, 1000)
SECONDS_A_FILE = 1.0
"""Assumed, not measured."""
ARCHIVED = ("map", "item", "picture")


def predict() -> dict[str, Any]:
    """Return the predictions that docs/scaling.md shows, with the default settings.

    Returns
    -------
    dict
        Bytes, days and seconds unless a key states another unit. `by_workers` and `by_megabits`
        have one `Capacity` per domain.
    """
    settings = Settings.model_construct()
    storage = read("storage")
    costs = unit_costs(storage)
    links = {n: Link(n, settings.connections, SECONDS_A_FILE) for n in MEGABITS}
    return {
        "settings": settings,
        "seconds_a_file": SECONDS_A_FILE,
        "costs": costs,
        "cells": {domain: storage[domain]["cells"] for domain in costs},
        "first_map": first_map(costs["conus"], storage, links, settings.spin_up_days),
        "bytes": [row for domain in costs for row in bytes_a_day(storage, domain, settings)],
        "kept": [
            {
                "domain": domain,
                "years": years,
                "gigabytes": on_disk(storage, domain, days, settings),
            }
            for domain in costs
            for years, days in ((1, YEAR), (10, DECADE))
        ],
        "days": DECADE,
        "by_workers": {n: [capacity(cost, DECADE, n) for cost in costs.values()] for n in WORKERS},
        "fetching_workers": FETCHING_WORKERS,
        "by_megabits": {
            n: [capacity(cost, DECADE, FETCHING_WORKERS, link) for cost in costs.values()]
            for n, link in links.items()
        },
        "limits": {
            domain: {"workers": most_workers(cost), "serial_seconds": parts(cost)[0]}
            for domain, cost in costs.items()
        },
    }


def source(storage: dict[str, Any], domain: str) -> tuple[str, dict[str, float]]:
    """Return the product of a domain's forcing and its sizes, real granules (*) first."""
    known = storage[domain]["granules"] | {
        f"{name} *": row for name, row in storage["real granules"].items()
    }
    wanted = HOURLY if domain == "conus" else GLOBAL
    name = max((name for name in known if name.startswith(wanted)), key=lambda n: n.endswith("*"))
    return name, known[name]


def granule_bytes(storage: dict[str, Any], domain: str) -> float:
    """Return the bytes of a day's granules."""
    _, row = source(storage, domain)
    return row["files a day"] * row["bytes each"]


def unit_costs(storage: dict[str, Any]) -> dict[str, Costs]:
    """Return the cost of one day of each domain for one worker."""
    many, window = read("many_days"), read("inference")["window"]
    hourly = next(row for name, row in read("reading").items() if name.startswith(HOURLY))
    reading = hourly["granules"] * hourly["MB each"] / hourly["msm, MB/s"]
    regrid = read("regridding")["seconds"]["msm, land cells"]
    days = {name: row["seconds"] for name, row in read("global_day")["against cells"].items()}
    run = {name: seconds["network"] + seconds["publish"] for name, seconds in days.items()}
    costs = {}
    for domain, forcing, times in (
        ("conus", READERS * reading + regrid, 1.0),
        ("global", READERS * days["global"]["forcing"], run["global"] / run["CONUS"]),
    ):
        costs[domain] = Costs(
            forcing=forcing,
            run=times * many["seconds a day"]["1"],
            serial=many["serial fraction"],
            step=times * window["carried state, s"],
            files=source(storage, domain)[1]["files a day"],
            size=granule_bytes(storage, domain),
        )
    return costs


def first_map(
    costs: Costs, storage: dict[str, Any], links: dict[int, Link], days: int
) -> dict[str, Any]:
    """Return the downloads and the run time before the first map of a new installation."""
    _, row = source(storage, "conus")
    files, size = days * costs.files, days * costs.size
    downloads = []
    for megabits, link in links.items():
        seconds = link.seconds(files, size)
        limit = "latency" if link.seconds(files, 0.0) >= seconds else "bandwidth"
        downloads.append({"megabits": megabits, "minutes": seconds / 60, "limit": limit})
    return {
        "days": days,
        "files": files,
        "bytes": size,
        "bytes_each": row["bytes each"],
        "measured_files": row["files"],
        "downloads": downloads,
        "forcing_minutes": days * costs.forcing / 60,
        "run_minutes": days * costs.run / 60,
    }


def bytes_a_day(storage: dict[str, Any], domain: str, settings: Settings) -> list[dict[str, Any]]:
    """Return the bytes of each kind of file: written in a day, and kept after a year."""
    product, _ = source(storage, domain)
    granules, written = granule_bytes(storage, domain), storage[domain]["bytes a day"]
    left = kept(written, granules, YEAR, settings)
    scaled = storage[domain].get("scaled by cells", ())

    def label(kind: str) -> str:
        name = f"granules, {product}" if kind == "granules" else kind
        return f"{name} (by cells)" if kind in scaled else name

    return [
        {"domain": domain, "kind": label(kind), "a_day": size, "kept": left[kind]}
        for kind, size in {"granules": granules, **written}.items()
    ]


def on_disk(
    storage: dict[str, Any], domain: str, days: int, settings: Settings
) -> dict[str, float]:
    """Return the gigabytes on disk after so many days."""
    written = storage[domain]["bytes a day"]
    left = kept(written, granule_bytes(storage, domain), days, settings)
    total = {
        "granules": left["granules"],
        "forcing": left["forcing"],
        "states": left["snapshot"],
        "archive": sum(left[kind] for kind in ARCHIVED),
        "all": sum(left.values()),
    }
    return {kind: size / 1e9 for kind, size in total.items()}
