"""Retrievals that a checkpoint asks for, from the sandbox's Earthdata to the published map."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pytest

from msm.archive import store
from msm.archive.validate import validate
from msm.fields import cell_fields
from msm.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from msm.operations.backfill import backfill, plan
from msm.operations.daily import daily
from msm.operations.fetch import fetch
from msm.pipeline.chains import find_chain
from msm.pipeline.executor import SerialExecutor, local_cluster
from msm.pipeline.ledger import stale_days
from msm.pipeline.model_inputs import model_inputs
from msm.pipeline.refresh import find_revised_inputs, refresh_inputs
from msm.pipeline.run import Run
from msm.pipeline.stored_retrievals import store_retrievals
from msm.sources import known_bad
from msm.sources.known_bad import KnownBad, Period
from tests.ensembles import informed_of
from tests.made_up import BOX, files, store_weather

LAG, WINDOW = 2, 3
DAYS = [date(2016, 6, 1) + timedelta(days=n) for n in range(8)]
NOW = datetime(2016, 9, 1, tzinfo=UTC)
LATE = date(2016, 6, 3)
"""A day of SMAP on which most cells are seen."""
KNOW_IT = [date(2016, 6, 5), date(2016, 6, 6), date(2016, 6, 7)]
WHY = "its forcing, or a retrieval that it is given, has changed"


def granule(day):
    return f"SMAP_L3_SM_P_E_{day:%Y%m%d}_R19240_001.h5"


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """Path of a checkpoint that asks for retrievals two to four days old."""
    path = tmp_path_factory.mktemp("informed") / "informed.json"
    save_checkpoint(path, informed_of(load_checkpoint(WEIGHTS / "first.json").card, LAG, WINDOW))
    return path


@pytest.fixture(scope="module")
def store_of_forcing(cache, readers, tmp_path_factory):
    """A work folder with the forcing of eight days, and the statics."""
    return store_weather(tmp_path_factory.mktemp("stored"), DAYS, cache, readers)


@pytest.fixture
def site(online, store_of_forcing, card, readers, tmp_path):
    """Make sites that have forcing in store and ask Earthdata for retrievals alone."""

    def make(name="site", **changes):
        folder = tmp_path / name
        shutil.copytree(store_of_forcing, folder / "work")
        where = {"work": folder / "work", "archive": folder / "archive", "domain": BOX}
        return Run(online.model_copy(update=where | {"checkpoint": card} | changes), readers)

    return make


def make(run, days=DAYS, replace="missing"):
    return backfill(run, days, replace, SerialExecutor(run), NOW)


def shas(run):
    return {day: store.read_item(run.settings.archive, BOX, day).sha256 for day in DAYS}


def of_role(path, role):
    """Name the granules of a role in a file's lineage."""
    with netCDF4.Dataset(path) as dataset:
        inputs = [json.loads(line) for line in dataset.input_granules.splitlines()]
    return [entry["granule"] for entry in inputs if entry["role"] == role]


def test_a_day_is_given_the_newest_retrievals_that_it_may_know_of(site):
    run = site()
    day = DAYS[4]
    fields = model_inputs(run, day).fields.fields
    where = run.domain.row, run.domain.col
    expected = {name: np.full(run.domain.n_cell, np.nan) for name in fields if "retr" in name}
    for age in (4, 3, 2):
        # The younger ones come last and replace the older ones.
        path = run.settings.work / "granules" / "SPL3SMP_E.006" / granule(day - timedelta(age))
        with h5py.File(path) as file:
            group = file["Soil_Moisture_Retrieval_Data_AM"]
            names = ("soil_moisture", "retrieval_qual_flag", "surface_flag")
            value, quality, surface = (group[name][...][where] for name in names)
        there = (quality != 65534) & (quality & 0b110 == 0) & (surface & 0b111100001 == 0)
        there &= (value >= 0.02) & (value <= 0.5)
        expected["retrieval"][there] = value[there]
        expected["retrieval_age"][there] = age
        expected["retrieval_quality"][there] = quality[there] & 1 == 0
    for name, values in expected.items():
        np.testing.assert_array_equal(fields[name], np.float32(values), err_msg=name)
    assert {2, 3} <= set(fields["retrieval_age"])
    assert 0 < np.isnan(fields["retrieval"]).sum() < run.domain.n_cell


def test_daily_backfill_and_replay_make_the_same_files(site, fresh_sandbox):
    each, whole, late = site("each"), site("whole"), site("late")
    for day in DAYS:
        daily(each, day, NOW)
    with local_cluster(whole.settings, 2) as executor:
        executor.blocks = 5
        assert list(backfill(whole, DAYS, "missing", executor, NOW).published) == DAYS
    for day in DAYS:
        fresh_sandbox.withhold(granule(day))
    make(late)
    blind = files(late)
    for day in DAYS:
        fresh_sandbox.restore(granule(day))
        refresh_inputs(late, [day], SerialExecutor(late))
    # From the first of them on each day changes the next.
    assert list(make(late, DAYS[2:3], "all").published) == DAYS[2:]
    made = files(each)
    assert files(whole) == made
    assert files(late) == made
    assert [day for day in DAYS if made[day] != blind[day]] == DAYS[2:]


def test_a_granule_that_is_known_to_be_bad_is_none_until_it_is_produced_anew(
    site, fresh_sandbox, monkeypatch
):
    mended = datetime(2016, 8, 1, tzinfo=UTC)
    fault = Period(
        products=("SPL3SMP_E 006",),
        first=LATE,
        last=LATE,
        produced_before=mended,
        reason="it is made up",
        source="this test",
    )
    monkeypatch.setattr(known_bad, "load_known_bad", lambda: KnownBad(periods=(fault,)))
    run, day = site(), LATE + timedelta(days=LAG)
    blind = model_inputs(run, day).fields
    assert granule(LATE) not in [entry.granule for entry in blind.inputs]
    assert LAG not in set(blind.fields["retrieval_age"])
    refresh_inputs(run, [day], SerialExecutor(run))
    assert model_inputs(run, day).fields.sha256 == blind.sha256
    fresh_sandbox.revise(granule(LATE), produced=mended)
    refresh_inputs(run, [day], SerialExecutor(run))
    assert LAG in set(model_inputs(run, day).fields.fields["retrieval_age"])


def test_the_lineage_names_the_retrievals_that_a_day_knew_of(site):
    run = site()
    published = daily(run, DAYS[5], NOW)
    assert validate(published.path) == []
    known = [granule(DAYS[n]) for n in (3, 2, 1)]
    assert of_role(published.path, "retrieval") == known
    item = json.loads(published.path.with_suffix(".json").read_text())
    lineage = item["properties"]["msm:lineage"]
    assert [i["granule"] for i in lineage["inputs"] if i["role"] == "retrieval"] == known
    assert lineage["forcing_sources"]["retrieval"] == "SPL3SMP_E 006"
    with netCDF4.Dataset(published.path) as dataset:
        assert dataset.source.endswith(" and earlier retrievals of SPL3SMP_E 006")
        assert "SPL3SMP_E 006" in dataset.acknowledgement


def test_a_retrieval_that_comes_late_changes_the_days_that_saw_its_absence(site, fresh_sandbox):
    fresh_sandbox.withhold(granule(LATE))
    run = site()
    for day in DAYS:
        daily(run, day, NOW)
    before, without = shas(run), files(run)
    chain_id = find_chain(run, DAYS[-1]).root.chain_id
    # Looked for again, and not found.
    daily(run, KNOW_IT[-1], NOW)
    assert stale_days(run, chain_id) == ({}, [])
    fresh_sandbox.restore(granule(LATE))
    refresh_inputs(run, [KNOW_IT[-1]], SerialExecutor(run))
    assert stale_days(run, chain_id) == (dict.fromkeys(KNOW_IT, WHY), DAYS[7:])
    assert list(plan(run, DAYS, "changed", NOW).why) == KNOW_IT
    # What the days of another checkpoint are given is not known.
    other = Run(run.settings.model_copy(update={"checkpoint": None}), run.readers)
    assert stale_days(other, chain_id) == ({}, [])

    daily(run, DAYS[-1], NOW)
    changed = shas(run)
    assert [day for day in DAYS if changed[day] != before[day]] == DAYS[4:]
    assert stale_days(run, chain_id) == ({}, [])
    fresh = site("fresh")
    make(fresh)
    assert files(run) == files(fresh) != without


def test_an_outage_stops_no_map(site, fresh_sandbox, caplog):
    for n in range(-4, 8):
        fresh_sandbox.withhold(granule(DAYS[0] + timedelta(days=n)))
    run = site()
    assert list(make(run).published) == DAYS
    path = store.read_item(run.settings.archive, BOX, DAYS[-1]).path
    assert of_role(path, "retrieval") == []
    assert all(np.isnan(model_inputs(run, DAYS[-1]).fields.fields["retrieval"]))
    # What is known to be absent is not asked for by every day again, but by the daily run.
    asked = len(fresh_sandbox.requests())
    make(run, DAYS, "all")
    assert len(fresh_sandbox.requests()) == asked
    assert not daily(run, DAYS[-1], NOW).changed
    assert len(fresh_sandbox.requests()) > asked


def test_a_map_is_final_when_no_retrieval_is_to_be_expected_any_more(site, fresh_sandbox):
    for n in range(-4, 0):
        fresh_sandbox.withhold(granule(DAYS[0] + timedelta(days=n)))
    run = site()
    # The forcing is final by then.
    assert daily(run, DAYS[0], datetime(2016, 6, 25, tzinfo=UTC)).status == "provisional"
    assert daily(run, DAYS[0], datetime(2016, 7, 2, tzinfo=UTC)).status == "final"


def test_a_checkpoint_that_does_not_ask_makes_no_request(site, fresh_sandbox):
    run = site(checkpoint=None)
    daily(run, DAYS[0], NOW)
    make(run)
    store_retrievals(run, DAYS)
    assert fresh_sandbox.requests() == []
    assert not (run.settings.work / "retrievals").exists()


def test_a_granule_that_is_no_good_gives_nothing_and_replaces_nothing(site, fresh_sandbox, caplog):
    run = site()
    fresh_sandbox.alter(granule(LATE), "renamed_variable")
    store_retrievals(run, KNOW_IT[:1])
    path = run.workspace.retrieval(LATE)
    assert cell_fields.read_label(path).awaited == ("SPL3SMP_E 006",)
    assert granule(LATE) in caplog.text
    fresh_sandbox.reset()
    refresh_inputs(run, [KNOW_IT[0]], SerialExecutor(run))
    good = cell_fields.read_label(path)
    assert (good.awaited, len(good.inputs)) == ((), 1)
    fresh_sandbox.alter(granule(LATE), "renamed_variable")
    refresh_inputs(run, [KNOW_IT[0]], SerialExecutor(run))
    fetch(run, KNOW_IT[0], KNOW_IT[0], SerialExecutor(run))
    assert cell_fields.read_label(path) == good


KILLED = textwrap.dedent(
    """
    import os, signal
    from datetime import UTC, date, datetime
    from msm.model.chain import Chain
    from msm.pipeline.daily import daily
    from msm.pipeline.run import open_run
    from msm.settings import read_settings

    def die(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        Chain.write_record = die
        with open_run(read_settings()) as run:
            daily(run, date(2016, 6, 7), datetime(2016, 9, 1, tzinfo=UTC))
    """
)


def test_a_kill_between_a_retrieval_and_the_record_is_healed(site, fresh_sandbox, tmp_path):
    fresh_sandbox.withhold(granule(LATE))
    run = site()
    days = DAYS[:7]
    make(run, days)
    fresh_sandbox.restore(granule(LATE))
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    names = ("work", "archive", "domain", "checkpoint", "spin_up_days", "readers")
    settings = {f"MSM_{name.upper()}": str(getattr(run.settings, name)) for name in names}
    environment = os.environ | settings | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(script)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert cell_fields.read_label(run.workspace.retrieval(LATE)).awaited == ()
    stale, _ = stale_days(run, find_chain(run, days[-1]).root.chain_id)
    assert list(stale) == KNOW_IT
    daily(run, days[-1], NOW)
    fresh = site("fresh")
    make(fresh, days)
    assert files(run) == files(fresh)


def test_what_is_revised_is_fetched_and_replayed_by_a_backfill(
    online, card, readers, fresh_sandbox
):
    """All inputs from the sandbox, as an operator has them."""
    run = Run(online.model_copy(update={"checkpoint": card}), readers)
    days = DAYS[:3]
    known = granule(date(2016, 5, 31))
    fresh_sandbox.withhold(known)
    assert fetch(run, days[0], days[-1], SerialExecutor(run)) == dict.fromkeys(
        days, "it was not stored"
    )
    make(run, days)
    before = files(run)
    assert fetch(run, days[0], days[-1], SerialExecutor(run)) == {}
    assert find_revised_inputs(run, days) == {}

    fresh_sandbox.restore(known)
    why = f"{known} is offered now"
    assert find_revised_inputs(run, days) == dict.fromkeys(days[1:], why)
    assert list(plan(run, days, "changed", NOW, online=True).why) == days[1:]
    assert list(make(run, days, "changed").published) == days[1:]
    assert find_revised_inputs(run, days) == {}

    # A bump of the metadata only, and a reprocessing.
    fresh_sandbox.revise(known, changed=False)
    assert list(make(run, days, "changed").published) == []
    again = fresh_sandbox.revise(known)
    assert list(make(run, days, "changed").published) == days[1:]
    path = store.read_item(run.settings.archive, run.domain.name, days[2]).path
    assert again in of_role(path, "retrieval")
    assert of_role(path, "superseded") == [known]
    assert files(run)[days[0]] == before[days[0]]

    run.workspace.retrieval(date(2016, 5, 31)).unlink()
    why = "its retrievals were not stored"
    assert fetch(run, days[0], days[-1], SerialExecutor(run)) == dict.fromkeys(days[1:], why)
