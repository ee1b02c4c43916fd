"""A CONUS day from the second source beside the same day from the first: `make second`.

The chain of `make replay` is taken up again a week before its last day. The sandbox, with the same
replayed weather, withholds NLDAS, and the daily job makes the week from SPL4SMGP alone. The maps
are then compared, cell by cell and with SMAP, with those that NLDAS gave. The replayed SPL4SMGP has
the same weather as NLDAS, laid out on its own grid and hours and moved to the lowest level of an
atmospheric model: what differs is what the change of source itself does, not what two weather
analyses disagree about.
"""

from __future__ import annotations

import argparse
import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.results import keep
from benchmarks.skill.replay import LAST, published_series
from msm.archive.naming import map_path
from msm.archive.quality import Quality
from msm.cli.demo import logged_in
from msm.fields import cell_fields
from msm.model.checkpoint import WEIGHTS
from msm.operations.daily import daily
from msm.pipeline.run import Run, open_run
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.sandbox.process import Sandbox, start
from msm.training.metrics import site_metrics

DAYS = [LAST - timedelta(days=6 - n) for n in range(7)]
PICTURE = Path("docs/images/second-source.png")


def take_up(replayed: Path, folder: Path) -> None:
    """Link the work of a replay into a new site, without the forcing and states of the week."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(replayed / "work", folder / "work", copy_function=os.link)
    for day in DAYS:
        for path in (folder / "work").rglob(f"{day:%Y%m%d}*"):
            if "granules" not in path.parts:
                path.unlink()


def without_nldas(sandbox: Sandbox) -> None:
    """Withhold every granule of NLDAS that the week takes."""
    stamps = {stamp for day in DAYS for stamp in NLDAS.layout.stamps(day)}
    for stamp in sorted(stamps):
        sandbox.withhold(NLDAS.layout.file_name.format(time=stamp))


def read_map(archive: Path, day: date) -> tuple[NDArray[np.float64], NDArray[np.uint8], str]:
    """Read soil moisture, flags and status of a published day."""
    with netCDF4.Dataset(map_path(archive, "conus", day)) as dataset:
        soil_moisture = np.ma.filled(dataset["soil_moisture"][0].astype(np.float64), np.nan)
        return soil_moisture, np.asarray(dataset["quality_flag"][0]), dataset.status


def differences(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, float]:
    """Compare two fields cell by cell."""
    both = np.isfinite(first) & np.isfinite(second)
    difference = second[both] - first[both]
    return {
        "cells": int(both.sum()),
        "mean": float(difference.mean()),
        "standard deviation": float(difference.std()),
        "95 % of cells within": float(np.quantile(np.abs(difference), 0.95)),
        "largest": float(np.abs(difference).max()),
        "R": float(np.corrcoef(first[both], second[both])[0, 1]),
    }


def forcing_differences(first: Run, second: Run, day: date) -> dict[str, dict[str, float]]:
    """Compare a day's forcing from both sources."""
    one, other = (
        cell_fields.read(run.workspace.forcing(day), run.domain).fields for run in (first, second)
    )
    names = [spec.name for spec in first.checkpoint.card.forcing]
    return {name: differences(one[name], other[name]) for name in names}


def skill(archives: dict[str, Path], table: Path) -> dict[str, dict[str, float]]:
    """Score the week of both against SMAP on the same cell-days."""
    with xr.open_dataset(table) as pixels:
        week = pixels.smap_soil_moisture_am.sel(time=slice(str(DAYS[0]), str(DAYS[-1])))
        truth = week.values.astype(np.float64)
        lat, lon = pixels.latitude.values, pixels.longitude.values
    scores = {}
    for name, archive in archives.items():
        found = site_metrics(published_series(archive, DAYS, lat, lon), truth)
        medians = found.medians()
        scores[name] = {key: medians[key] for key in ("rmse", "bias")}
    return scores


def draw(first: Run, maps: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw both maps and what they differ by."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    from msm.archive.quicklook import DRY_TO_WET, SHOWN

    wet = LinearSegmentedColormap.from_list("wet", DRY_TO_WET)
    (name, one), (other_name, other) = maps.items()
    panels: list[tuple[str, NDArray[np.float64], dict[str, Any]]] = [
        (name, one, {"cmap": wet, "vmin": SHOWN[0], "vmax": SHOWN[1]}),
        (other_name, other, {"cmap": wet, "vmin": SHOWN[0], "vmax": SHOWN[1]}),
        ("difference", other - one, {"cmap": "BrBG", "vmin": -0.01, "vmax": 0.01}),
    ]
    figure, rows = plt.subplots(3, 1, figsize=(8, 12.6), constrained_layout=True)
    extent = [first.domain.x[0], first.domain.x[-1], first.domain.y[-1], first.domain.y[0]]
    for axes, (title, field, options) in zip(rows, panels, strict=True):
        image = axes.imshow(field, extent=extent, interpolation="nearest", **options)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xticks([])
        axes.set_yticks([])
        figure.colorbar(image, ax=axes, label="m$^3$ m$^{-3}$", shrink=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main() -> None:
    """Make the week and print what it differs by."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--replay", type=Path, default=Path("build/replay"))
    parser.add_argument("--folder", type=Path, default=Path("build/second-source"))
    arguments = parser.parse_args()
    table = arguments.data / "conus_pixels" / "conus_v4f1.nc"
    take_up(arguments.replay, arguments.folder)
    day = DAYS[-1]
    with start(arguments.folder / "sandbox", str(table)) as sandbox:
        without_nldas(sandbox)
        settings = logged_in(sandbox, arguments.folder, spin_up_days=0)
        settings = settings.model_copy(update={"checkpoint": WEIGHTS / "first.json"})
        first_settings = settings.model_copy(
            update={"work": arguments.replay / "work", "archive": arguments.replay / "archive"}
        )
        with open_run(first_settings) as first, open_run(settings) as second:
            for each in DAYS:
                daily(second, each, datetime.now(UTC))
            forcing = forcing_differences(first, second, day)
            maps, flags = {}, {}
            for name, run in (("NLDAS", first), ("SPL4SMGP", second)):
                values, flag, status = read_map(run.settings.archive, day)
                maps[f"{day}, from {name}"] = values
                there = np.isfinite(values)
                flags[name] = {
                    "status": status,
                    "cells": int(there.sum()),
                    "flagged lower_tier": float((flag[there] & Quality.LOWER_TIER > 0).mean()),
                    "unflagged": float((flag[there] == 0).mean()),
                }
            by_day = {
                f"{each}": differences(
                    read_map(first.settings.archive, each)[0],
                    read_map(second.settings.archive, each)[0],
                )
                for each in DAYS
            }
            draw(first, maps, PICTURE)
    archives = {
        "NLDAS": arguments.replay / "archive",
        "SPL4SMGP": arguments.folder / "archive",
    }
    result = {
        "days": [str(each) for each in DAYS],
        "status and flags": flags,
        "soil moisture, second minus first": by_day,
        "forcing, second minus first": forcing,
        "against SMAP, median over cells": skill(archives, table),
    }
    keep(result, "second_source")


if __name__ == "__main__":
    main()
