import shutil
import warnings

import h5py
import netCDF4
import numpy as np
import pytest

from msm.errors import MsmError
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run

CONSTANTS = "SPL4SMLM.008/SMAP_L4_SM_lmc_00000000T000000_Vv8011_001.h5"


def test_statics_are_the_granules_own_numbers(settings, cache, readers):
    run = Run(settings, readers)
    made = stored_statics(run)
    cells = run.domain.row, run.domain.col
    with h5py.File(cache / CONSTANTS) as file:
        for name in ("sand", "clay"):
            stored = file[f"Land-Model-Constants_Data/mwrtm_{name}"][...][cells]
            np.testing.assert_array_equal(made.fields[name], stored)
    passes = []
    for path in sorted((cache / "SPL3SMP_E.006").glob("*201507*.h5")):
        with h5py.File(path) as file:
            for group, suffix in (("AM", ""), ("PM", "_pm")):
                name = f"Soil_Moisture_Retrieval_Data_{group}/vegetation_water_content{suffix}"
                stored = file[name][...][cells].astype(float)
                passes.append(np.where(stored == -9999, np.nan, stored))
    assert len(passes) == 16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmean(passes, axis=0)
    np.testing.assert_allclose(made.fields["vegetation_water_content"], expected, rtol=1e-5)
    assert {entry.role for entry in made.inputs} == {"statics"}


def test_statics_are_made_once(settings, readers, monkeypatch):
    first = stored_statics(Run(settings, readers))
    nowhere = settings.model_copy(update={"mirror": settings.work})
    assert stored_statics(Run(nowhere, readers)).sha256 == first.sha256


def test_soil_in_percent_is_told(settings, cache, readers, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    copy = shutil.copy(cache / CONSTANTS, mirror)
    with netCDF4.Dataset(copy, "a") as file:
        sand = file["Land-Model-Constants_Data/mwrtm_sand"]
        sand[300:420] = 100 * sand[300:420]
    with pytest.raises(MsmError, match=r"sand in SMAP_L4_SM_lmc_.* is not a fraction of 0 to 1"):
        stored_statics(Run(settings.model_copy(update={"mirror": mirror}), readers))


def test_without_constants_there_is_no_soil(settings, readers, tmp_path):
    empty = settings.model_copy(update={"mirror": tmp_path})
    with pytest.raises(MsmError, match="no valid granule of SPL4SMLM 008"):
        stored_statics(Run(empty, readers))
