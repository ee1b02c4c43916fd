"""Measure regridding of 24 NLDAS hours of 7 variables to CONUS M09 against two peers."""

from __future__ import annotations

import dataclasses

import numpy as np
import rioxarray  # noqa: F401 - registers the accessor `rio`
import xarray as xr
import xarray_regrid  # noqa: F401 - registers the accessor `regrid`
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine

from benchmarks.speed.timing import medians
from msm.grid import ease
from msm.grid.domain import Domain, load_domain
from msm.grid.ease import M09
from msm.grid.regrid import LatLonGrid, overlap, regrid, weights
from msm.products.definitions import NLDAS_FORA0125_H_2_0

HOURS, VARIABLES = 24, 7
ROUNDS = 5


def fields(rows: int, cols: int) -> NDArray[np.float32]:
    """Return rough, rain-like fields, shape (168, rows, cols): smooth ones would hide errors."""
    rng = np.random.default_rng(0)
    return rng.gamma(0.3, 4.0, size=(HOURS * VARIABLES, rows, cols)).astype(np.float32)


def whole_window(domain: Domain) -> Domain:
    """Return a domain with every cell of the window, including water, as the peers compute."""
    ny, nx = domain.shape
    row, col = np.divmod(np.arange(ny * nx), nx)
    return dataclasses.replace(
        domain,
        row=(row + domain.window.row0).astype(np.int32),
        col=(col + domain.window.col0).astype(np.int32),
        land_fraction=np.ones(ny * nx, np.float32),
    )


def measure() -> dict[str, object]:
    """Measure all three, and compare their integrals with that of the source."""
    lat, lon = NLDAS_FORA0125_H_2_0.layout.grid.axes()
    source = LatLonGrid.from_centres(lat, lon)
    values = fields(lat.size, lon.size)
    # A box completely inside the source, so that all integrals have the same area.
    domain = load_domain("box:25.1,52.9,-124.9,-67.1")
    window = whole_window(domain)
    cube = xr.DataArray(values, dims=("time", "lat", "lon"), coords={"lat": lat, "lon": lon})
    target = xr.Dataset(
        coords={
            "lat": M09.lat[domain.window.row0 : domain.window.row1],
            "lon": M09.lon[domain.window.col0 : domain.window.col1],
        }
    )
    west, north = M09.x_edges[domain.window.col0], M09.y_edges[domain.window.row0]
    transform = Affine(M09.cell_size, 0, west, 0, -M09.cell_size, north)
    raster = cube.rename(lat="y", lon="x").isel(y=slice(None, None, -1)).rio.write_crs(4326)
    results: dict[str, NDArray[np.floating]] = {}

    def ours(cells: Domain, name: str) -> None:
        onto = weights(source, cells)
        results[name] = regrid(values, onto)[0].compute()

    def conservative() -> None:
        results["xarray-regrid"] = cube.regrid.conservative(target, latitude_coord="lat").values

    def average() -> None:
        results["rioxarray"] = raster.rio.reproject(
            f"EPSG:{ease.EPSG}",
            transform=transform,
            shape=domain.shape,
            resampling=Resampling.average,
        ).values

    seconds = medians(
        {
            "msm, land cells": lambda: ours(domain, "land"),
            "msm, whole window": lambda: ours(window, "msm"),
            "xarray-regrid conservative": conservative,
            "rioxarray average": average,
        },
        ROUNDS,
    )
    mine = seconds["msm, whole window"]
    return {
        "seconds": seconds,
        "times as fast as xarray-regrid": seconds["xarray-regrid conservative"] / mine,
        "times as fast as rioxarray": seconds["rioxarray average"] / mine,
        "conservation error": {
            name: conservation_error(results[name].reshape(-1, *domain.shape), values, domain)
            for name in ("msm", "xarray-regrid", "rioxarray")
        },
    }


def conservation_error(
    result: NDArray[np.floating], values: NDArray[np.float32], domain: Domain
) -> float:
    """Return the largest relative difference of the integrals over the window and the source."""
    lat, lon = NLDAS_FORA0125_H_2_0.layout.grid.axes()
    source = LatLonGrid.from_centres(lat, lon)
    window = domain.window
    y = ease.project(source.lat_edges, 0.0)[1]
    x = ease.project(np.zeros(source.lon_edges.size), source.lon_edges)[0]
    high = overlap(y, M09.y_edges[[window.row0, window.row1]]).toarray()[0]
    wide = overlap(x, M09.x_edges[[window.col0, window.col1]]).toarray()[0]
    expected = np.einsum("tij,i,j->t", values.astype(np.float64), high, wide)
    got = result.astype(np.float64).sum(axis=(1, 2)) * M09.cell_size**2
    return float(np.abs(got / expected - 1).max())
