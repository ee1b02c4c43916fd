"""Doctor: each thing that a run stands on, good and bad."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.operations import doctor
from msm.operations.doctor import Verdict, examine, token_end
from msm.operations.scheduled_run import scheduled_run
from msm.pipeline.run import Run
from tests.site_fixture import DAYS

NOW = datetime(2016, 6, 8, 12, tzinfo=UTC)


def web_token(**claims):
    """Make a token as Earthdata Login does."""
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in ({}, claims)]
    return b".".join([*parts, b"signature"]).decode()


def found(run, now=NOW):
    return {finding.subject: finding for finding in examine(run, now)}


@pytest.fixture
def run(online, readers):
    small = {"window_days": 1, "deep_days": 1, "disk_margin_gb": 0}
    return Run(online.model_copy(update=small), readers)


def test_a_site_that_is_well(run):
    scheduled_run(run, NOW)
    told = found(run)
    assert list(told) == [
        *("versions", "work", "archive", "checkpoint", "device", "token", "clock"),
        *("NLDAS_FORA0125_H 2.0", "newest map", "quality", "days"),
    ]
    assert {finding.verdict for finding in told.values()} == {Verdict.good}
    assert told["newest map"].what == "2016-06-03, 5 days old"


def test_a_damaged_map(run):
    (done,) = scheduled_run(run, NOW).published
    done.path.write_bytes(done.path.read_bytes()[:-100])
    told = found(run)
    assert told["newest map"].verdict == Verdict.bad
    assert told["newest map"].remedy == f"msm daily --date {DAYS[-1]}"


def test_a_map_that_a_limit_withholds(run):
    (done,) = scheduled_run(run, NOW).published
    holes = read_assessment(done.path).model_copy(update={"valid_fraction": 0.5})
    store.assess(run.settings.archive, run.domain.name, [holes.judged(run.settings.limits)])
    told = found(run)["quality"]
    assert told.verdict == Verdict.bad
    assert told.what.endswith("(first: 2016-06-03, valid_fraction)")


def test_a_full_disk_and_a_folder_without_the_right_to_write(run, tmp_path):
    tight = Run(run.settings.model_copy(update={"disk_margin_gb": 1e9}), run.readers)
    told = found(tight)
    assert told["work"].verdict == Verdict.look
    assert "MSM_DISK_MARGIN_GB" in told["work"].remedy


@pytest.mark.parametrize(
    ("days", "verdict", "what"),
    [(30, Verdict.good, "ends on"), (3, Verdict.look, "ends on"), (-1, Verdict.bad, "ended on")],
)
def test_a_token_near_its_end(run, monkeypatch, days, verdict, what):
    ends = NOW + timedelta(days=days)
    monkeypatch.setattr(doctor, "_earthdata", lambda run, now: iter(()))
    monkeypatch.setenv("EARTHDATA_TOKEN", web_token(exp=ends.timestamp(), uid="secret-user"))
    told = found(run)["token"]
    assert (told.verdict, what in told.what) == (verdict, True)
    assert f"{ends:%Y-%m-%d}" in told.what
    assert os.environ["EARTHDATA_TOKEN"] not in str(told)
    assert "secret-user" not in str(told)


@pytest.mark.parametrize("token", ["", "plain", "a.b.c", web_token(), "..", web_token(exp="x")])
def test_a_token_that_does_not_say_when_it_ends(token):
    assert token_end(token) is None


def test_a_source_that_fails_is_one_finding(run, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "wrong")
    told = found(run)
    assert told["earthdata"].verdict == Verdict.bad
    assert "refuses the token" in told["earthdata"].what
    assert "wrong" not in str(told["earthdata"])


def test_a_product_that_is_late_and_one_that_stopped(settings, readers):
    """The folder has granules up to the first hour of 2016-06-04."""
    run = Run(settings.model_copy(update={"disk_margin_gb": 0}), readers)
    nldas = "NLDAS_FORA0125_H 2.0"
    assert found(run, NOW)[nldas].verdict == Verdict.good
    late = found(run, NOW + timedelta(days=2))[nldas]
    assert (late.verdict, late.what) == (Verdict.look, "offered up to 2016-06-04")
    assert late.remedy.startswith("2016-06-05 is due")
    stopped = found(run, NOW + timedelta(days=30))[nldas]
    assert (stopped.verdict, stopped.what) == (
        Verdict.bad,
        "nothing has come since 2016-06-27",
    )
