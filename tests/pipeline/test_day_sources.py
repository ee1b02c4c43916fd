"""Where a day's forcing comes from when the best source fails, against the sandbox's Earthdata."""

import json
import re
from datetime import date

import netCDF4
import numpy as np
import pytest

from msm.fields import cell_fields
from msm.operations.daily import daily
from msm.pipeline.advance import advance
from msm.pipeline.chains import open_chain
from msm.pipeline.day_sources import IncompleteDayError, select_and_fetch
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.model_inputs import stored_forcing
from msm.pipeline.run import open_run
from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import SPL4SMGP_008 as SMAP_L4
from msm.settings import Settings
from tests.site_fixture import DAYS, NOW

DAY = DAYS[0]
HOUR = "NLDAS_FORA0125_H.A20160601.0700.020.nc"


def of(product, day):
    """Name the granules of a product's day."""
    return [
        product.layout.file_name.format(time=stamp, release="Vv8011", counter="001")
        for stamp in product.layout.stamps(day)
    ]


@pytest.fixture
def run(online):
    with open_run(online) as opened:
        yield opened


def withhold_the_last_resorts(sandbox):
    """Take away what would give temperature where NLDAS and SPL4SMGP do not."""
    for kind in ("", "_EP"):
        sandbox.withhold(f"GLDAS_NOAH025_3H{kind}.A20160601.0300.021.nc4")
    sandbox.withhold("MERRA2_400.tavg1_2d_slv_Nx.20160601.nc4")


def products(made):
    return {entry.product for entry in made.inputs if entry.role == "forcing"}


@pytest.mark.fault("an hour missing, then late")
def test_a_day_without_an_hour_of_nldas_is_made_from_smap_l4_until_the_hour_comes(
    run, fresh_sandbox, sentence, caplog
):
    fresh_sandbox.withhold(HOUR)
    first = daily(run, DAY, NOW)
    assert re.search(sentence, caplog.text)
    with netCDF4.Dataset(first.path) as dataset:
        flag = dataset["quality_flag"][0].compressed()
        assert dataset.status == "provisional"
        sources = json.loads(dataset.forcing_sources)
        before = dataset["soil_moisture"][0].compressed()
    assert (flag & 32 == 32).all()
    assert sources["air_temperature"] == "SPL4SMGP 008 (air_temperature_lowest_level)"
    assert sources["precipitation"] == "SPL4SMGP 008"

    # Nothing better has come: the same day again changes nothing.
    made = run.workspace.forcing(DAY).stat().st_mtime_ns
    assert not daily(run, DAY, NOW).changed
    assert run.workspace.forcing(DAY).stat().st_mtime_ns == made

    fresh_sandbox.restore(HOUR)
    again = daily(run, DAY, NOW)
    assert again.changed
    assert again.revision == first.revision + 1
    with netCDF4.Dataset(again.path) as dataset:
        assert (dataset["quality_flag"][0].compressed() & 32 == 0).all()
        assert json.loads(dataset.forcing_sources)["precipitation"] == "NLDAS_FORA0125_H 2.0"
        after = dataset["soil_moisture"][0].compressed()
    assert 0 < np.abs(after - before).max() < 0.1


def test_a_better_source_is_never_replaced_by_a_worse_one(run, fresh_sandbox):
    daily(run, DAY, NOW)
    fresh_sandbox.withhold(HOUR)
    asked = len(fresh_sandbox.requests())
    assert not daily(run, DAY, NOW).changed
    assert len(fresh_sandbox.requests()) == asked
    assert products(stored_forcing(run, DAY)) == {"NLDAS_FORA0125_H"}


def test_what_was_made_stays_when_its_source_goes_as_well(run, fresh_sandbox, caplog):
    fresh_sandbox.withhold(HOUR)
    daily(run, DAY, NOW)
    fresh_sandbox.withhold(of(SMAP_L4, DAY)[3])
    # GLDAS would do, but is no better.
    assert not daily(run, DAY, NOW).changed
    withhold_the_last_resorts(fresh_sandbox)
    assert not daily(run, DAY, NOW).changed
    assert "What is stored stays." in caplog.text
    assert products(stored_forcing(run, DAY)) == {"SPL4SMGP"}


@pytest.mark.parametrize("alteration", ["empty_field", "renamed_variable", "changed_grid"])
def test_granules_that_hold_no_weather_give_way(run, fresh_sandbox, alteration, caplog):
    fresh_sandbox.alter(HOUR, alteration)
    made = stored_forcing(run, DAY)
    assert products(made) == {"SPL4SMGP"}
    assert made.awaited == ("NLDAS_FORA0125_H 2.0",)
    assert "NLDAS_FORA0125_H" in caplog.text
    assert "2016-06-01 is made from the next source, and provisional." in caplog.text


def test_a_day_that_no_source_makes_names_the_best_and_those_that_cannot_stand_in(
    run, fresh_sandbox
):
    fresh_sandbox.withhold(HOUR)
    fresh_sandbox.withhold(of(SMAP_L4, DAY)[3])
    withhold_the_last_resorts(fresh_sandbox)
    with pytest.raises(
        IncompleteDayError,
        match=r"is missing 1 of 25 granules \(2016-06-01T07Z\).* SPL4SMGP 008, .* cannot stand in",
    ):
        stored_forcing(run, DAY)
    assert not run.workspace.forcing(DAY).exists()


def test_a_window_goes_on_up_to_the_first_day_that_cannot_be_made(online, fresh_sandbox):
    hindered = online.model_copy(update={"domain": "box:52.9,53.3,-98.5,-97"})
    with open_run(hindered) as run:
        # North of NLDAS: SPL4SMGP is the best source here.
        fresh_sandbox.withhold(of(SMAP_L4, DAYS[1])[2])
        for name in ("GLDAS_NOAH025_3H", "GLDAS_NOAH025_3H_EP"):
            fresh_sandbox.withhold(f"{name}.A20160602.0300.021.nc4")
        fresh_sandbox.withhold("MERRA2_400.tavg1_2d_rad_Nx.20160602.nc4")
        assert list(select_and_fetch(run, DAYS[0], DAYS[2])) == DAYS[:1]
        chain = open_chain(run, DAYS[0])
        list(advance(run, chain, DAYS[:1], SerialExecutor(run)))
        with pytest.raises(IncompleteDayError, match=r"008 of 2016-06-02 is missing 1 of 8"):
            list(advance(run, chain, DAYS[2:], SerialExecutor(run)))
        assert run.workspace.forcing(DAYS[0]).exists()


def test_gldas_with_rain_from_imerg_stands_in_for_smap_l4(online, fresh_sandbox):
    elsewhere = online.model_copy(update={"domain": "box:52.9,53.3,-98.5,-97"})
    fresh_sandbox.withhold(of(SMAP_L4, DAY)[0])
    with open_run(elsewhere) as run:
        made = stored_forcing(run, DAY)
    assert products(made) == {"GLDAS_NOAH025_3H", "GPM_3IMERGDL"}
    assert made.origins["precipitation"] == "GPM_3IMERGDL 07"
    assert made.origins["air_temperature"] == "GLDAS_NOAH025_3H 2.1"
    assert made.awaited == ("SPL4SMGP 008",)
    assert made.lower_tier.all()
    assert all(np.isfinite(field).all() for field in made.fields.values())


@pytest.mark.fault("two productions of one granule")
def test_of_two_productions_the_newest_is_read_and_the_other_is_in_the_lineage(run, fresh_sandbox):
    fresh_sandbox.withhold(HOUR)
    old = of(SMAP_L4, DAY)[2]
    new = fresh_sandbox.revise(old)
    made = stored_forcing(run, DAY)
    roles = {entry.granule: entry.role for entry in made.inputs}
    assert roles[old] == "superseded"
    assert roles[new] == "forcing"
    assert len([role for role in roles.values() if role == "forcing"]) == 8


def test_what_a_day_awaits_is_kept_with_it(run, fresh_sandbox):
    fresh_sandbox.withhold(HOUR)
    stored_forcing(run, DAY)
    assert cell_fields.read(run.workspace.forcing(DAY), run.domain).awaited == (NLDAS.id,)


def test_a_settings_domain_beyond_nldas_is_not_asked_for_it(online, fresh_sandbox):
    elsewhere: Settings = online.model_copy(update={"domain": "box:52.9,53.3,-98.5,-97"})
    with open_run(elsewhere) as run:
        stored_forcing(run, date(2016, 6, 1))
    asked = [request["path"] for request in fresh_sandbox.requests()]
    assert not [path for path in asked if "NLDAS" in path]
