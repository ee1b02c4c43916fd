"""The archive behind a real nginx, with the configuration that deploy/ ships."""

import http.client
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import requests
import xarray as xr

from msm.archive.canary import fetch_newest_map
from msm.archive.naming import domain_folder, map_path
from msm.archive.store import Published, publish
from msm.atomic_files import replacing
from tests.archive.conftest import BOX, MapMaker
from tests.conftest import ROOT
from tests.deploy.conftest import Services, free_port

TEMPLATE = ROOT / "deploy" / "nginx" / "archive.conf.template"
AROUND = """
daemon off;
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include archive.conf;
}
"""


@dataclass(frozen=True)
class Served:
    """An archive in a folder, served by nginx."""

    folder: Path
    newest: Published
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: Path | str, **headers: str) -> requests.Response:
        """Request a file of the folder, or a path."""
        name = path.relative_to(self.folder).as_posix() if isinstance(path, Path) else path
        return requests.get(f"{self.url}/{name}", headers=headers, timeout=10)

    def ask(self, method: str, target: str) -> int:
        """Return the status of a request whose target no client normalises."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, target)
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture(scope="module")
def served(make_map: MapMaker, services: Services, tool: Callable[[str], str]) -> Iterator[Served]:
    nginx, envsubst = tool("nginx"), tool("envsubst")
    # Its workers have no privileges, as in the image: published files are readable by everyone.
    folder = Path(tempfile.mkdtemp(prefix="msm-nginx-"))
    folder.chmod(0o755)
    archive = folder / "archive"
    for day in (1, 2):
        newest = publish(archive, make_map(day=date(2016, 4, day), seed=day))
    port = free_port()
    variables = {"ARCHIVE_LISTEN": f"127.0.0.1:{port}", "ARCHIVE_ROOT": str(archive)}
    assert variables.keys() == services["archive"]["environment"].keys()
    # As in the image: only these variables are replaced, others belong to nginx.
    names = " ".join(f"${name}" for name in variables)
    filled = subprocess.run(
        [envsubst, names],
        input=TEMPLATE.read_bytes(),
        env=variables,
        capture_output=True,
        check=True,
    )
    (folder / "archive.conf").write_bytes(filled.stdout)
    (folder / "nginx.conf").write_text(AROUND)
    command = [nginx, "-p", folder, "-c", "nginx.conf", "-e", "stderr"]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    assert "warn" not in tried.stderr
    with subprocess.Popen(command) as process:
        try:
            while process.poll() is None:
                try:
                    http.client.HTTPConnection("127.0.0.1", port, timeout=10).connect()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield Served(archive, newest, port)
        finally:
            process.terminate()
    shutil.rmtree(folder)


def test_ranges_of_a_map_are_served(served: Served) -> None:
    path = served.newest.path
    content = path.read_bytes()
    size = len(content)
    for asked, start, end in (
        ("0-7", 0, 8),
        ("100-", 100, size),
        ("-16", size - 16, size),
        (f"{size - 4}-{size + 4}", size - 4, size),
    ):
        answer = served.get(path, Range=f"bytes={asked}")
        assert answer.status_code == 206
        assert answer.content == content[start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    assert served.get(path, Range=f"bytes={size}-").status_code == 416
    complete = served.get(path)
    assert (complete.status_code, complete.content) == (200, content)
    assert complete.headers["Accept-Ranges"] == "bytes"


def test_a_map_is_opened_over_http(served: Served) -> None:
    path = served.newest.path
    address = f"{served.url}/{path.relative_to(served.folder).as_posix()}"
    with xr.open_dataset(path) as here, xr.open_dataset(f"{address}#mode=bytes") as there:
        xr.testing.assert_identical(here.load(), there.load())
    with (
        fsspec.open(address, block_size=4096) as file,
        h5py.File(file) as there,
        h5py.File(path) as here,
    ):
        np.testing.assert_array_equal(there["soil_moisture"], here["soil_moisture"])


def test_the_canary_finds_the_newest_map(served: Served) -> None:
    seen = fetch_newest_map(served.url, BOX, datetime(2016, 4, 6, tzinfo=UTC))
    assert seen.day == date(2016, 4, 2)
    assert seen.ranges is True


def test_files_have_the_content_types_of_their_formats(served: Served) -> None:
    path, domain = served.newest.path, domain_folder(served.folder, BOX)
    quality = path.with_name(f"{path.stem}-quality.json")
    quality.write_text("{}")
    for file, kind in {
        path: "application/netcdf",
        served.newest.item: "application/geo+json",
        served.newest.picture: "image/png",
        quality: "application/json",
        path.with_name("catalog.json"): "application/json",
        path.with_name("SHA256SUMS"): "text/plain; charset=utf-8",
        domain / "latest.json": "application/json",
        domain / "collection.json": "application/json",
        domain / "changes.jsonl": "application/jsonl",
        served.folder / "catalog.json": "application/json",
    }.items():
        answer = served.get(file)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind), file
        assert answer.content == file.read_bytes()


def test_content_types_agree_with_the_item(served: Served) -> None:
    item = served.get(served.newest.item).json()
    month = served.newest.item.parent.relative_to(served.folder).as_posix()
    for stated in (*item["assets"].values(), *item["links"]):
        answer = served.get(f"{month}/{stated['href']}")
        assert answer.status_code == 200, stated
        assert answer.headers["Content-Type"] == stated["type"]


def test_a_replaced_file_is_revalidated(served: Served) -> None:
    path = map_path(served.folder, BOX, date(2016, 4, 1))
    before = served.get(path)
    tag, content = before.headers["ETag"], path.read_bytes()
    for file in (path, domain_folder(served.folder, BOX) / "latest.json"):
        assert served.get(file).headers["Cache-Control"] == "no-cache"
    assert served.get(path, **{"If-None-Match": tag}).status_code == 304
    part = {"Range": "bytes=0-7", "If-Range": tag}
    assert served.get(path, **part).status_code == 206

    with replacing(path) as new:
        new.write_bytes(content + b"more")
    assert served.get(path, **{"If-None-Match": tag}).status_code == 200
    # A client never combines parts of two files.
    answer = served.get(path, **part)
    assert (answer.status_code, answer.content) == (200, content + b"more")


def test_hidden_and_half_written_files_are_not_served(served: Served) -> None:
    path = served.newest.path
    domain = domain_folder(served.folder, BOX)
    assert (domain / ".lock").is_file()
    assert (domain / ".writing").is_file()
    hidden = path.parent / ".hidden"
    hidden.mkdir()
    of_folder = hidden / "file.nc"
    written = path.with_name(f".12345678.{path.stem}.nc.tmp")
    with replacing(path) as half:
        for file in (half, written, of_folder):
            file.write_bytes(b"half")
        for file in (half, written, of_folder, hidden, domain / ".lock", domain / ".writing"):
            assert served.get(file).status_code == 404, file
        listing = served.get(path.parent).text
        half.write_bytes(path.read_bytes())
    assert path.name in listing
    assert re.findall(r'href="\.(?!\./)', listing) == []
    assert ".tmp" not in listing


@pytest.mark.parametrize(
    "target",
    ["/../nginx.conf", "/%2e%2e/nginx.conf", "/..%2fnginx.conf", "/x/../../nginx.conf", "/link"],
)
def test_files_outside_the_archive_are_not_served(served: Served, target: str) -> None:
    link = served.folder / "link"
    if not link.is_symlink():
        link.symlink_to("../nginx.conf")
    assert served.ask("GET", target) in (400, 403, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "MKCOL", "TRACE"])
def test_methods_that_write_are_refused(served: Served, method: str) -> None:
    assert served.ask(method, "/catalog.json") == 405


def test_pages_of_other_origins_may_read(served: Served) -> None:
    preflight = requests.options(
        f"{served.url}/catalog.json",
        headers={
            "Origin": "https://maps.example.org",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "range",
        },
        timeout=10,
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    for path, part, status in (
        (served.newest.path, "bytes=0-7", 206),
        (served.newest.path, "bytes=999999999-", 416),
        ("nowhere", "bytes=0-7", 404),
    ):
        answer = served.get(path, Origin="https://maps.example.org", Range=part)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]


def test_a_folder_is_listed_and_the_server_version_is_hidden(served: Served) -> None:
    listing = served.get("")
    assert "catalog.json" in listing.text
    assert listing.headers["Server"] == "nginx"
    assert listing.headers["X-Content-Type-Options"] == "nosniff"
    assert "nginx/" not in served.get("nowhere").text
