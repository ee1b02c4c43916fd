"""The committed pages are what the command writes."""

import subprocess
import sys

from docs_tools.input_pages import overview, page
from msm.products.definitions import PRODUCTS
from msm.products.registry import product
from tests.conftest import ROOT

PAGES = ROOT / "docs" / "inputs"


def test_the_committed_pages_are_what_the_command_writes(real_data, tmp_path):
    command = [sys.executable, "-m", "docs_tools.input_pages", tmp_path, real_data / "granules"]
    subprocess.run(command, cwd=ROOT, check=True)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in PAGES.iterdir()}
    assert committed.keys() == written.keys(), "run: make pages"
    for name, text in written.items():
        assert committed[name] == text, f"{name} is out of date, run: make pages"
    assert str(real_data) not in written["real-files.md"]


def test_every_product_is_listed_and_every_variable_described():
    listed = overview()
    for known in PRODUCTS:
        assert f"[{known.id}](" in listed
        text = page(known)
        for variable in known.layout.variables:
            line = next(r for r in text.splitlines() if f"`{variable.path}`" in r)
            assert ("real file: " in line) == variable.verified
            assert variable.source in line


def test_a_page_tells_what_a_day_takes():
    assert "| a day takes | 8 granules, 01:30 to 22:30 UTC |" in page(product("SPL4SMGP", "008"))
    gldas = page(product("GLDAS_NOAH025_3H", "2.1"))
    assert "| a day takes | 9 granules, 00:00 to 00:00 of the next day UTC |" in gldas
    assert "| a day takes | one granule |" in page(product("M2T1NXRAD", "5.12.4"))
    assert "| a day takes | no fixed times |" in page(product("SPL2SMP_NRT", "107"))
