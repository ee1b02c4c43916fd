"""The scheduled run: a window of days is held against what Earthdata offers."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.archive.naming import domain_folder, map_path
from msm.archive.netcdf import read_header
from msm.archive.sidecars import FRESHNESS, LATEST
from msm.errors import MsmError
from msm.operations.backfill import backfill
from msm.operations.daily import daily
from msm.operations.day_states import State, read_failures, states
from msm.operations.scheduled_run import ScheduledReport, scheduled_run
from msm.pipeline.day_sources import IncompleteDayError
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.model_inputs import model_inputs
from msm.pipeline.run import Run
from msm.settings import Limits
from tests.made_up import files
from tests.site_fixture import BOX, DAYS

pytestmark = pytest.mark.long

NOW = datetime(2016, 6, 8, 12, tzinfo=UTC)
"""The newest day that is due is the last of `DAYS`."""
LATER = datetime(2016, 8, 1, tzinfo=UTC)


@pytest.fixture
def site(online, readers, tmp_path):
    """Make sites that look at three days, after two of spin-up."""

    def make(name="site", **changes):
        folders = {"work": tmp_path / name / "work", "archive": tmp_path / name / "archive"}
        plain = {"window_days": 3, "deep_days": 3, "spin_up_days": 2}
        return Run(online.model_copy(update=folders | plain | changes), readers)

    return make


def hour(day, at):
    return f"NLDAS_FORA0125_H.A{day:%Y%m%d}.{at:02}00.020.nc"


def withhold(sandbox, day):
    """Let no source have a day."""
    names = [
        hour(day, 12),
        f"SMAP_L4_SM_gph_{day:%Y%m%d}T133000_Vv8011_001.h5",
        f"GLDAS_NOAH025_3H.A{day:%Y%m%d}.1200.021.nc4",
        f"GLDAS_NOAH025_3H_EP.A{day:%Y%m%d}.1200.021.nc4",
        f"MERRA2_400.tavg1_2d_slv_Nx.{day:%Y%m%d}.nc4",
    ]
    for name in names:
        sandbox.withhold(name)
    return names


def searches(sandbox, since=0):
    """Count searches by product."""
    found = Counter()
    for request in sandbox.requests()[since:]:
        parts = urlsplit(request["path"])
        if parts.path.endswith("granules.umm_json"):
            found[parse_qs(parts.query)["short_name"][0]] += 1
    return found


def test_a_window_is_made_and_left_alone_when_nothing_has_changed(site, fresh_sandbox):
    run = site()
    found = scheduled_run(run, NOW)
    assert [done.day for done in found.published] == DAYS
    assert {state.state for state in found.states} == {State.published}
    made = files(run)
    asked = len(fresh_sandbox.requests())
    again = scheduled_run(run, NOW + timedelta(hours=6))
    assert again.published == []
    assert files(run) == made
    # One search, in two requests; nothing is downloaded.
    assert searches(fresh_sandbox, asked) == {"NLDAS_FORA0125_H": 2}
    assert not [r for r in fresh_sandbox.requests()[asked:] if "/data/" in r["path"]]


@pytest.mark.fault("a granule published again with other values")
def test_a_revised_granule_makes_its_day_and_those_after_it_anew(site, fresh_sandbox):
    run, fresh = site(), site("fresh")
    scheduled_run(run, NOW)
    fresh_sandbox.revise(hour(DAYS[1], 6), changed=False)
    assert scheduled_run(run, NOW).published == []
    fresh_sandbox.revise(hour(DAYS[1], 6))
    assert [done.day for done in scheduled_run(run, NOW).published] == DAYS[1:]
    scheduled_run(fresh, NOW)
    assert files(run) == files(fresh)


@pytest.mark.fault("a day that no source has")
def test_a_day_without_a_source_is_waited_for_and_no_other(site, fresh_sandbox):
    run, fresh = site(), site("fresh")
    names = withhold(fresh_sandbox, DAYS[1])
    found = scheduled_run(run, NOW)
    assert [done.day for done in found.published] == DAYS[:1]
    assert found.alarms == []
    told = json.loads((domain_folder(run.settings.archive, BOX) / FRESHNESS).read_text())
    assert told["newest"] == {"provisional": "2016-06-01"}
    assert told["lag_days"] == 7
    assert told["next_due"] == {"day": "2016-06-04", "at": "2016-06-09T00:00:00+00:00"}
    assert told["window"]["days"] == {"published": 1, "pending": 2}
    assert told["window"]["without_map"][0]["until"] == "2016-06-13T00:00:00+00:00"
    first, second, third = found.states
    assert first.state is State.published
    assert (second.state, second.since, second.until) == (
        State.pending,
        NOW,
        datetime(2016, 6, 13, tzinfo=UTC),
    )
    assert "of 2016-06-02 is missing 1 of 25" in second.note
    assert third.state is State.pending
    later = NOW + timedelta(hours=2)
    assert scheduled_run(run, later).states[1].since == NOW
    for name in names:
        fresh_sandbox.restore(name)
    assert [done.day for done in scheduled_run(run, later).published] == DAYS[1:]
    assert read_failures(run) == {}
    scheduled_run(fresh, NOW)
    assert files(run) == files(fresh)


@pytest.mark.fault("a day that never comes")
def test_a_day_that_never_comes_alarms_when_waiting_has_ended(site, fresh_sandbox, sentence):
    run = site()
    withhold(fresh_sandbox, DAYS[1])
    scheduled_run(run, NOW)
    first, second, third = states(run, DAYS, datetime(2016, 6, 13, 1, tzinfo=UTC))
    with pytest.raises(MsmError, match=sentence):
        ScheduledReport(DAYS[0], DAYS[-1], states=[first, second, third]).raise_alarms()
    assert (second.state, second.accepted, second.alarms) == (State.gap, False, True)
    # Its own sources are still within their time.
    assert third.state is State.pending


def test_a_version_that_stopped_is_an_alarm_of_its_own(site, fresh_sandbox):
    """As long as it may be late, it is latency; the next source would hide it for ever after."""
    fresh_sandbox.set_clock(NOW)
    run = site(window_days=12)
    assert scheduled_run(run, NOW + timedelta(days=6)).stopped == {}
    found = scheduled_run(run, NOW + timedelta(days=20))
    assert found.stopped == {"NLDAS_FORA0125_H 2.0": "nothing has come since 2016-06-12"}
    with pytest.raises(MsmError, match=r"nothing has come since .* discontinued"):
        found.raise_alarms()
    written = domain_folder(run.settings.archive, run.domain.name) / FRESHNESS
    assert json.loads(written.read_text())["stopped_inputs"] == ["NLDAS_FORA0125_H 2.0"]


def test_an_accepted_gap_is_bridged_and_tried_all_the_same(site, fresh_sandbox):
    """The days after it are made; when it comes after all, all are as if it had never lacked."""
    run, fresh = site(gaps={DAYS[1]: "the provider lost it"}), site("fresh")
    names = withhold(fresh_sandbox, DAYS[1])
    found = scheduled_run(run, NOW)
    assert [done.day for done in found.published] == [DAYS[0], DAYS[2]]
    assert found.alarms == []
    settings = read_header(found.published[-1].path).lineage.settings
    assert settings["accepted_gaps"] == [str(DAYS[1])]
    assert settings["precision"] == "float32"
    assert settings["device"] in ("cpu", "cuda")
    gap = found.states[1]
    assert (gap.state, gap.accepted, gap.note) == (State.gap, True, "the provider lost it")
    eve, bridged = (model_inputs(run, day).fields for day in DAYS[:2])
    assert not bridged.fields["precipitation"].any()
    assert (bridged.fields["air_temperature"] == eve.fields["air_temperature"]).all()
    assert scheduled_run(run, NOW).published == []
    with pytest.raises(IncompleteDayError, match="of 2016-06-02 is missing 1 of 25"):
        daily(run, DAYS[1], NOW)
    assert backfill(run, DAYS, "missing", SerialExecutor(run), NOW).published == {}
    for name in names:
        fresh_sandbox.restore(name)
    done = backfill(run, DAYS, "changed", SerialExecutor(run), NOW)
    assert list(done.published) == DAYS[1:]
    assert scheduled_run(run, NOW).published == []
    scheduled_run(fresh, NOW)
    assert files(run) == files(fresh)


@pytest.mark.fault("an hour missing, then late")
def test_a_better_source_is_taken_and_a_worse_one_never(site, fresh_sandbox):
    run, fresh = site(), site("fresh")
    fresh_sandbox.withhold(hour(DAYS[2], 12))
    scheduled_run(run, NOW)
    item = store.read_item(run.settings.archive, BOX, DAYS[2])
    fresh_sandbox.restore(hour(DAYS[2], 12))
    assert [done.day for done in scheduled_run(run, NOW).published] == DAYS[2:]
    assert store.read_item(run.settings.archive, BOX, DAYS[2]).revision == item.revision + 1
    scheduled_run(fresh, NOW)
    made = files(run)
    assert made == files(fresh)
    fresh_sandbox.withhold(hour(DAYS[2], 12))
    assert scheduled_run(run, NOW).published == []
    assert files(run) == made


def test_maps_become_final_when_their_inputs_do(site, monkeypatch):
    run = site()
    scheduled_run(run, NOW)
    assert {store.read_item(run.settings.archive, BOX, d).status for d in DAYS} == {"provisional"}
    # As if nothing had come due since.
    monkeypatch.setattr("msm.operations.scheduled_run.due_day", lambda domain, moment: DAYS[-1])
    assert [done.status for done in scheduled_run(run, LATER).published] == ["final"] * 3
    assert scheduled_run(run, LATER).published == []


def test_a_day_is_made_at_its_due_moment_and_not_before(site, fresh_sandbox):
    """By the sandbox's clock, granules come with their product's latency."""
    run = site(window_days=1, deep_days=1)
    due = datetime(2016, 6, 8, tzinfo=UTC)
    for moment, made in ((due - timedelta(hours=1), DAYS[1]), (due, DAYS[2])):
        fresh_sandbox.set_clock(moment)
        found = scheduled_run(run, moment)
        assert [done.day for done in found.published] == [made]
        assert found.states[0].note == "provisional, revision 1"
    asked = len(fresh_sandbox.requests())
    assert scheduled_run(run, due + timedelta(hours=12)).published == []
    assert searches(fresh_sandbox, asked) == {"NLDAS_FORA0125_H": 2}


# A memory of two days changes fast, and the made-up satellite need not agree with it.
WIDE = Limits(step=1, satellite_bias=1, satellite_ubrmse=1, satellite_correlation=-1)


def test_limits_that_moved_judge_anew_and_a_withheld_map_is_not_the_latest(site):
    run = site(limits=WIDE)
    scheduled_run(run, NOW)
    path = map_path(run.settings.archive, BOX, DAYS[-1])
    assert read_assessment(path).verdict == "good"
    scheduled_run(
        Run(run.settings.model_copy(update={"limits": Limits(step=1e-9)}), run.readers), NOW
    )
    assert (read_assessment(path).verdict, read_assessment(path).exceeded) == ("flagged", ("step",))
    latest = domain_folder(run.settings.archive, BOX) / LATEST
    assert json.loads(latest.read_text())["day"] == str(DAYS[-1])
    holes = read_assessment(path).model_copy(update={"valid_fraction": 0.5}).judged(WIDE)
    store.assess(run.settings.archive, BOX, [holes])
    assert json.loads(latest.read_text())["day"] == str(DAYS[-2])


def test_maps_are_held_against_yesterday_and_the_satellite(site, fresh_sandbox):
    run = site(limits=WIDE)
    smap = f"SMAP_L3_SM_P_E_{DAYS[1]:%Y%m%d}_R19240_001.h5"
    fresh_sandbox.withhold(smap)
    scheduled_run(run, NOW)
    paths = [map_path(run.settings.archive, BOX, day) for day in DAYS]
    first, second, third = map(read_assessment, paths)
    assert first.yesterday is None
    assert second.yesterday.cells == third.yesterday.cells > 100
    assert {found.verdict for found in (first, second, third)} == {"good"}
    assert first.satellite_granule == smap.replace("0602", "0601")
    assert second.satellite_granule is None
    assert set(first.forcing) == {
        *("precipitation", "air_temperature", "specific_humidity", "shortwave_down"),
    }
    made = files(run)
    fresh_sandbox.restore(smap)
    scheduled_run(run, NOW)
    late = read_assessment(paths[1])
    assert late.satellite_granule == smap
    assert late.satellite.cells == sum(part.cells for part in late.by_vegetation.values())
    assert late.yesterday == second.yesterday
    # The map itself stays as it is.
    assert files(run) == made
