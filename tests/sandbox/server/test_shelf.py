"""Files are made when asked for, once, and made anew byte for byte when they were let go."""

import asyncio
import hashlib

import pytest

from msm.errors import MsmError
from msm.sandbox.server import shelf as shelf_module
from msm.sandbox.server.catalogue import Catalogue
from msm.sandbox.server.shelf import Shelf
from msm.sandbox.weather.synthetic import SyntheticWeather

NAMES = [f"SMAP_L3_SM_P_2024051{day}_R19240_001.h5" for day in range(3)]


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path / "granules", SyntheticWeather(1))
    yield shelf
    shelf.close()


@pytest.fixture
def granules():
    catalogue = Catalogue(SyntheticWeather(1))
    return [catalogue.named(name) for name in NAMES]


def test_one_file_is_made_once_for_all_who_ask(shelf, granules, monkeypatch):
    made = []
    work = Shelf._work
    monkeypatch.setattr(
        Shelf, "_work", lambda self, granule, path: made.append(path) or work(self, granule, path)
    )

    async def ask():
        return await asyncio.gather(*(shelf.facts(granules[0]) for _ in range(5)))

    facts = asyncio.run(ask())
    assert len(set(facts)) == 1
    assert len(made) == 1


def test_an_old_file_comes_back_the_same(shelf, granules, monkeypatch):
    first = asyncio.run(shelf.facts(granules[0]))
    monkeypatch.setattr(shelf_module, "KEPT_BYTES", int(2.5 * first.size))

    async def ask():
        facts = [await shelf.facts(granule) for granule in granules]
        first = shelf._path(granules[0])
        assert not first.exists()
        assert await shelf.file(granules[0]) == first
        return facts[0], first.read_bytes()

    facts, body = asyncio.run(ask())
    assert len(body) == facts.size
    assert hashlib.sha256(body).hexdigest() == facts.sha256
    assert len(list(shelf._folder.rglob("*.h5"))) == 2


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "precious.h5").write_text("real data")
    with pytest.raises(MsmError, match="not made by the sandbox"):
        Shelf(tmp_path, SyntheticWeather(1))
    assert (tmp_path / "precious.h5").exists()


def test_an_own_folder_is_emptied(tmp_path):
    for _ in range(2):
        shelf = Shelf(tmp_path / "granules", SyntheticWeather(1))
        shelf.close()
        (tmp_path / "granules" / "old.h5").touch()
    Shelf(tmp_path / "granules", SyntheticWeather(1)).close()
    assert not (tmp_path / "granules" / "old.h5").exists()
