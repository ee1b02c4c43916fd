"""Forcing from granules written by hand, so that every number is known."""

from datetime import UTC, date, datetime, timedelta

import netCDF4
import numpy as np
import pytest

from msm.errors import MsmError
from msm.fields import forcing
from msm.fields.forcing import SourceError
from msm.grid.domain import load_domain
from msm.grid.regrid import LatLonGrid, regrid, weights
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.registry import product
from msm.sources.granule import Granule, GranuleFile
from msm.sources.tiers import choose

BOX = load_domain("box:38,39,-98.5,-97")
DAY = date(2016, 4, 1)


def write(folder, time, **values):
    """Write one hour with constant fields, NaN for fill."""
    layout = NLDAS.layout
    path = folder / layout.file_name.format(time=time)
    lat, lon = layout.grid.axes()
    with netCDF4.Dataset(path, "w") as dataset:
        for name, axis in (("lat", lat), ("lon", lon)):
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f4", (name,))[:] = axis
        dataset.createDimension("time", 1)
        stamp = dataset.createVariable("time", "f8", ("time",))
        stamp.units = "hours since 1979-01-01 00:00:00"
        stamp[:] = (time - datetime(1979, 1, 1, tzinfo=UTC)) / timedelta(hours=1)
        for variable in layout.variables:
            given = values.get(variable.name)
            if given is None:
                continue
            field = np.broadcast_to(np.asarray(given, np.float32), (lat.size, lon.size))
            stored = dataset.createVariable(variable.path, "f4", variable.dims, fill_value=-9999.0)
            stored[0] = np.where(np.isfinite(field), field, -9999.0)
    return GranuleFile(Granule("NLDAS_FORA0125_H", "2.0", path.name, time), path, 1, "0" * 64)


def day_of_files(folder, **changes):
    """Write 25 hours: hour h has h degrees above 280 K and h mm of rain in the hour before."""
    files = []
    for hour, time in enumerate(NLDAS.layout.stamps(DAY)):
        values = {
            "air_temperature": 280.0 + hour,
            "specific_humidity": 0.005,
            "shortwave_down": 200.0,
            "precipitation": hour / 24.0,
        }
        values |= {name: change(hour) for name, change in changes.items()}
        files.append(write(folder, time, **values))
    return files


def make(files, readers):
    choice = choose(BOX, DAY, lambda product: product is NLDAS)
    return forcing.make(BOX, DAY, choice, files, [], readers)


def test_each_variable_takes_exactly_its_intervals_of_the_day(tmp_path, readers):
    made = make(day_of_files(tmp_path), readers)
    # Instantaneous: hours 0..23. Totals of the hour before: stamps 1..24, in mm a day.
    np.testing.assert_allclose(made.fields["air_temperature"], 280 + 11.5, rtol=1e-6)
    np.testing.assert_allclose(made.fields["precipitation"], sum(range(1, 25)) / 24, rtol=1e-6)
    assert made.units["precipitation"] == "mm day-1"
    assert not made.filled.any()
    assert len(made.inputs) == 25
    assert {entry.role for entry in made.inputs} == {"forcing"}
    # Optional fields that no granule has are left out.
    assert set(made.fields) == {
        "air_temperature",
        "specific_humidity",
        "shortwave_down",
        "precipitation",
    }


def test_wind_turns_without_losing_its_speed(tmp_path, readers):
    turning = day_of_files(
        tmp_path, wind_east=lambda h: 3 * (-1) ** h, wind_north=lambda h: 4 * (-1) ** h
    )
    np.testing.assert_allclose(make(turning, readers).fields["wind_speed"], 5, rtol=1e-6)


def test_a_missing_hour_is_not_averaged_away(tmp_path, readers):
    files = day_of_files(tmp_path)
    del files[7]
    with pytest.raises(SourceError, match=r"lacks 1 of 25 granules \(2016-04-01T07Z\)"):
        make(files, readers)


def test_a_hole_in_one_hour_is_a_hole_in_the_day_and_is_filled_and_flagged(tmp_path, readers):
    lat, lon = NLDAS.layout.grid.axes()
    hole = (np.abs(lat[:, None] - 38.5) < 0.2) & (np.abs(lon - -98.0) < 0.2)

    def temperature(hour):
        return np.where(hole & (hour == 5), np.nan, 290.0)

    made = make(day_of_files(tmp_path, air_temperature=temperature), readers)
    assert 0 < made.filled.sum() < BOX.n_cell
    inside = (np.abs(BOX.lat - 38.5) < 0.1) & (np.abs(BOX.lon - -98.0) < 0.1)
    assert made.filled[inside].all()
    np.testing.assert_allclose(made.fields["air_temperature"], 290, rtol=1e-6)


def plain_mean(known, files, name):
    """Average whole grids, all at once."""
    several = known.layout.times > 1
    whole = {file.granule.time: known.read(file.path).fields[name] for file in files}
    used = known.used(name, DAY)
    stack = np.stack([whole[time][place] if several else whole[time] for time, place in used])
    return stack.mean(axis=0, dtype=np.float64)


@pytest.mark.parametrize(
    ("short_name", "version"),
    [("NLDAS_FORA0125_H", "2.0"), ("GLDAS_NOAH025_3H", "2.1"), ("M2T1NXSLV", "5.12.4")],
)
def test_reading_only_what_the_cells_need_changes_no_bit(tmp_path, readers, short_name, version):
    known = product(short_name, version)
    shape = known.layout.grid.rows, known.layout.grid.cols
    rng = np.random.default_rng(0)
    holes = rng.random(shape) < 0.1

    def temperature(*_):
        field = rng.uniform(250, 310, shape).astype(np.float32)
        return np.where(holes, np.float32(known.layout.variables[0].fill), field)

    files = write_granules(tmp_path, known, air_temperature=temperature)
    wanted = ["air_temperature"]
    paths = [file.path for file in files]
    made = forcing.mean_on_cells(BOX, known, DAY, wanted, paths, readers)["air_temperature"]
    onto = weights(LatLonGrid.from_centres(*known.layout.grid.axes()), BOX)
    expected = regrid(plain_mean(known, files, "air_temperature"), onto)[0].compute()
    assert np.isfinite(expected).sum() > BOX.n_cell / 2
    assert made.tobytes() == expected.tobytes()


def test_a_source_that_does_not_reach_the_domain_has_no_value(tmp_path, readers):
    spain = load_domain("box:40,40.4,-4,-3.6")
    with pytest.raises(SourceError, match="has no value anywhere in box:40"):
        forcing.of_product(spain, NLDAS, DAY, day_of_files(tmp_path), readers)


def test_an_empty_field_is_told(tmp_path, readers):
    files = day_of_files(tmp_path, shortwave_down=lambda h: np.nan if h == 3 else 200.0)
    with pytest.raises(
        MsmError, match=r"shortwave_down of NLDAS_FORA0125_H 2.0 on 2016-04-01 has no value"
    ):
        make(files, readers)


@pytest.mark.parametrize(
    ("name", "value"),
    [("air_temperature", 15.0), ("specific_humidity", 5.0), ("precipitation", -1.0)],
)
def test_values_in_other_units_are_told(tmp_path, readers, name, value):
    files = day_of_files(tmp_path, **{name: lambda _: value})
    with pytest.raises(MsmError, match=f"{name} .* the granules are wrong or their units"):
        make(files, readers)


# Around the domain on each kind of grid; granules cut to it are placed by their axes.
WINDOWS = {"latlon": (slice(None), slice(None)), "M09": (slice(290, 330), slice(850, 900))}
ORDINARY = {
    "precipitation": 1e-5,
    "air_temperature": 280.0,
    "specific_humidity": 0.005,
    "shortwave_down": 200.0,
    "longwave": 300.0,
    "surface_pressure": 95000.0,
    "wind": 3.0,
    "soil_moisture": 0.2,
}


def write_granules(folder, known, **values):
    """Write a day of any product; `values` are functions of granule time and place in it."""
    layout = known.layout
    grid = layout.grid
    rows, cols = WINDOWS[grid.kind]
    row_axis, col_axis = grid.axes()
    row_name, col_name = ("lat", "lon") if grid.lat else ("y", "x")
    files = []
    for stamp in layout.stamps(DAY):
        names = [
            layout.file_name.format(time=stamp, release=release, counter="001")
            for release in ("400", "Vv8011")
        ]
        name = next(name for name in names if layout.matches(name))
        with netCDF4.Dataset(folder / name, "w") as dataset:
            for axis, centres in ((row_name, row_axis[rows]), (col_name, col_axis[cols])):
                dataset.createDimension(axis, centres.size)
                dataset.createVariable(axis, "f8", (axis,))[:] = centres
            dataset.createDimension("time", layout.times)
            time = dataset.createVariable("time", "f8", ("time",))
            time.units = f"seconds since {stamp:%Y-%m-%d %H:%M:%S}"
            places = np.arange(layout.times)
            time[:] = places * layout.interval.total_seconds() - layout.stamp.offset_seconds
            for variable in layout.variables:
                *group, leaf = variable.path.split("/")
                place = dataset.createGroup(group[0]) if group else dataset
                stored = place.createVariable(leaf, "f4", variable.dims, fill_value=variable.fill)
                ordinary = next(v for n, v in ORDINARY.items() if variable.name.startswith(n))
                for n in places:
                    value = values.get(variable.name, lambda *_, v=ordinary: v)(stamp, n)
                    stored[n if "time" in variable.dims else ...] = value
        granule = Granule(layout.product, layout.version, name, stamp)
        files.append(GranuleFile(granule, folder / name, 1, "0" * 64))
    return files


def test_a_day_on_the_9_km_grid_is_only_indexed(tmp_path, readers):
    fields = np.random.default_rng(1).uniform(250, 310, (8, 40, 50)).astype(np.float32)
    known = product("SPL4SMGP", "008")
    stamps = known.layout.stamps(DAY)
    name = "air_temperature_lowest_level"
    files = write_granules(tmp_path, known, **{name: lambda t, _: fields[stamps.index(t)]})
    made = forcing.of_product(BOX, known, DAY, files, readers)
    mean = fields.mean(axis=0, dtype=np.float64).astype(np.float32)
    cells = mean[BOX.row - 290, BOX.col - 850]
    assert made[name].tobytes() == cells.tobytes()
    np.testing.assert_allclose(made["precipitation"], 0.864, rtol=1e-6)
    # Other quantities keep other names, and what is for comparison is not made into forcing.
    assert set(made) == {
        "precipitation",
        name,
        "specific_humidity_lowest_level",
        "shortwave_down",
        "longwave_absorbed",
        "surface_pressure",
        "wind_speed_lowest_level",
    }


def hours_after_midnight(stamp, place):
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    return 200 + (stamp - start) / timedelta(hours=1) + place


def test_gldas_takes_means_before_the_stamp_and_moments_at_it(tmp_path, readers):
    hours = dict.fromkeys(("shortwave_down", "air_temperature"), hours_after_midnight)
    known = product("GLDAS_NOAH025_3H", "2.1")
    files = write_granules(tmp_path, known, **hours)
    made = forcing.of_product(BOX, known, DAY, files, readers)
    np.testing.assert_allclose(made["shortwave_down"], 200 + np.mean(range(3, 25, 3)), rtol=1e-6)
    np.testing.assert_allclose(made["air_temperature"], 200 + np.mean(range(0, 24, 3)), rtol=1e-6)
    assert not [name for name in made if name.startswith("soil_moisture")]


def test_merra2_takes_the_hours_of_its_one_granule(tmp_path, readers):
    known = product("M2T1NXSLV", "5.12.4")
    files = write_granules(
        tmp_path,
        known,
        air_temperature=hours_after_midnight,
        wind_east=lambda _, hour: 3 * (-1) ** hour,
        wind_north=lambda _, hour: 4 * (-1) ** hour,
    )
    assert len(files) == 1
    made = forcing.of_product(BOX, known, DAY, files, readers)
    np.testing.assert_allclose(made["air_temperature"], 211.5, rtol=1e-6)
    np.testing.assert_allclose(made["wind_speed"], 5, rtol=1e-6)


def test_humidity_a_hair_below_zero_is_zero_and_more_is_refused(tmp_path, readers):
    made = make(day_of_files(tmp_path, specific_humidity=lambda _: -0.0003), readers)
    np.testing.assert_array_equal(made.fields["specific_humidity"], 0)
    with pytest.raises(MsmError, match=r"specific_humidity .* the granules are wrong"):
        make(day_of_files(tmp_path, specific_humidity=lambda _: -0.01), readers)
