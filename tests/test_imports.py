"""What the commands import before they know that there is anything to do."""

import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "xarray", "dask", "scipy", "matplotlib", "prefect"}
"""Packages that take from a fifth of a second to seconds to import."""


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("msm.cli.main", set()),
        ("msm.operations.scheduled_run", set()),
        ("msm.archive.canary", {"xarray"}),
    ],
)
def test_heavy_packages_are_not_imported_before_they_are_needed(module, allowed):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) <= allowed


def test_a_scheduled_run_that_finds_nothing_imports_no_heavy_package(tmp_path):
    """As here, where no catalogue answers."""
    code = (
        "import sys; sys.argv = ['msm', 'daily']; from msm.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, *sys.modules)"
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
    status, *modules = done.stdout.split()
    assert status == "1", done.stderr
    assert HEAVY & set(modules) == set()
