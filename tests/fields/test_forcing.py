"""Forcing from granules that are written value by value."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from msm.fields import forcing
from msm.fields.forcing import SourceError
from msm.grid.domain import load_domain
from msm.grid.regrid import LatLonGrid, regrid, weights
from msm.products.definitions import GLDAS_NOAH025_3H_2_1 as GLDAS
from msm.products.definitions import M2T1NXSLV as MERRA
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import SPL4SMGP_008 as L4
from msm.sources.granule import Granule, GranuleFile
from msm.sources.tiers import choose
from tests.products.granule_files import write

BOX = load_domain("box:38,39,-98.5,-97")
DAY = date(2016, 4, 1)
MIDNIGHT = datetime(2016, 4, 1, tzinfo=UTC)

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


def write_day(folder, product, **values):
    """Write a day of a product.

    Values are functions of granule time that return stored values, or None for a variable that is
    absent.
    """
    files = []
    layout = product.layout
    for time in layout.stamps(DAY):
        fields = {
            variable.name: next(v for n, v in ORDINARY.items() if variable.name.startswith(n))
            for variable in layout.variables
        } | {name: value and value(time) for name, value in values.items()}
        written = {name: value for name, value in fields.items() if value is not None}
        path = write(folder, product, time, written, *WINDOWS[layout.grid.kind])
        granule = Granule(layout.product, layout.version, path.name, time)
        files.append(GranuleFile(granule, path, 1, "0" * 64))
    return files


def write_nldas(folder, **values):
    """Write 25 hours: hour h has h K above 280 K and h mm per day of rain in the hour before."""
    absent = dict.fromkeys(("surface_pressure", "longwave_down", "wind_east", "wind_north"))
    known = {
        "air_temperature": lambda hour: 280.0 + hour,
        "precipitation": lambda hour: hour / 24.0,
    }
    return write_day(
        folder,
        NLDAS,
        **absent,
        **{
            name: lambda time, value=value: value(hours_of(time))
            for name, value in (known | values).items()
        },
    )


def hours_of(time):
    return round((time - MIDNIGHT) / timedelta(hours=1))


def nldas_forcing(files, readers):
    choice = choose(BOX, DAY, lambda product: product is NLDAS)
    return forcing.daily_forcing(BOX, DAY, choice, files, [], readers)


def test_each_variable_is_averaged_over_its_intervals_of_the_day(tmp_path, readers):
    found = nldas_forcing(write_nldas(tmp_path), readers)
    # Instantaneous: hours 0 to 23. Totals of the hour before: times 1 to 24, in mm per day.
    np.testing.assert_allclose(found.fields["air_temperature"], 280 + 11.5, rtol=1e-6)
    np.testing.assert_allclose(found.fields["precipitation"], sum(range(1, 25)) / 24, rtol=1e-6)
    assert found.units["precipitation"] == "mm day-1"
    assert not found.filled.any()
    assert len(found.inputs) == 25
    assert {entry.role for entry in found.inputs} == {"forcing"}
    # Optional fields that no granule has are left out.
    assert set(found.fields) == {
        "air_temperature",
        "specific_humidity",
        "shortwave_down",
        "precipitation",
    }


def test_opposite_winds_do_not_cancel(tmp_path, readers):
    files = write_day(
        tmp_path,
        NLDAS,
        wind_east=lambda time: 3 * (-1) ** time.hour,
        wind_north=lambda time: 4 * (-1) ** time.hour,
    )
    np.testing.assert_allclose(nldas_forcing(files, readers).fields["wind_speed"], 5, rtol=1e-6)


def test_missing_hour_refuses_the_source(tmp_path, readers):
    files = write_nldas(tmp_path)
    del files[7]
    with pytest.raises(SourceError, match=r"is missing 1 of 25 granules \(2016-04-01T07Z\)"):
        nldas_forcing(files, readers)


def test_gap_in_one_hour_is_filled_for_the_day_and_flagged(tmp_path, readers):
    lat, lon = NLDAS.layout.grid.axes()
    gap = (np.abs(lat[:, None] - 38.5) < 0.2) & (np.abs(lon - -98.0) < 0.2)

    def temperature(hour):
        return np.where(gap & (hour == 5), -9999.0, 290.0)

    found = nldas_forcing(write_nldas(tmp_path, air_temperature=temperature), readers)
    assert 0 < found.filled.sum() < BOX.n_cell
    inside = (np.abs(BOX.lat - 38.5) < 0.1) & (np.abs(BOX.lon - -98.0) < 0.1)
    assert found.filled[inside].all()
    np.testing.assert_allclose(found.fields["air_temperature"], 290, rtol=1e-6)


def mean_of_complete_fields(product, files, name):
    several = product.layout.times > 1
    fields = {file.granule.time: product.read(file.path).fields[name] for file in files}
    used = product.used(name, DAY)
    stack = np.stack([fields[time][index] if several else fields[time] for time, index in used])
    return stack.mean(axis=0, dtype=np.float64)


@pytest.mark.parametrize("product", [NLDAS, GLDAS, MERRA], ids=lambda product: product.id)
def test_reading_a_window_gives_the_same_bits(tmp_path, readers, product):
    layout = product.layout
    shape = layout.times, layout.grid.rows, layout.grid.cols
    rng = np.random.default_rng(0)
    gaps = rng.random(shape[1:]) < 0.1

    def temperature(_):
        field = rng.uniform(250, 310, shape).astype(np.float32)
        return np.where(gaps, np.float32(layout.variables[0].fill), field)

    files = write_day(tmp_path, product, air_temperature=temperature)
    wanted = ["air_temperature"]
    paths = [file.path for file in files]
    found = forcing.mean_on_cells(BOX, product, DAY, wanted, paths, readers)["air_temperature"]
    onto = weights(LatLonGrid.from_centres(*layout.grid.axes()), BOX)
    mean = mean_of_complete_fields(product, files, "air_temperature")
    expected = regrid(mean, onto)[0].compute()
    assert np.isfinite(expected).sum() > BOX.n_cell / 2
    assert found.tobytes() == expected.tobytes()


def test_domain_outside_the_source_is_refused(tmp_path, readers):
    spain = load_domain("box:40,40.4,-4,-3.6")
    with pytest.raises(SourceError, match="has no value anywhere in box:40"):
        forcing.daily_fields(spain, NLDAS, DAY, write_nldas(tmp_path), readers)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "shortwave_down",
            lambda hour: -9999.0 if hour == 3 else 200.0,
            "on 2016-04-01 has no value",
        ),
        ("air_temperature", lambda _: 15.0, "the granules are wrong or their units"),
        ("specific_humidity", lambda _: 5.0, "the granules are wrong or their units"),
        ("specific_humidity", lambda _: -0.01, "the granules are wrong or their units"),
        ("precipitation", lambda _: -1.0, "the granules are wrong or their units"),
    ],
    ids=["empty", "in Celsius", "in g kg-1", "negative humidity", "negative rain"],
)
def test_empty_or_implausible_field_is_refused(tmp_path, readers, name, value, message):
    files = write_nldas(tmp_path, **{name: value})
    with pytest.raises(SourceError, match=f"{name} of NLDAS_FORA0125_H 2.0 .*{message}"):
        nldas_forcing(files, readers)


def test_slightly_negative_humidity_becomes_zero(tmp_path, readers):
    found = nldas_forcing(write_nldas(tmp_path, specific_humidity=lambda _: -0.0003), readers)
    np.testing.assert_array_equal(found.fields["specific_humidity"], 0)


def test_fields_on_the_9_km_grid_are_only_indexed(tmp_path, readers):
    fields = np.random.default_rng(1).uniform(250, 310, (8, 40, 50)).astype(np.float32)
    stamps = L4.layout.stamps(DAY)
    name = "air_temperature_lowest_level"
    files = write_day(tmp_path, L4, **{name: lambda time: fields[stamps.index(time)]})
    found = forcing.daily_fields(BOX, L4, DAY, files, readers)
    mean = fields.mean(axis=0, dtype=np.float64).astype(np.float32)
    cells = mean[BOX.row - 290, BOX.col - 850]
    assert found[name].tobytes() == cells.tobytes()
    np.testing.assert_allclose(found["precipitation"], 0.864, rtol=1e-6)
    # Other quantities keep other names; variables for comparison are no forcing.
    assert set(found) == {
        "precipitation",
        name,
        "specific_humidity_lowest_level",
        "shortwave_down",
        "longwave_absorbed",
        "surface_pressure",
        "wind_speed_lowest_level",
    }


def test_gldas_means_are_before_the_time_and_instants_at_it(tmp_path, readers):
    hours = dict.fromkeys(
        ("shortwave_down", "air_temperature"), lambda time: 200.0 + hours_of(time)
    )
    found = forcing.daily_fields(BOX, GLDAS, DAY, write_day(tmp_path, GLDAS, **hours), readers)
    np.testing.assert_allclose(found["shortwave_down"], 200 + np.mean(range(3, 25, 3)), rtol=1e-6)
    np.testing.assert_allclose(found["air_temperature"], 200 + np.mean(range(0, 24, 3)), rtol=1e-6)
    assert not [name for name in found if name.startswith("soil_moisture")]


def test_merra2_takes_the_hours_of_its_one_granule(tmp_path, readers):
    hour = np.arange(24.0)[:, None, None]
    files = write_day(
        tmp_path,
        MERRA,
        air_temperature=lambda _: 200 + hour,
        wind_east=lambda _: 3 * (-1) ** hour,
        wind_north=lambda _: 4 * (-1) ** hour,
    )
    assert len(files) == 1
    found = forcing.daily_fields(BOX, MERRA, DAY, files, readers)
    np.testing.assert_allclose(found["air_temperature"], 211.5, rtol=1e-6)
    np.testing.assert_allclose(found["wind_speed"], 5, rtol=1e-6)
