"""Bytes of what msm keeps, a day of each kind: `make storage`, after `make replay global`.

Means over the files that lie under the folder of the replay, for CONUS as a network like the
shipped one makes them, and under that of the global day. What the global day has not left is scaled
by the number of cells, and said to be.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.results import keep
from benchmarks.skill.replay import RECIPE
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
"""Files of which there is one a day, under the folder of a site."""


def mean_size(paths: Iterable[Path]) -> float | None:
    """Return the mean bytes of files, None without any."""
    sizes = [path.stat().st_size for path in paths]
    return fmean(sizes) if sizes else None


def of_site(folder: Path, label: str, archive: str) -> dict[str, float]:
    """Return the mean bytes of each kind of file that a site has."""
    found = {}
    for kind, pattern in DAILY.items():
        size = mean_size(folder.glob(pattern.format(label=label, archive=archive)))
        if size is not None:
            found[kind] = size
    return found


def granules(folder: Path) -> dict[str, dict[str, float]]:
    """Return files a day and mean bytes of each product that was fetched day by day."""
    found = {}
    for product in PRODUCTS:
        layout = product.layout
        each = mean_size((folder / f"{layout.product}.{layout.version}").glob("[!.]*"))
        if each is not None and product.forcing and layout.cadence in STEP:
            found[product.id] = {"files a day": _files_a_day(layout.cadence), "bytes each": each}
    return found


def real_granules(folder: Path) -> dict[str, dict[str, float]]:
    """Return the same of the real granules at hand, of which some are cut to a window."""
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


def measure(replay: Path, globe: Path, data: Path) -> dict[str, Any]:
    """Look at both sites."""
    conus, whole = load_domain("conus"), load_domain("global")
    sizes = of_site(replay / RECIPE, "conus", "archive")
    seen = of_site(globe / "SPL4SMGP", "global", "archive")
    # The benchmark keeps its last archive beside the sites.
    seen = of_site(globe, "global", "archives/global") | seen
    ratio = whole.n_cell / conus.n_cell
    scaled = {kind: size * ratio for kind, size in sizes.items() if kind not in seen}
    # A record is as long whatever the number of cells.
    scaled |= {kind: sizes[kind] for kind in ("record", "item") if kind in scaled}
    return {
        "conus": {
            "cells": conus.n_cell,
            "bytes a day": sizes,
            "granules": granules(replay / "work" / "granules"),
        },
        "global": {
            "cells": whole.n_cell,
            "bytes a day": {kind: (seen | scaled)[kind] for kind in sizes},
            "scaled by cells": sorted(scaled),
            "granules": {
                name: row
                for site in ("SPL4SMGP", "GLDAS-and-IMERG")
                for name, row in granules(globe / site / "work" / "granules").items()
            },
        },
        "real granules": real_granules(data / "granules"),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--replay", type=Path, default=Path("build/replay"))
    parser.add_argument("--globe", type=Path, default=Path("build/global"))
    arguments = parser.parse_args()
    keep(measure(arguments.replay, arguments.globe, arguments.data), "storage")


if __name__ == "__main__":
    main()
