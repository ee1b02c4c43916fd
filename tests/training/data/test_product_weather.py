from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.grid.domain import Domain, load_domain
from msm.training.data.product_weather import stored_days, stored_samples
from msm.training.data.samples import SamplesError
from msm.training.data.stations import Stations
from tests.training.buckets import stations

FIRST, LAST = date(2014, 2, 1), date(2014, 2, 4)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return load_domain("box:37,39,-98,-94")


def _fields(domain: Domain, day: date | None, fields: dict[str, np.ndarray]) -> CellFields:
    nothing = np.zeros(domain.n_cell, bool)
    return CellFields(
        mask_sha256=domain.mask_sha256,
        day=day,
        fields={name: values.astype(np.float32) for name, values in fields.items()},
        units=dict.fromkeys(fields, "1"),
        filled=nothing,
        inputs=(),
        lower_tier=nothing,
    )


@pytest.fixture
def work(tmp_path: Path, domain: Domain) -> Path:
    """Rain that tells the cell and the day."""
    for n in range(4):
        day = FIRST + timedelta(days=n)
        path = tmp_path / f"{day:%Y}" / f"{day:%Y%m%d}.nc"
        path.parent.mkdir(parents=True, exist_ok=True)
        rain = np.arange(domain.n_cell) + 0.1 * n
        cell_fields.write(path, _fields(domain, day, {"precipitation": rain}))
    sand = domain.lat / 100
    cell_fields.write(tmp_path / "statics.nc", _fields(domain, None, {"sand": sand}))
    return tmp_path


def _placed() -> Stations:
    """Two stations in the box, and all others elsewhere."""
    found = stations()
    found.lat[:2], found.lon[:2] = (38.0, 38.5), (-97.0, -95.0)
    return found


def test_stations_get_the_stored_inputs_of_their_cells(work: Path, domain: Domain):
    own = _placed()
    found = stored_samples(own, domain, work, work / "statics.nc", FIRST, LAST)
    assert found.names.tolist() == own.names[:2].tolist()
    assert found.days[[0, -1]].tolist() == [FIRST, LAST]
    distance = np.hypot(domain.lat - 38.0, domain.lon + 97.0)
    nearest = distance.argmin()
    np.testing.assert_allclose(
        found.forcing["precipitation"][0], nearest + 0.1 * np.arange(4), rtol=1e-5
    )
    np.testing.assert_allclose(found.statics["sand"], found.lat / 100, atol=1e-3)
    span = own.between(FIRST, LAST)
    np.testing.assert_array_equal(found.target, span.target[:2])


def test_the_first_and_last_stored_day(work: Path, tmp_path: Path):
    assert stored_days(work) == (FIRST, LAST)
    with pytest.raises(SamplesError, match=r"No forcing is stored in .*empty: run msm fetch"):
        stored_days(tmp_path / "empty")


def test_missing_stored_fields_are_named(work: Path, domain: Domain):
    late = LAST + timedelta(days=1)
    with pytest.raises(SamplesError, match=r"of 2014-02-05 is not stored .* msm fetch 2014-02-01"):
        stored_samples(_placed(), domain, work, work / "statics.nc", FIRST, late)
    with pytest.raises(SamplesError, match=r"statics .* are not stored"):
        stored_samples(_placed(), domain, work, work / "none.nc", FIRST, LAST)
    with pytest.raises(SamplesError, match="No station lies in a cell of box:37"):
        stored_samples(stations(n=4), domain, work, work / "statics.nc", FIRST, LAST)
