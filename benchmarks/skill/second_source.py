"""Compare maps from the second source with maps from the first: `make second`, after replay.

The chain of `make replay` continues from a week before its last day. The sandbox, with the same
replayed weather, withholds NLDAS, and the daily job produces the week from SPL4SMGP alone. The maps
are compared with those from NLDAS, cell by cell and with SMAP. The replayed SPL4SMGP has the
weather of NLDAS on its own grid and time steps, at the lowest level of an atmospheric model. The
differences are the effect of the change of source, without that of another weather analysis.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from benchmarks.results import PIXELS, REPLAY, keep
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
FOLDER = Path("build/second-source")
PICTURE = Path("docs/images/second-source.png")


def link_work() -> None:
    """Link the work folder of the replay, without the forcing and states of the week."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(REPLAY / "work", FOLDER / "work", copy_function=os.link)
    for day in DAYS:
        for path in (FOLDER / "work").rglob(f"{day:%Y%m%d}*"):
            if "granules" not in path.parts:
                path.unlink()


def withhold_nldas(sandbox: Sandbox) -> None:
    """Withhold every granule of NLDAS that the week uses."""
    stamps = {stamp for day in DAYS for stamp in NLDAS.layout.stamps(day)}
    for stamp in sorted(stamps):
        sandbox.withhold(NLDAS.layout.file_name.format(time=stamp))


def read_map(archive: Path, day: date) -> tuple[NDArray[np.float64], NDArray[np.uint8], str]:
    """Read soil moisture, flags and status of a published day."""
    with netCDF4.Dataset(map_path(archive, "conus", day)) as dataset:
        soil_moisture = np.ma.filled(dataset["soil_moisture"][0].astype(np.float64), np.nan)
        return soil_moisture, np.asarray(dataset["quality_flag"][0]), dataset.status


def differences(first: NDArray[np.floating], second: NDArray[np.floating]) -> dict[str, float]:
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


def skill(archives: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Score the week of both sources against SMAP on the same cell-days."""
    with xr.open_dataset(PIXELS) as pixels:
        week = pixels.smap_soil_moisture_am.sel(time=slice(str(DAYS[0]), str(DAYS[-1])))
        truth = week.values.astype(np.float64)
        lat, lon = pixels.latitude.values, pixels.longitude.values
    scores = {}
    for name, archive in archives.items():
        medians = site_metrics(published_series(archive, DAYS, lat, lon), truth).medians()
        scores[name] = {key: medians[key] for key in ("rmse", "bias")}
    return scores


def draw(first: Run, maps: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw both maps and their difference."""
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


def flags_of(archive: Path) -> dict[str, Any]:
    """Return status and shares of flagged cells of the last day."""
    values, flag, status = read_map(archive, DAYS[-1])
    cells = np.isfinite(values)
    return {
        "status": status,
        "cells": int(cells.sum()),
        "flagged lower_tier": float((flag[cells] & Quality.LOWER_TIER > 0).mean()),
        "unflagged": float((flag[cells] == 0).mean()),
    }


def main() -> None:
    """Publish the week, compare both sources, and write the result and the picture."""
    link_work()
    with start(FOLDER / "sandbox", str(PIXELS)) as sandbox:
        withhold_nldas(sandbox)
        settings = logged_in(sandbox, FOLDER, spin_up_days=0)
        settings = settings.model_copy(update={"checkpoint": WEIGHTS / "first.json"})
        of_replay = settings.model_copy(
            update={"work": REPLAY / "work", "archive": REPLAY / "archive"}
        )
        with open_run(of_replay) as first, open_run(settings) as second:
            for day in DAYS:
                daily(second, day, datetime.now(UTC))
            forcing = forcing_differences(first, second, DAYS[-1])
            archives = {"NLDAS": first.settings.archive, "SPL4SMGP": second.settings.archive}
            maps = {
                day: {name: read_map(archive, day)[0] for name, archive in archives.items()}
                for day in DAYS
            }
            last = {f"{DAYS[-1]}, from {name}": each for name, each in maps[DAYS[-1]].items()}
            draw(first, last, PICTURE)
    result = {
        "days": [str(day) for day in DAYS],
        "status and flags": {name: flags_of(archive) for name, archive in archives.items()},
        "soil moisture, second minus first": {
            str(day): differences(each["NLDAS"], each["SPL4SMGP"]) for day, each in maps.items()
        },
        "forcing, second minus first": forcing,
        "against SMAP, median over cells": skill(archives),
    }
    keep(result, "second_source")


if __name__ == "__main__":
    main()
