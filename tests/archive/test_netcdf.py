import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.archive import netcdf
from msm.archive.netcdf import Revision, read_header, write
from msm.archive.quality import ALL_BITS
from msm.errors import MsmError
from msm.grid.domain import load_domain
from msm.grid.ease import M09

DAY = date(2016, 4, 1)


def run(*command: object) -> str:
    """Run a program and return what it prints; anything on stderr fails the test."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "arning" in line], done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def daily_map(make_map):
    return make_map(DAY)


@pytest.fixture(scope="module")
def published(tmp_path_factory, daily_map) -> Path:
    path = tmp_path_factory.mktemp("published") / "map.nc"
    write(path, daily_map, Revision(2, f"{9:064x}"))
    return path


@pytest.fixture(scope="module")
def month(tmp_path_factory, make_map) -> list[Path]:
    """Thirty files, one for each day of April."""
    folder = tmp_path_factory.mktemp("month")
    paths = []
    for n in range(30):
        day = DAY + timedelta(days=n)
        paths.append(folder / f"{day:%Y%m%d}.nc")
        write(paths[-1], make_map(day, seed=n))
    return paths


def test_values_read_back_on_cells(published, daily_map):
    domain = daily_map.domain
    with netCDF4.Dataset(published) as dataset:
        values = np.ma.filled(dataset["soil_moisture"][0].astype(float), np.nan)
        flag = dataset["quality_flag"][0]
        digits = dataset["soil_moisture"].least_significant_digit
        assert dataset["time"].units == "days since 2000-01-01 00:00:00"
        start, end = netCDF4.num2date(dataset["time_bnds"][0], dataset["time"].units)
        noon = netCDF4.num2date(dataset["time"][0], dataset["time"].units)
    assert [f"{t:%Y-%m-%dT%H}" for t in (start, noon, end)] == [
        "2016-04-01T00", "2016-04-01T12", "2016-04-02T00"
    ]  # fmt: skip
    np.testing.assert_allclose(
        domain.from_map(values), daily_map.soil_moisture, rtol=0, atol=0.5 * 10.0**-digits
    )
    np.testing.assert_array_equal(domain.from_map(flag), daily_map.quality_flag)
    # Outside the cells there is neither a value nor a flag.
    assert np.ma.count(flag) == domain.n_cell
    assert np.isfinite(values).sum() == np.isfinite(daily_map.soil_moisture).sum()


def test_the_header_reads_back(published, daily_map):
    header = read_header(published)
    assert header.lineage == daily_map.lineage
    assert (header.domain, header.day) == (daily_map.domain.name, DAY)
    assert header.revision == Revision(2, f"{9:064x}")
    assert header.mask_sha256 == daily_map.domain.mask_sha256
    assert abs(header.created - datetime.now(UTC)) < timedelta(minutes=10)
    west, south, east, north = header.bbox
    lat, lon = daily_map.domain.lat, daily_map.domain.lon
    assert west < lon.min() < lon.max() < east
    assert south < lat.min() < lat.max() < north


@given(
    st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    st.integers(0, ALL_BITS),
    st.dates(date(2015, 4, 1), date(2040, 1, 1)),
)
def test_any_values_flags_and_days_read_back(tmp_path_factory, make_map, some, flag, day):
    base = make_map(day)
    values = np.resize(np.array(some, np.float32), base.domain.n_cell)
    flags = np.full(base.domain.n_cell, flag, np.uint8)
    path = tmp_path_factory.mktemp("any") / "any.nc"
    write(path, replace(base, soil_moisture=values, quality_flag=flags))
    with netCDF4.Dataset(path) as dataset:
        back = base.domain.from_map(dataset["soil_moisture"][0])
        assert not np.ma.is_masked(back)
        np.testing.assert_allclose(back, values, rtol=0, atol=2**-15)
        assert np.all(base.domain.from_map(dataset["quality_flag"][0]) == flag)
    assert read_header(path).day == day


def test_a_rerun_writes_the_same_data_bytes(tmp_path, daily_map, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2016, 4, 5, tzinfo=tz)

    monkeypatch.setattr(netcdf, "datetime", Clock)
    digests = set()
    for name in ("a.nc", "b.nc"):
        write(tmp_path / name, daily_map)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1, "with a stopped clock the complete file is the same"


PARTS = ["soil_moisture_aleatoric_uncertainty", "soil_moisture_epistemic_uncertainty"]


def test_the_uncertainty_reads_back_as_total_and_parts(published, daily_map):
    with netCDF4.Dataset(published) as dataset:
        linked = dataset["soil_moisture"].ancillary_variables.split()
        assert linked == ["soil_moisture_uncertainty", *PARTS, "quality_flag"]
        total, *parts = (
            daily_map.domain.from_map(dataset[name][0].astype(float)) for name in linked[:3]
        )
        digit = 0.5 * 10.0 ** -dataset[linked[0]].least_significant_digit
        for name in linked[:3]:
            assert (dataset[name].units, dataset[name].dtype) == ("m3 m-3", "f4")
        # CF's standard error is the total.
        assert dataset[linked[0]].standard_name.endswith(" standard_error")
        assert not any("standard_name" in dataset[name].ncattrs() for name in PARTS)
    np.testing.assert_allclose(parts[0], daily_map.aleatoric, rtol=0, atol=digit)
    np.testing.assert_allclose(parts[1], daily_map.epistemic, rtol=0, atol=digit)
    np.testing.assert_allclose(total, np.hypot(*parts), rtol=0, atol=3 * digit)


@pytest.mark.parametrize(
    ("uncertainty", "linked"),
    [("total", "soil_moisture_uncertainty quality_flag"), (None, "quality_flag")],
)
def test_uncertainty_or_its_parts_may_be_left_out(tmp_path, make_map, uncertainty, linked):
    write(tmp_path / "map.nc", make_map(DAY, uncertainty=uncertainty))
    with netCDF4.Dataset(tmp_path / "map.nc") as dataset:
        there = [name for name in dataset.variables if "uncertainty" in name]
        assert [*there, "quality_flag"] == linked.split()
        assert dataset["soil_moisture"].ancillary_variables == linked


def test_attributes_are_plain_text(published, tool):
    """A netCDF-4 string attribute is skipped by some readers; CDO warns of it."""
    assert "\t\tstring " not in run(tool("ncdump"), "-h", published)


def test_ncdump_shows_the_layout(published, tool):
    header = run(tool("ncdump"), "-hs", published)
    for line in (
        "time = UNLIMITED ; // (1 currently)",
        "float soil_moisture(time, y, x) ;",
        "ubyte quality_flag(time, y, x) ;",
        'soil_moisture:units = "m3 m-3" ;',
        'soil_moisture:grid_mapping = "crs" ;',
        'soil_moisture:_Shuffle = "true" ;',
        'crs:grid_mapping_name = "lambert_cylindrical_equal_area" ;',
        "crs:standard_parallel = 30. ;",
        ":product_revision = 2 ;",
    ):
        assert line in header


def checker_report(path: Path, tmp_path: Path) -> dict:
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.json"
    ComplianceChecker.run_checker(
        str(path), ["cf:1.11", "acdd:1.3"], 0, "normal",
        output_filename=str(report), output_format="json",
    )  # fmt: skip
    return json.loads(report.read_text())


GRID_MAPPING_FAULT = {
    f"{letter} is a required attribute for grid mapping lambert_cylindrical_equal_area"
    for letter in "longitude_of_central_meridian"
}
"""IOOS checker 6.1 reads the attribute's name letter by letter."""

SCALAR_BOUNDS_FAULT = {
    "Boundary variable depth_bnds specified by depth should have at least two dimensions to "
    "enclose the base case of a one dimensionsal variable"
}
"""It requires two dimensions for the bounds of a scalar, for which CF (7.1) has exactly one."""


NO_STANDARD_NAME = {f'variable "{name}" missing the following attributes:' for name in PARTS}
"""ACDD recommends a standard name for each variable; CF has none for a part of an uncertainty."""


@pytest.mark.parametrize("uncertainty", ["total", "split"])
def test_the_ioos_checker_finds_no_fault(make_map, tmp_path, uncertainty):
    write(tmp_path / "map.nc", make_map(DAY, uncertainty=uncertainty), Revision(2, f"{9:064x}"))
    report = checker_report(tmp_path / "map.nc", tmp_path)
    assert {"cf:1.11", "acdd:1.3"} <= set(report)
    for name in ("cf:1.11", "acdd:1.3"):
        checks = [*report[name]["high_priorities"]]
        if name == "cf:1.11":
            checks += report[name]["medium_priorities"]
        assert len(checks) > 5, "the checker ran nothing"
        found = {
            message
            for check in checks
            for message in check["msgs"]
            if (check["name"] in NO_STANDARD_NAME, message) != (True, "standard_name")
        }
        assert found - GRID_MAPPING_FAULT - SCALAR_BOUNDS_FAULT == set()


@pytest.mark.filterwarnings("error")
def test_xarray_opens_it(published, daily_map):
    import xarray as xr

    domain = daily_map.domain
    with xr.open_dataset(published) as dataset:
        assert dataset["soil_moisture"].dims == ("time", "y", "x")
        assert dataset["time"].values[0] == np.datetime64("2016-04-01T12:00")
        assert {"lat", "lon", "depth"} <= set(dataset["soil_moisture"].coords)
        assert float(dataset["depth"]) == 0.025
        cell = 1000
        here = dataset["soil_moisture"].sel(
            y=M09.y[domain.row[cell]], x=M09.x[domain.col[cell]], method="nearest"
        )
        assert float(here[0]) == pytest.approx(float(daily_map.soil_moisture[cell]), abs=1e-4)
        assert float(here.lat) == pytest.approx(domain.lat[cell], abs=1e-9)


def test_rioxarray_finds_projection_and_pixel(published, daily_map):
    import rioxarray

    domain = daily_map.domain
    with rioxarray.open_rasterio(published, masked=True, variable="soil_moisture") as opened:
        raster = opened["soil_moisture"]
        assert raster.rio.crs.to_epsg() == 6933
        assert raster.rio.transform().a == pytest.approx(9008.055210146)
        inverse = ~raster.rio.transform()
        column = inverse.c + inverse.a * M09.x[domain.col[1000]]
        row = inverse.f + inverse.e * M09.y[domain.row[1000]]
        value = float(np.squeeze(raster.values)[int(row), int(column)])
    assert value == pytest.approx(float(daily_map.soil_moisture[1000]), abs=1e-4)


def test_gdal_picks_the_right_cell_by_longitude_and_latitude(published, daily_map, tool):
    domain, source = daily_map.domain, f"NETCDF:{published}:soil_moisture"
    info = json.loads(run(tool("gdalinfo"), "-json", source))
    assert 'ID["EPSG",6933]]' in info["coordinateSystem"]["wkt"]
    assert info["geoTransform"][1] == pytest.approx(9008.055210146)
    assert info["bands"][0]["noDataValue"] == -9999.0
    for cell in (5, 1000, domain.n_cell - 1):
        place = f"{domain.lon[cell]:.9f}", f"{domain.lat[cell]:.9f}"
        value = run(tool("gdallocationinfo"), "-valonly", "-wgs84", source, *place)
        assert float(value) == pytest.approx(float(daily_map.soil_moisture[cell]), abs=1e-4)
    # The middle of Lake Michigan is not mapped.
    assert float(run(tool("gdallocationinfo"), "-valonly", "-wgs84", source, -87, 43)) == -9999


def test_cdo_reads_and_remaps_without_a_warning(published, daily_map, tmp_path, tool):
    info = run(tool("cdo"), "sinfo", published)
    for text in ("curvilinear", "lambert_cylindrical_equal_area", "0-0.05 m", "2016-04-01 12:00"):
        assert text in info
    one = "-selname,soil_moisture"
    mean = run(tool("cdo"), "-s", "output", "-fldmean", one, published)
    # Cells of the equal-area grid weigh the same.
    assert float(mean) == pytest.approx(float(np.nanmean(daily_map.soil_moisture)), abs=1e-4)
    run(tool("cdo"), "remapcon,r360x180", one, published, tmp_path / "degree.nc")
    coarse = run(tool("cdo"), "-s", "output", "-fldmean", tmp_path / "degree.nc")
    assert float(coarse) == pytest.approx(float(mean), abs=0.02)


def test_a_month_stacks_with_cdo(month, tmp_path, tool):
    run(tool("cdo"), "mergetime", *month, tmp_path / "april.nc")
    dates = run(tool("cdo"), "-s", "showdate", tmp_path / "april.nc").split()
    assert dates == [f"2016-04-{n:02}" for n in range(1, 31)]
    assert_stacked(month, tmp_path / "april.nc")


def test_a_month_stacks_with_nco(month, tmp_path, tool):
    ncrcat = Path(tool("ncra")).with_name("ncrcat")
    run(ncrcat, *month, tmp_path / "april.nc")
    assert_stacked(month, tmp_path / "april.nc")


@pytest.mark.filterwarnings("error")
def test_a_month_stacks_with_xarray(month):
    import rioxarray  # noqa: F401
    import xarray as xr

    with xr.open_mfdataset([str(p) for p in month]) as stack:
        assert stack["soil_moisture"].dims == ("time", "y", "x")
        assert stack.sizes["time"] == 30
        assert stack["lat"].dims == stack["lon"].dims == ("y", "x")
        assert stack["crs"].dims == ()
        assert stack["soil_moisture"].rio.crs.to_epsg() == 6933
        last = stack["soil_moisture"][-1].values
    with netCDF4.Dataset(month[-1]) as day:
        np.testing.assert_array_equal(last, np.ma.filled(day["soil_moisture"][0], np.nan))


def assert_stacked(month: list[Path], stacked: Path) -> None:
    with netCDF4.Dataset(stacked) as stack:
        assert stack["soil_moisture"].shape[0] == len(month)
        assert stack["time_bnds"].shape == (len(month), 2)
        assert np.all(np.diff(stack["time"][:]) == 1)
        for n in (0, 17, 29):
            with netCDF4.Dataset(month[n]) as day:
                for name in ("soil_moisture", *PARTS, "quality_flag"):
                    np.testing.assert_array_equal(stack[name][n], day[name][0])


@pytest.mark.parametrize("settings", [{}, {"device": "cuda", "accepted": [1.5, None, {"a": True}]}])
def test_settings_are_an_attribute_in_json_unless_there_are_none(tmp_path, make_map, settings):
    write(tmp_path / "map.nc", make_map(DAY, settings=settings))
    with netCDF4.Dataset(tmp_path / "map.nc") as dataset:
        assert ("settings" in dataset.ncattrs()) == bool(settings)
        assert json.loads(getattr(dataset, "settings", "{}")) == settings
    assert read_header(tmp_path / "map.nc").lineage.settings == settings


def test_a_file_of_another_origin_is_refused(tmp_path):
    (tmp_path / "page.nc").write_text("<html>")
    with pytest.raises(MsmError, match=r"page\.nc is not a readable map of msm"):
        read_header(tmp_path / "page.nc")
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as dataset:
        dataset.title = "something else"
    with pytest.raises(MsmError, match="publish its day again"):
        read_header(tmp_path / "other.nc")


def test_a_long_list_of_inputs_fits(tmp_path, make_map):
    """HDF5 keeps small attributes in 64 kB; a day of many granules needs more."""
    base = make_map(DAY)
    many = base.lineage.inputs * 20
    lineage = base.lineage.model_copy(update={"inputs": many})
    write(tmp_path / "map.nc", replace(base, lineage=lineage))
    assert read_header(tmp_path / "map.nc").lineage.inputs == many


def test_one_conus_day_is_small(tmp_path, make_map):
    write(tmp_path / "conus.nc", make_map(DAY, on=load_domain("conus")))
    assert (tmp_path / "conus.nc").stat().st_size < 1_000_000
    with netCDF4.Dataset(tmp_path / "conus.nc") as dataset:
        assert dataset["soil_moisture"].chunking() == [1, netcdf.CHUNK, netcdf.CHUNK]
