"""The clock jumps, daylight saving time begins and ends, a leap day comes: days stay UTC days."""

import re
import shutil
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from msm.fields.cell_fields import read_label
from msm.operations.daily import daily
from msm.operations.day_states import State, last_scan
from msm.operations.scheduled_run import scheduled_run
from msm.pipeline.run import Run, midnight
from tests.made_up import files
from tests.site_fixture import DAYS

NOW = datetime(2016, 6, 8, 12, tzinfo=UTC)
"""The newest day that is due is the last of `DAYS`."""
LATER = datetime(2016, 8, 1, tzinfo=UTC)
DUE = timedelta(days=5, hours=12)
"""From the beginning of a day until noon of the day on which it is due."""


@pytest.fixture
def site(online, made, readers, tmp_path):
    """Make sites that look at so many days, the statics in store."""

    def make(name, days=3):
        folders = {"work": tmp_path / name / "work", "archive": tmp_path / name / "archive"}
        plain = {"window_days": days, "deep_days": days + 1}
        shutil.copytree(made[0] / "work" / "statics", folders["work"] / "statics")
        return Run(online.model_copy(update=folders | plain), readers)

    return make


@pytest.fixture
def zone(monkeypatch):
    """`zone(name)`: let the machine be in a time zone."""
    yield lambda name: (monkeypatch.setenv("TZ", name), time.tzset())
    monkeypatch.undo()
    time.tzset()


@pytest.mark.fault("the clock set back")
def test_a_clock_that_is_set_back(site, fresh_sandbox):
    run = site("run", 1)
    for day in DAYS[1:]:
        scheduled_run(run, midnight(day) + DUE)
    assert daily(run, DAYS[2], LATER).status == "final"
    before = files(run)
    assert list(before) == DAYS[1:]
    for day in DAYS[1:]:
        found = scheduled_run(run, midnight(day) + DUE)
        assert (found.published, found.alarms) == ([], [])
    again = daily(run, DAYS[2], NOW)
    assert (again.changed, again.status) == (False, "final")
    assert files(run) == before


@pytest.mark.fault("the clock set forward")
def test_a_clock_that_is_set_forward(site, fresh_sandbox):
    run, right = site("run"), site("right")
    fresh_sandbox.set_clock(NOW)
    scheduled_run(right, NOW)
    # A year ahead by mistake: nothing is there yet, and nothing is made of it.
    found = scheduled_run(run, NOW + timedelta(days=365))
    assert (found.published, found.alarms) == ([], [])
    assert {state.state for state in found.states} == {State.pending}
    assert [done.day for done in scheduled_run(run, NOW).published] == DAYS
    # The day of the last deep look lay in the future: the next day looks far back all the same.
    assert last_scan(run).deep_on == NOW.date()
    assert files(run) == files(right)


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(
            [date(2016, 2, 28), date(2016, 2, 29), date(2016, 3, 1)],
            marks=pytest.mark.fault("a leap day"),
        ),
        pytest.param(
            [date(2016, 3, 13)], marks=pytest.mark.fault("daylight saving time begins or ends")
        ),
        pytest.param(
            [date(2016, 11, 6)], marks=pytest.mark.fault("daylight saving time begins or ends")
        ),
    ],
    ids=lambda days: str(days[-1]),
)
def test_days_are_utc_days_in_every_time_zone(site, zone, fresh_sandbox, days):
    made, granules = [], None
    for name in ("UTC", "America/New_York"):
        zone(name)
        run = site(name.partition("/")[0], len(days))
        if granules:
            shutil.copytree(granules, run.settings.work / "granules")
        granules = run.settings.work / "granules"
        found = scheduled_run(run, midnight(days[-1]) + DUE)
        assert [done.day for done in found.published] == days
        for day in days:
            used = read_label(run.workspace.forcing(day)).inputs
            hours = {f"{day:%Y%m%d}.{hour:02}00" for hour in range(24)}
            hours.add(f"{day + timedelta(days=1):%Y%m%d}.0000")
            assert {re.search(r"\d{8}\.\d{4}", entry.granule)[0] for entry in used} == hours
        made.append(files(run))
    assert made[0] == made[1]
