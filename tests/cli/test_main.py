import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

MSM = Path(sys.executable).parent / "msm"


def msm(*words, **environment):
    return subprocess.run(
        [str(MSM), *map(str, words)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_inspect_prints_json_for_a_machine(real_data):
    path = real_data / "granules" / "SMAP_L3_SM_P_20150401_R13080_001.h5"
    told = json.loads(msm("inspect", path, "--json").stdout)
    assert (told["product"], told["version"], told["day"]) == ("SPL3SMP", "003", "2015-04-01")
    assert told["variables"]["soil_moisture"]["count"] == 35278


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inspect", "nothing.h5"), "nothing.h5 cannot be opened"),
        (("daily", "--date", "2999-01-01"), "2999-01-01 has not ended"),
        (("daily", "--date", "2016-06-03", "--domain", "mars"), "There is no domain 'mars'"),
        (("validate", "nothing.nc"), "1 of 1 files are not good"),
        (("promote", "nothing.json"), "Checkpoint nothing.json cannot be read"),
        (("evaluate", "--sites", ".", "--checkpoint", "."), "No checkpoint in . is in use"),
        (("backfill", "2016-06-02", "2016-06-01"), "END 2016-06-01 lies before START 2016-06-02"),
        (("backfill", "2016-06-02", "2999-01-01"), "2999-01-01 has not ended"),
        (("fetch", "2016-06-02", "2016-06-01"), "END 2016-06-01 lies before START"),
        (
            ("backfill", "2016-06-01", "2016-06-02", "--days-file", "gaps.txt"),
            "gaps.txt cannot be read as a list of days",
        ),
        (
            ("backfill", "2016-06-01", "2016-06-02", "--workers", "1", "--scheduler", "tcp://x:1"),
            "give one of them",
        ),
    ],
)
def test_a_failure_is_one_sentence_and_status_1(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = msm(*words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_setting_stops_every_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = msm("status", MSM_READERS="none")
    assert done.returncode == 1
    assert "MSM_READERS" in done.stderr


def test_status_of_an_empty_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = json.loads(msm("status", "--json").stdout)
    assert told == {
        "quality": [],
        "days": [],
        "published": [],
        "stale": {},
        "after_stale": [],
    }


def test_the_sandbox_says_where_it_is_and_ends_when_told(tmp_path):
    command = [str(MSM), "sandbox", "serve", "--root", str(tmp_path / "sandbox")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        ready = json.loads(server.stdout.readline())
        answer = requests.get(f"{ready['url']}/profile", verify=ready["ca_file"], timeout=10)
        server.send_signal(signal.SIGINT)
    assert answer.ok
    assert server.returncode == 0
    assert ready["environment"]["MSM_CMR_URL"] == f"{ready['url']}/search/"


def test_what_may_not_be_needed_is_not_imported():
    code = "import sys, msm.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "xarray", "prefect", "dask"} & set(done.stdout.split())
