"""Forcing brought to disk and made anew, against the sandbox's Earthdata."""

import pytest

from msm.fields import cell_fields
from msm.operations.fetch import fetch
from msm.pipeline.day_sources import IncompleteDayError
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.refresh import find_revised_inputs
from msm.pipeline.run import open_run
from tests.site_fixture import DAYS

HOUR = "NLDAS_FORA0125_H.A20160602.0700.020.nc"


@pytest.fixture
def run(online):
    with open_run(online) as opened:
        yield opened


def bring(run):
    return fetch(run, DAYS[0], DAYS[-1], SerialExecutor(run))


def labels(run):
    return {day: cell_fields.read_label(run.workspace.forcing(day)) for day in DAYS}


def downloads(sandbox):
    return [asked for asked in sandbox.requests() if "/data/" in asked["path"]]


def test_days_are_stored_once(run, fresh_sandbox):
    assert bring(run) == dict.fromkeys(DAYS, "it was not stored")
    before, asked = labels(run), len(downloads(fresh_sandbox))
    assert bring(run) == {}
    assert labels(run) == before
    assert len(downloads(fresh_sandbox)) == asked


def test_a_revision_is_followed_where_the_granule_is_another(run, fresh_sandbox):
    bring(run)
    before = labels(run)
    # A bump of the metadata only.
    fresh_sandbox.revise(HOUR, changed=False)
    assert find_revised_inputs(run, DAYS) == {}
    fresh_sandbox.revise(HOUR)
    assert bring(run) == {DAYS[1]: f"{HOUR} is offered now"}
    after = labels(run)
    assert [day for day in DAYS if after[day] != before[day]] == [DAYS[1]]
    assert after[DAYS[1]].sha256 != before[DAYS[1]].sha256
    assert find_revised_inputs(run, DAYS) == {}


def test_a_better_source_is_followed_and_a_worse_one_is_not(run, fresh_sandbox):
    fresh_sandbox.withhold(HOUR)
    bring(run)
    assert labels(run)[DAYS[1]].awaited == ("NLDAS_FORA0125_H 2.0",)
    assert bring(run) == {}
    fresh_sandbox.restore(HOUR)
    assert list(bring(run)) == [DAYS[1]]
    better = labels(run)
    assert better[DAYS[1]].awaited == ()
    fresh_sandbox.withhold(HOUR)
    assert bring(run) == {}
    assert labels(run) == better


def test_what_comes_before_a_day_that_cannot_be_made_is_stored(run, fresh_sandbox):
    for name in (
        HOUR,
        "SMAP_L4_SM_gph_20160602T013000_Vv8011_001.h5",
        "GLDAS_NOAH025_3H.A20160602.0300.021.nc4",
        "GLDAS_NOAH025_3H_EP.A20160602.0300.021.nc4",
        "MERRA2_400.tavg1_2d_slv_Nx.20160602.nc4",
    ):
        fresh_sandbox.withhold(name)
    with pytest.raises(IncompleteDayError, match="2016-06-02 is missing 1 of 25"):
        bring(run)
    assert run.workspace.forcing(DAYS[0]).exists()
    assert not run.workspace.forcing(DAYS[1]).exists()
