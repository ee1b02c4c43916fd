from datetime import UTC, date, datetime, timedelta

import pytest
from rich.console import Console

from msm.archive.assessment import Assessment, Comparison
from msm.cli.status import calendar, remarks, trend
from msm.operations.day_states import DayState, State
from msm.settings import Limits

FIRST = date(2026, 2, 27)
SINCE = datetime(2026, 3, 5, 14, 31, tzinfo=UTC)

FOUND = [
    DayState(FIRST, State.published, "final, revision 2"),
    DayState(FIRST + timedelta(1), State.gap, "the provider lost it", accepted=True),
    DayState(FIRST + timedelta(2), State.published, "provisional, revision 1"),
    DayState(FIRST + timedelta(3), State.failed, "the disk is full", since=SINCE),
    DayState(FIRST + timedelta(4), State.gap, "an hour lacks", since=SINCE),
    DayState(
        FIRST + timedelta(5),
        State.pending,
        "an hour lacks",
        since=SINCE,
        until=datetime(2026, 3, 15, tzinfo=UTC),
    ),
]


def test_the_calendar_has_a_line_for_each_month_and_a_sign_for_each_day():
    february, march, legend = (line.plain for line in calendar(FOUND))
    assert february == "2026-02  " + " " * 28 + "●-"
    assert march == "2026-03  ○x!·"
    assert legend == (
        "● 1 final   - 1 accepted gap   ○ 1 provisional   x 1 failed   ! 1 gap   · 1 pending"
    )


def test_what_is_wrong_is_red():
    _, march, _ = calendar(FOUND)
    styles = {march.plain[span.start]: str(span.style) for span in march.spans}
    assert styles["x"] == styles["!"] == "bold red"
    assert styles["○"] == "green"


def test_an_empty_archive_says_so():
    (line,) = calendar([])
    assert line.plain == "nothing is published"


def test_each_day_without_a_map_is_explained():
    assert remarks(FOUND, {}, []) == [
        "2026-02-28 accepted gap: the provider lost it",
        "2026-03-02 failed since 2026-03-05 14:31Z: the disk is full",
        "2026-03-03 gap since 2026-03-05 14:31Z: an hour lacks",
        "2026-03-04 pending since 2026-03-05 14:31Z, waited for until 2026-03-15: an hour lacks",
    ]


def test_stale_days_come_with_their_remedy():
    stale = {FIRST: "its forcing has changed"}
    assert remarks([], stale, [FIRST + timedelta(1)]) == [
        "2026-02-27 is stale: its forcing has changed",
        "1 days after it depend on it: msm backfill 2026-02-27 2026-02-28 --replace changed",
    ]


def test_the_trend_has_a_line_for_each_map(capsys: pytest.CaptureFixture[str]):
    plain = Assessment(
        day=FIRST,
        valid_fraction=0.998,
        unflagged=0.9,
        outside_training=0.0,
        mean=0.2514,
        forcing={},
        yesterday=Comparison(cells=9, bias=0.003, ubrmse=0.004, correlation=None),
        satellite=Comparison(cells=5000, bias=-0.021, ubrmse=0.05, correlation=0.71),
    ).judged(Limits())
    poor = plain.model_copy(update={"outside_training": 0.5, "satellite": None}).judged(Limits())
    Console(width=120, color_system=None).print(trend([plain, poor]))
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "2026" in line]
    assert lines[0][1::2] == [
        *("2026-02-27", "99.8%", "90%", "0.251", "0.0050", "0.71", "-0.021", "0.050", "good"),
    ]
    assert lines[1][-3:-1] == ["flagged,", "outside_training"]
