"""What the commands import before they know that there is anything to do."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["msm.cli.main", "msm.operations.scheduled_run", "msm.archive.canary"]
)
def test_torch_is_not_imported_before_it_is_needed(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_scheduled_run_that_finds_nothing_does_without_torch(tmp_path):
    """As here, where no catalogue answers."""
    code = (
        "import sys; sys.argv = ['msm', 'daily']; from msm.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    nobody = {"MSM_CMR_URL": "http://127.0.0.1:9/", "MSM_EDL_HOST": "127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | nobody | {"EARTHDATA_TOKEN": "none"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 False\n", done.stderr
