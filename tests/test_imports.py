"""What the commands import before they know that there is anything to do."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["msm.cli", "msm.pipeline.watch", "msm.archive.canary"])
def test_torch_is_not_imported_before_it_is_needed(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
