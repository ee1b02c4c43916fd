"""The sandbox's processes start on demand and never outlive the process that started them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from msm.errors import MsmError
from msm.sandbox.process import start


def processes(root: Path) -> set[int]:
    """Return the processes with a folder on their command line."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
        if alive and str(root).encode() in command:
            found.add(int(entry.name))
    return found


def gone(root: Path) -> bool:
    for _ in range(100):
        if not processes(root):
            return True
        time.sleep(0.1)
    return False


def test_processes_end_with_the_context(tmp_path):
    root = tmp_path / "root"
    with start(root) as sandbox:
        # The server and its two workers.
        assert len(processes(root)) == 3
        answer = requests.get(sandbox.url, verify=str(sandbox.ca_file), timeout=60)
        assert "simulated Earthdata" in answer.text
        assert sandbox.token not in repr(sandbox)
    assert gone(root)
    assert (root / "server.log").read_text() == ""
    port = int(sandbox.edl_host.split(":")[1])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_table_is_replayed(real_data, tmp_path):
    with start(tmp_path, str(real_data / "conus_pixels" / "conus_v4f1.nc")) as sandbox:
        found = requests.get(
            f"{sandbox.cmr_url}granules.umm_json?short_name=SPL3SMP&page_size=1",
            verify=str(sandbox.ca_file),
            timeout=60,
        )
    assert found.headers["CMR-Hits"] == "1096"
    (item,) = found.json()["items"]
    assert item["meta"]["native-id"] == "SMAP_L3_SM_P_20150401_R19240_001.h5"


def test_processes_end_when_their_parent_is_killed(tmp_path):
    root = tmp_path / "root"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom msm.sandbox.process import start\n"
        "with start(Path(sys.argv[1])):\n    print('ready', flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "ready\n"
        assert len(processes(root)) >= 3
        parent.kill()
    assert gone(root)


def test_workers_end_when_the_server_is_killed(tmp_path):
    root = tmp_path / "root"
    with start(root):
        server = min(processes(root))
        os.kill(server, signal.SIGKILL)
        assert gone(root)


def test_command_serves_until_terminated(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom msm.sandbox.server.serve import serve\n"
        "serve(Path(sys.argv[1]), 'synthetic')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    # Without a terminal the standard input is at its end, which must not stop the server.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as server:
        ready = json.loads(server.stdout.readline())
        assert ready["environment"]["MSM_CMR_URL"] == f"{ready['url']}/search/"
        assert ready["environment"]["REQUESTS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
        assert requests.get(ready["url"], verify=ready["ca_file"], timeout=60).ok
        server.terminate()
        assert server.wait(20) == 0


def test_used_port_is_reported(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom msm.sandbox.server.serve import serve\n"
        "serve(Path(sys.argv[1]), 'synthetic', port=int(sys.argv[2]))"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-c", code, str(tmp_path), str(taken.getsockname()[1])]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "MsmError: The sandbox cannot listen on 127.0.0.1:" in result.stderr
    assert gone(tmp_path)


def test_failed_start_reports_its_cause(tmp_path):
    with (
        pytest.raises(MsmError, match="There is no weather 'sunny'"),
        start(tmp_path, "sunny"),
    ):
        pass


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("msm.sandbox", "{} synthetic"), ("msm.cli.main", "sandbox serve --root {}")],
)
def test_missing_extra_is_one_sentence(tmp_path, module, arguments):
    code = (
        "import runpy, sys\nsys.modules['trustme'] = None\n"
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    arguments = arguments.format(tmp_path).split()
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert "The sandbox needs trustme, which is not installed" in result.stderr
    assert "pip install 'msm[sandbox]'" in result.stderr
    assert "Traceback" not in result.stderr
