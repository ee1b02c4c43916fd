"""Files are written once, on demand, and again byte for byte after their removal."""

import asyncio
import hashlib

import pytest

from msm.errors import MsmError
from msm.sandbox.server import granule_store
from msm.sandbox.server.catalogue import Catalogue
from msm.sandbox.server.granule_store import GranuleStore
from msm.sandbox.weather.synthetic import SyntheticWeather

NAMES = [f"SMAP_L3_SM_P_2024051{day}_R19240_001.h5" for day in range(3)]


@pytest.fixture
def store(tmp_path):
    store = GranuleStore(tmp_path / "granules", SyntheticWeather(1))
    yield store
    store.close()


@pytest.fixture
def granules():
    catalogue = Catalogue(SyntheticWeather(1))
    return [catalogue.named(name) for name in NAMES]


def test_concurrent_requests_write_a_file_once(store, granules, monkeypatch):
    made = []
    work = GranuleStore._work
    monkeypatch.setattr(
        GranuleStore,
        "_work",
        lambda self, granule, path: made.append(path) or work(self, granule, path),
    )

    async def ask():
        return await asyncio.gather(*(store.info(granules[0]) for _ in range(5)))

    info = asyncio.run(ask())
    assert len(set(info)) == 1
    assert len(made) == 1


def test_removed_file_is_written_again_byte_for_byte(store, granules, monkeypatch):
    first = asyncio.run(store.info(granules[0]))
    monkeypatch.setattr(granule_store, "KEPT_BYTES", int(2.5 * first.size))

    async def ask():
        info = [await store.info(granule) for granule in granules]
        first = store._path(granules[0])
        assert not first.exists()
        assert await store.file(granules[0]) == first
        return info[0], first.read_bytes()

    info, body = asyncio.run(ask())
    assert len(body) == info.size
    assert hashlib.sha256(body).hexdigest() == info.sha256
    assert len(list(store._folder.rglob("*.h5"))) == 2


def test_folder_of_others_is_refused(tmp_path):
    (tmp_path / "precious.h5").write_text("real data")
    with pytest.raises(MsmError, match="not created by the sandbox"):
        GranuleStore(tmp_path, SyntheticWeather(1))
    assert (tmp_path / "precious.h5").exists()


def test_own_folder_is_emptied(tmp_path):
    for _ in range(2):
        store = GranuleStore(tmp_path / "granules", SyntheticWeather(1))
        store.close()
        (tmp_path / "granules" / "old.h5").touch()
    GranuleStore(tmp_path / "granules", SyntheticWeather(1)).close()
    assert not (tmp_path / "granules" / "old.h5").exists()
