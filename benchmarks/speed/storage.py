"""Measure the bytes a day of each kind of file: `make storage`, after `make replay global`.

The sizes are means over the files in the site of the replay, for CONUS with a network like the
shipped one, and in the sites of the global day. Kinds without a file of the global day are scaled
by the number of cells and listed as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.results import DATA, REPLAY, keep
from benchmarks.skill.replay import RECIPE
from benchmarks.speed.global_day import FOLDER as GLOBAL
from msm.errors import MsmError
from msm.grid.domain import load_domain
from msm.products.definitions import PRODUCTS
from msm.products.layout import STEP
from msm.products.registry import identify

DAILY = {
    "forcing": "work/forcing/{label}-*/*/*.nc",
    "snapshot": "work/states/{label}-*/*/*.h5",
    "record": "work/states/{label}-*/*/records/*.json",
    "prediction": "work/states/{label}-*/*/*-prediction.nc",
    "map": "{archive}/{label}/*/*/MSM-*.nc",
    "item": "{archive}/{label}/*/*/MSM-*.json",
    "picture": "{archive}/{label}/*/*/MSM-*.png",
}
"""Patterns of the files with one per day, below the folder of a site."""


def mean_size(paths: Iterable[Path]) -> float | None:
    """Return the mean bytes of files; None if there are none."""
    sizes = [path.stat().st_size for path in paths]
    return fmean(sizes) if sizes else None


def of_site(folder: Path, label: str, archive: str) -> dict[str, float]:
    """Return the mean bytes of each kind of file in a site."""
    found = {}
    for kind, pattern in DAILY.items():
        size = mean_size(folder.glob(pattern.format(label=label, archive=archive)))
        if size is not None:
            found[kind] = size
    return found


def granules(folder: Path) -> dict[str, dict[str, float]]:
    """Return files a day and mean bytes of each product with granules at fixed times."""
    found = {}
    for product in PRODUCTS:
        layout = product.layout
        each = mean_size((folder / f"{layout.product}.{layout.version}").glob("[!.]*"))
        if each is not None and product.forcing and layout.cadence in STEP:
            found[product.id] = {"files a day": _files_a_day(layout.cadence), "bytes each": each}
    return found


def real_granules(folder: Path) -> dict[str, dict[str, float]]:
    """Return the same for the available real granules, some of which are cut to a window."""
    sizes: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        try:
            product = identify(path)
        except MsmError:
            continue
        if product.forcing and product.layout.cadence in STEP:
            sizes.setdefault(product.id, []).append(path)
    return {
        name: {
            "files a day": _files_a_day(next(p.layout.cadence for p in PRODUCTS if p.id == name)),
            "bytes each": fmean(path.stat().st_size for path in paths),
            "files": len(paths),
        }
        for name, paths in sizes.items()
    }


def _files_a_day(cadence: str) -> float:
    return 86400 / STEP[cadence].total_seconds()


def measure() -> dict[str, Any]:
    """Measure both sites."""
    conus, globe = load_domain("conus"), load_domain("global")
    sizes = of_site(REPLAY / RECIPE, "conus", "archive")
    # The global benchmark writes its last archive next to the sites.
    measured = of_site(GLOBAL, "global", "archives/global")
    measured |= of_site(GLOBAL / "SPL4SMGP", "global", "archive")
    ratio = globe.n_cell / conus.n_cell
    scaled = {kind: size * ratio for kind, size in sizes.items() if kind not in measured}
    # The size of a record does not depend on the number of cells.
    scaled |= {kind: sizes[kind] for kind in ("record", "item") if kind in scaled}
    return {
        "conus": {
            "cells": conus.n_cell,
            "bytes a day": sizes,
            "granules": granules(REPLAY / "work" / "granules"),
        },
        "global": {
            "cells": globe.n_cell,
            "bytes a day": {kind: (measured | scaled)[kind] for kind in sizes},
            "scaled by cells": sorted(scaled),
            "granules": {
                name: row
                for site in ("SPL4SMGP", "GLDAS-and-IMERG")
                for name, row in granules(GLOBAL / site / "work" / "granules").items()
            },
        },
        "real granules": real_granules(DATA / "granules"),
    }


def main() -> None:
    """Measure, and write the result."""
    keep(measure(), "storage")


if __name__ == "__main__":
    main()
