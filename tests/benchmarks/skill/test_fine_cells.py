"""The cells of 9 km in a cell of 36 km, their stored inputs and their average."""

from datetime import date, timedelta

import numpy as np
import pytest

from benchmarks.skill.fine_cells import FORCING, SOIL, averaged, fine_samples
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.grid.ease import M36
from msm.pipeline.run import Run
from msm.settings import Settings
from msm.training.data.samples import Samples

BOX = "box:38,40,-98.5,-96"
FIRST, N_DAY = date(2016, 6, 1), 3


@pytest.fixture
def run(tmp_path):
    """A run whose stored weather encodes cell and day, and whose statics encode the cell."""
    made = Run(Settings(work=tmp_path, domain=BOX), readers=None)
    n = made.domain.n_cell

    def write(path, day, fields):
        nothing = np.zeros(n, bool)
        found = {name: values.astype(np.float32) for name, values in fields.items()}
        units = dict.fromkeys(fields, "1")
        mask = made.domain.mask_sha256
        cell_fields.write(path, CellFields(mask, day, found, units, nothing, (), nothing))

    for number in range(N_DAY):
        day = FIRST + timedelta(days=number)
        write(
            made.workspace.forcing(day),
            day,
            {name: np.arange(n) + 1000.0 * number for name in FORCING},
        )
    write(made.workspace.statics, None, dict.fromkeys(SOIL, made.domain.lat / 100))
    return made


@pytest.fixture
def pixels():
    """A cell of 36 km inside the box, one across its edge, and one outside."""
    row, col = M36.rowcol(np.array([39.0, 39.9, 30.0]), np.array([-97.2, -97.2, -97.2]))
    lat, lon = M36.lat[row], M36.lon[col]
    shape = 3, N_DAY
    return Samples(
        lat=lat,
        lon=lon,
        days=np.datetime64(FIRST) + np.arange(N_DAY),
        forcing={},
        statics={},
        target=np.arange(9, dtype=np.float32).reshape(shape),
    )


def test_inner_cells_are_those_of_the_nested_grid(run, pixels):
    fine, coarse = fine_samples(run, pixels)
    counts = np.bincount(coarse.sample, minlength=3)
    assert counts[0] == 16
    assert counts[1] == 12
    assert counts[2] == 0
    assert np.abs(fine.lat - pixels.lat[coarse.sample]).max() < 0.25
    assert np.abs(fine.lon - pixels.lon[coarse.sample]).max() < 0.25
    np.testing.assert_array_equal(coarse.target, pixels.target)
    np.testing.assert_array_equal(fine.target, pixels.target[coarse.sample])
    for values in fine.forcing.values():
        np.testing.assert_allclose(np.diff(values, axis=1), 1000.0, rtol=1e-4)
    np.testing.assert_allclose(fine.statics["sand"], fine.lat / 100, rtol=1e-5)


def test_average_is_weighted_by_land(run, pixels):
    fine, coarse = fine_samples(run, pixels)
    mean = averaged(fine, coarse, pixels)
    inside = coarse.sample == 1
    expected = np.average(fine.forcing[FORCING[0]][inside], axis=0, weights=coarse.weight[inside])
    np.testing.assert_allclose(mean.forcing[FORCING[0]][1], expected, rtol=1e-5)
    assert np.isnan(mean.forcing[FORCING[0]][2]).all()
    assert np.isnan(mean.statics["clay"][2])
