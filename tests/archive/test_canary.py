import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from msm.archive.canary import CanaryError, fetch_newest_map
from msm.archive.naming import domain_folder, map_path
from msm.archive.store import publish
from tests.archive.conftest import BOX, MapMaker

NOW = datetime(2016, 4, 6, tzinfo=UTC)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *message: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def published(make_map: MapMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = tmp_path_factory.mktemp("archive")
    for day in (1, 2):
        publish(archive, make_map(day=date(2016, 4, day), seed=day))
    return archive


@pytest.fixture
def archive(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "archive"))


@pytest.fixture
def url(archive: Path) -> Iterator[str]:
    """Address of a server of the archive that does not answer range requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(archive)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_newest_map_is_found_in_a_folder(archive: Path):
    seen = fetch_newest_map(str(archive), BOX, NOW)
    assert seen.day == date(2016, 4, 2)
    assert seen.status == "final"
    assert 0.3 < seen.valid_fraction < 1
    assert seen.ranges is None


def test_the_newest_map_is_found_by_http(url: str):
    seen = fetch_newest_map(url, BOX, NOW)
    assert seen.day == date(2016, 4, 2)
    assert seen.address.startswith(url)
    assert seen.ranges is False


def test_a_damaged_file_is_refused_by_its_checksum(archive: Path):
    path = map_path(archive, BOX, date(2016, 4, 2))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CanaryError, match=r"has another checksum than latest\.json states"):
        fetch_newest_map(str(archive), BOX, NOW)


def test_a_file_that_does_not_open_is_refused(archive: Path):
    path = map_path(archive, BOX, date(2016, 4, 2))
    path.write_bytes(b"no map")
    latest = domain_folder(archive, BOX) / "latest.json"
    document = json.loads(latest.read_text())
    document["sha256"] = hashlib.sha256(b"no map").hexdigest()
    latest.write_text(json.dumps(document))
    with pytest.raises(CanaryError, match="does not open in xarray"):
        fetch_newest_map(str(archive), BOX, NOW)


def test_an_empty_catalogue_and_a_missing_file_are_refused(archive: Path, url: str):
    path = map_path(archive, BOX, date(2016, 4, 2))
    path.unlink()
    with pytest.raises(CanaryError, match=r"20160402.* cannot be read: 404"):
        fetch_newest_map(url, BOX, NOW)
    catalog = archive / "catalog.json"
    document = json.loads(catalog.read_text())
    document["links"] = [link for link in document["links"] if link["rel"] != "child"]
    catalog.write_text(json.dumps(document))
    with pytest.raises(CanaryError, match="lists no domain box"):
        fetch_newest_map(str(archive), BOX, NOW)


def test_an_overdue_day_is_refused(archive: Path):
    freshness = domain_folder(archive, BOX) / "freshness.json"
    stated = {
        "next_due": {"day": "2016-04-03", "at": "2016-04-08T00:00:00+00:00"},
        "last_run": "2016-04-07T14:30:00+00:00",
    }
    freshness.write_text(json.dumps(stated))
    fetch_newest_map(str(archive), BOX, datetime(2016, 4, 8, 23, tzinfo=UTC))
    with pytest.raises(CanaryError, match=r"2016-04-03 was due at 2016-04-08.* is the schedule"):
        fetch_newest_map(str(archive), BOX, datetime(2016, 4, 9, 1, tzinfo=UTC))
