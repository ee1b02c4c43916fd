"""docs/results.md and docs/scaling.md are what their commands make of docs/results."""

import pytest

from benchmarks.results import FOUND
from benchmarks.speed import scaling
from docs_tools import results_page
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("program", "command"), [(results_page, "make results"), (scaling, "make scaling")]
)
def test_a_committed_page_is_what_its_command_writes(program, command, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert program.PAGE.read_text() == program.page(FOUND), f"run: {command}"
