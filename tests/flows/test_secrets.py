"""A planted secret is searched for in everything that a run writes, prints or keeps in Prefect."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from msm.sandbox.faults import Fault
from tests.conftest import ROOT

pytestmark = pytest.mark.long

MSM = Path(sys.executable).parent / "msm"
PASSWORD = "sandbox-pass-word"
HOOK = "planted-hook-5d1c"
FLOW = "from datetime import date; from flows.daily import daily; daily(date(2016, 6, 3))"


@pytest.fixture
def site(fresh_sandbox, tmp_path):
    """An environment full of secrets, and the secrets."""
    environment = fresh_sandbox.environment()
    secrets = [environment["EARTHDATA_TOKEN"], PASSWORD, HOOK]
    secrets += [base64.b64encode(f"sandbox:{secret}".encode()).decode() for secret in secrets]
    given = environment | {
        "EARTHDATA_USERNAME": "sandbox",
        "EARTHDATA_PASSWORD": PASSWORD,
        "MSM_WEBHOOK_URL": f"http://127.0.0.1:9/{HOOK}",
        "MSM_WORK": str(tmp_path / "work"),
        "MSM_ARCHIVE": str(tmp_path / "archive"),
        "MSM_DOMAIN": "box:38,39,-98.5,-97",
        "MSM_SPIN_UP_DAYS": "0",
        "MSM_READERS": "1",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "msm,earthaccess,requests,urllib3",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    }
    plain = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return plain | given, [secret.encode() for secret in secrets]


def test_a_run_that_ends_well_and_runs_that_fail_tell_no_secret(site, fresh_sandbox, tmp_path):
    environment, secrets = site
    eula = Fault(match="/data/", behaviour="eula")
    gone = Fault(match=r"granules\.umm_json", behaviour="unauthorized")
    told = b""
    for number, fault in enumerate((gone, eula, None)):
        fresh_sandbox.reset()
        if fault:
            fresh_sandbox.fault(fault)
        command = [str(MSM), "daily"] if fault is gone else [sys.executable, "-c", FLOW]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert (done.returncode == 0) == (fault is None), done.stderr.decode()
        told += done.stdout + done.stderr
        (tmp_path / f"output-{number}").write_bytes(done.stdout + done.stderr)
    assert list((tmp_path / "archive").rglob("*.nc"))
    assert b"refuses the token" in told
    assert b"licence is accepted" in told
    assert b"The webhook does not answer" in told
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "prefect.db" for path in written)
    for path in written:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path
