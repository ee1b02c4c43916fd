"""The notebooks of the documentation run on an archive of msm."""

import nbformat
from nbclient import NotebookClient

from msm.operations.daily import daily
from tests.conftest import ROOT
from tests.site_fixture import NEXT, NOW


def test_first_map_notebook_runs_and_draws_two_pictures(run, monkeypatch):
    daily(run, NEXT, NOW)
    monkeypatch.setenv("MSM_ARCHIVE", str(run.settings.archive))
    # The tests' backend shows nothing in a notebook.
    monkeypatch.delenv("MPLBACKEND")
    notebook = nbformat.read(ROOT / "docs" / "tutorials" / "first-map.ipynb", as_version=4)
    NotebookClient(notebook, timeout=240).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs[0]["text"].startswith("2 maps, ")
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 2
