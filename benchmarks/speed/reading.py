"""Measure reading of granules and regridding to CONUS M09, by product, against peers.

Each product is read from a real granule where one is available, otherwise from a granule of the
sandbox, which is used for every time of the day. The files are in the page cache. The peers are, in
turn:

- plain h5py, which reads the same variables completely in as many processes, without checks,
  transfer to another process, averages or regridding;
- the same comparison in one process each, with msm reading complete files without regridding, to
  exclude the advantage of reading a window;
- xarray.open_mfdataset, mean and xarray-regrid on the same window, for products on latitude and
  longitude.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import h5py
import xarray as xr
import xarray_regrid  # noqa: F401 - registers the accessor `regrid`

from benchmarks.results import DATA
from benchmarks.speed.timing import medians
from msm.fields.forcing import mean_on_cells
from msm.grid.domain import Domain, load_domain
from msm.grid.ease import M09, NEST, parent
from msm.grid.regrid import LatLonGrid, weights
from msm.products.product import Product
from msm.products.reader_pool import Readers
from msm.products.registry import product
from msm.sandbox.granules import granule
from msm.sandbox.weather.synthetic import SyntheticWeather

REAL = (
    ("NLDAS_FORA0125_H", "002", "NLDAS_FORA0125_H.A20230101.0000.002.grb.SUB.nc4"),
    ("GLDAS_NOAH025_3H", "2.1", "GLDAS_NOAH025_3H.A20150101.0000.021.nc4"),
    (
        "GPM_3IMERGHH",
        "03",
        "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5",
    ),
    ("SPL4SMAU", "008", "SMAP_L4_SM_aup_20200128T150000_Vv4030_north_america_subset.h5"),
    ("SPL3SMP", "003", "SMAP_L3_SM_P_20150401_R13080_001.h5"),
)
"""Short name, version and file of the products with a complete real granule."""

SIMULATED = (("SPL4SMGP", "008"), ("M2T1NXSLV", "5.12.4"))
"""Products without a real granule, from the sandbox."""

DAY = date(2016, 4, 1)
MIN_GRANULES = 8
PROCESSES, ROUNDS = 2, 5


@dataclass(frozen=True)
class Work:
    """Granules of one product, and the variables to read."""

    product: Product
    names: tuple[str, ...]
    """Layout variables."""
    days: dict[date, list[Path]]
    """Granules at the time stamps of each day."""
    simulated: bool

    @property
    def granules(self) -> list[tuple[Path, list[str]]]:
        """Every granule, and the layout variables that its day uses."""
        known = self.product
        return [
            (path, [n for n in self.names if stamp in dict(known.used(n, day))])
            for day, paths in self.days.items()
            for stamp, path in zip(known.layout.stamps(day), paths, strict=True)
        ]


def work(known: Product, original: Path, folder: Path, *, simulated: bool) -> Work:
    """Use one granule for all times of as many days as have `MIN_GRANULES` granules."""
    days: dict[date, list[Path]] = {}
    while sum(map(len, days.values())) < MIN_GRANULES:
        day = DAY + timedelta(days=len(days))
        days[day] = []
        for stamp in known.layout.stamps(day):
            # With a name unlike that of the product, its time is not compared with the name.
            path = folder / f"{known.id} {stamp:%Y%m%dT%H%M}.copy"
            shutil.copyfile(original, path)
            days[day].append(path)
    with h5py.File(original) as file:
        held = [v for v in known.layout.variables if v.path in file]
    forcing = [v.name for v in held if v.use == "forcing"]
    return Work(known, tuple(forcing or [v.name for v in held]), days, simulated)


def works(real: Path, folder: Path) -> list[Work]:
    """Prepare every product with granules."""
    found = [
        work(product(name, version), real / file, folder, simulated=False)
        for name, version, file in REAL
        if (real / file).exists()
    ]
    for name, version in SIMULATED:
        served = granule.served_products().get(name)
        if served is not None:
            original = folder / f"{name}.original"
            known = product(name, version)
            stamp = known.layout.stamps(DAY)[0]
            granule.make_granule(SyntheticWeather(0), name, stamp, 1, original)
            found.append(work(known, original, folder, simulated=True))
    return found


def onto_cells(work: Work, domain: Domain, readers: Readers) -> None:
    """Read and regrid with msm."""
    if work.product.layout.grid.kind == "M36":
        row, col = parent(domain.row, domain.col)
        (row0, row1, col0, col1) = domain.window
        window = slice(row0 // NEST, -(-row1 // NEST)), slice(col0 // NEST, -(-col1 // NEST))
        for reading in readers.each(work.product, work.granules, window):
            for field in reading.fields.values():
                field[row - window[0].start, col - window[1].start]
        return
    for day, paths in work.days.items():
        mean_on_cells(domain, work.product, day, work.names, paths, readers)


def by_h5py(granule: tuple[Path, list[str]]) -> int:
    """Read variables, given by their paths in the file; return their bytes."""
    path, names = granule
    with h5py.File(path) as file:
        return sum(variable.nbytes for variable in [file[name][...] for name in names])


def by_xarray(work: Work, domain: Domain) -> None:
    """Open, average and regrid with xarray."""
    layout = work.product.layout
    lat, lon = layout.grid.axes()
    rows, cols = weights(LatLonGrid.from_centres(lat, lon), domain).needed
    variables = [v for v in layout.variables if v.name in work.names]
    group = variables[0].path.rpartition("/")[0]

    def prepared(dataset: xr.Dataset) -> xr.Dataset:
        fields = {}
        for variable in variables:
            stored = dataset[variable.path.rpartition("/")[2]].variable
            fields[variable.name] = xr.DataArray(stored.data, dims=variable.dims).mean(
                variable.dims[:-2], skipna=False
            )
        named = xr.Dataset(fields).assign_coords(lat=lat, lon=lon)
        return named.isel(lat=rows, lon=cols)

    target = xr.Dataset(
        coords={
            "lat": M09.lat[domain.window.row0 : domain.window.row1],
            "lon": M09.lon[domain.window.col0 : domain.window.col1],
        }
    )
    for paths in work.days.values():
        with xr.open_mfdataset(
            paths,
            group=group or None,
            engine="netcdf4",
            combine="nested",
            concat_dim="granule",
            preprocess=prepared,
            decode_times=False,
        ) as dataset:
            mean = dataset.transpose("granule", "lat", "lon").mean("granule", skipna=False)
            mean.regrid.conservative(target, latitude_coord="lat").compute()


def measure() -> dict[str, dict[str, float | str | None]]:
    """Return the MB/s of each product and the ratios to the peers, measured in one run."""
    folder = Path("build/bench/reading")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    domain = load_domain("conus")
    spawn = get_context("spawn")
    with (
        Readers(PROCESSES) as readers,
        Readers(1) as reader,
        ProcessPoolExecutor(PROCESSES, spawn) as pool,
        ProcessPoolExecutor(1, spawn) as one,
    ):

        def row(work: Work) -> dict[str, float | str | None]:
            stored = {v.name: v.path for v in work.product.layout.variables}
            inside = [(path, [stored[n] for n in names]) for path, names in work.granules]
            seconds = medians(
                {
                    "msm": lambda: onto_cells(work, domain, readers),
                    "h5py": lambda: list(pool.map(by_h5py, inside)),
                    "msm, whole": lambda: [None for _ in reader.each(work.product, work.granules)],
                    "h5py, one process": lambda: list(one.map(by_h5py, inside)),
                },
                ROUNDS,
            )
            xarray = None
            if work.product.layout.grid.kind == "latlon":
                xarray = medians({"xarray": lambda: by_xarray(work, domain)}, 1)["xarray"]
            megabytes = sum(path.stat().st_size for path, _ in inside) / 1e6
            return {
                "granules": len(inside),
                "MB each": megabytes / len(inside),
                "msm, MB/s": megabytes / seconds["msm"],
                "h5py, MB/s": megabytes / seconds["h5py"],
                "msm / h5py": seconds["h5py"] / seconds["msm"],
                "complete file, one process: msm / h5py": (
                    seconds["h5py, one process"] / seconds["msm, whole"]
                ),
                "times as fast as xarray": xarray and xarray / seconds["msm"],
            }

        return {
            work.product.id + (" (simulated)" if work.simulated else ""): row(work)
            for work in works(DATA / "granules", folder)
        }
