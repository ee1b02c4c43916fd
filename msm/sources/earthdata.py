"""Granules from Earthdata: search of its catalogue (CMR) and download, through earthaccess."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from earthaccess import Store
from earthaccess.exceptions import (
    DownloadFailure,
    LoginAttemptFailure,
    LoginStrategyUnavailable,
)

from msm.atomic_files import alive, writing
from msm.errors import MsmError
from msm.products.layout import BEGINS, Layout
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers
from msm.settings import Settings
from msm.sources.cmr_records import RecordError, offered
from msm.sources.earthaccess_compat import (
    Auth,
    GranuleQuery,
    catalogue_answer,
    is_refused,
    log_in,
)
from msm.sources.granule import Fetched, Granule, GranuleFile, verify
from msm.workspace import INCOMING, granule_folder

log = logging.getLogger(__name__)

CREDENTIALS = (
    "set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or write a ~/.netrc"
)

Result = TypeVar("Result")


class EarthdataError(MsmError):
    """Earthdata does not answer, or its answer is invalid."""


class LoginError(EarthdataError):
    """Earthdata Login refuses the credentials, or there are none."""


class _TokenRefused(Exception):
    """Earthdata answers 401."""


class Earthdata:
    """Search and download of granules; a refused token is renewed once by a new login."""

    def __init__(self, settings: Settings, readers: Readers) -> None:
        self._settings = settings
        self._readers = readers
        self._auth: Auth | None = None
        self._store: Any = None
        self._token: str | None = None

    def search(self, product: Product, start: datetime, end: datetime) -> list[Granule]:
        """List the granules of a product with `start` <= time <= `end`; all of a static one.

        Raises
        ------
        LoginError
            If the credentials are missing or refused.
        EarthdataError
            If the catalogue does not answer as it should.
        """
        layout = product.layout

        def search() -> list[Any]:
            query = (
                GranuleQuery(self._auth)
                .short_name(layout.product)
                .version(layout.version)
                .provider(layout.provider)
            )
            if layout.cadence != "static":
                query = query.temporal(start - _lead(layout), end)
            try:
                return list(query.get_all())
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise EarthdataError(
                    f"The answer of Earthdata's catalogue cannot be read (search for {layout.id}: "
                    f"{_without_query(error)}): see status.earthdata.nasa.gov and run again later."
                ) from None

        records = self._logged_in(search, f"search for {layout.id}")
        host = urlsplit(self._settings.cmr_url).hostname or ""
        try:
            granules = offered(product, records)
        except RecordError as error:
            raise EarthdataError(f"{error} See status.earthdata.nasa.gov.") from None
        # CMR's bounds are of intervals, and inclusive: the granule's own time decides.
        return [
            replace(granule, source=host)
            for granule in granules
            if granule.time is None or start <= granule.time <= end
        ]

    def fetch(self, product: Product, granules: Sequence[Granule]) -> Fetched:
        """Download granules and check them.

        A file in the cache that passes every check is kept. Any other is downloaded to a folder
        next to the cache and replaces the cached file when it passes. The modification time of a
        cached file is the time of its last use, by which `msm prune` keeps the files of a run in
        progress.

        Raises
        ------
        LoginError
            If the credentials are missing or refused, or the licence was not accepted.
        MsmError
            If they cannot be written to the disk, which no other source remedies.
        """
        layout = product.layout
        folder = granule_folder(self._settings.work, layout.product, layout.version)
        incoming = folder / f".incoming-{os.getpid()}"
        hashes: dict[str, str] = {}
        for granule in granules:
            try:
                os.utime(folder / granule.name)
                hashes[granule.name] = verify(folder / granule.name, granule)
            except (FileNotFoundError, GranuleError):
                continue
        wanted = [g for g in granules if g.name not in hashes]
        for left in folder.glob(".incoming-*"):
            match = INCOMING.fullmatch(left.name)
            if match and not alive(int(match["pid"])):
                shutil.rmtree(left, ignore_errors=True)
        refused: dict[str, str] = {}
        if wanted:
            try:
                with writing(folder):
                    arrived, refused = self._download(product, wanted, incoming)
                    for name in arrived:
                        (incoming / name).replace(folder / name)
                hashes |= arrived
            finally:
                shutil.rmtree(incoming, ignore_errors=True)
        files = tuple(
            GranuleFile(g, folder / g.name, (folder / g.name).stat().st_size, hashes[g.name])
            for g in granules
            if g.name in hashes
        )
        return Fetched(files, refused)

    def _download(
        self,
        product: Product,
        wanted: Sequence[Granule],
        incoming: Path,
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Download granules to a folder and check them.

        Returns
        -------
        hashes, refused
            SHA-256 of each valid file and a sentence for each other granule, by granule name.
        """
        incoming.mkdir(parents=True, exist_ok=True)

        def get(granule: Granule) -> Exception | None:
            try:
                self._store.get([granule.record], incoming, threads=1, show_progress=False)
            except (DownloadFailure, requests.RequestException) as error:
                return error
            return None

        def get_all() -> dict[str, Exception | None]:
            self._preflight(product, wanted[0])
            limit = min(self._settings.connections, product.layout.connections)
            with ThreadPoolExecutor(limit) as threads:
                failures = dict(
                    zip((g.name for g in wanted), threads.map(get, wanted), strict=True)
                )
            if any(is_refused(failure) for failure in failures.values()):
                raise _TokenRefused
            return failures

        failures = self._logged_in(get_all, f"download of {product.id}")
        hashes: dict[str, str] = {}
        refused = {}
        for granule in wanted:
            try:
                hashes[granule.name] = verify(incoming / granule.name, granule)
            except FileNotFoundError:
                failure = failures[granule.name]
                reason = _without_query(failure) if failure else "nothing was received"
                refused[granule.name] = (
                    f"{granule.name} could not be downloaded ({reason}): the next run tries again."
                )
            except GranuleError as error:
                refused[granule.name] = str(error)
        arrived = [incoming / name for name in hashes]
        for path, sentence in self._readers.problems(product, arrived).items():
            refused[path.name] = sentence
            del hashes[path.name]
        return hashes, refused

    def _preflight(self, product: Product, granule: Granule) -> None:
        """Request one byte of one file, to learn by one request whether the host serves msm.

        earthaccess requests every file three times, whatever the answer. The session is the one
        whose cookies its downloads use.

        Raises
        ------
        LoginError
            If the licence was not accepted, or the host requires user and password.
        EarthdataError
            If the host asks to wait longer than msm does.
        """
        (link,) = granule.record.data_links()
        session = self._store.get_requests_session()
        with session.get(link, headers={"Range": "bytes=0-0"}, stream=True) as answer:
            status = answer.status_code
            # Another 403 may concern this file alone.
            if status == requests.codes.forbidden and "eula" in answer.text.lower():
                raise LoginError(
                    f"Earthdata does not serve {product.id} before its licence is accepted: "
                    f"do so once at https://{self._settings.edl_host} under Applications, EULAs."
                )
            if status == requests.codes.unauthorized:
                redirected = any(before.is_redirect for before in answer.history)
                if redirected and self._auth is not None and not self._auth.username:
                    raise LoginError(
                        f"The host of {product.id} requires user and password, which a token does "
                        "not replace: set EARTHDATA_USERNAME and EARTHDATA_PASSWORD and remove "
                        "EARTHDATA_TOKEN."
                    )
                raise _TokenRefused
            if status == requests.codes.too_many_requests:
                raise EarthdataError(
                    f"The host of {product.id} {_asks_to_wait(answer)}: run again then, with a "
                    "lower MSM_CONNECTIONS."
                )

    def _logged_in(self, request: Callable[[], Result], what: str) -> Result:
        """Make a request with a valid login; a refused token is renewed once."""
        if self._auth is None or self._token != os.environ.get("EARTHDATA_TOKEN"):
            self._log_in()
        try:
            return self._attempt(request, what)
        except _TokenRefused:
            log.warning("Earthdata refused the token: logging in again")
            self._log_in()
        try:
            return self._attempt(request, what)
        except _TokenRefused:
            raise LoginError(
                f"Earthdata refuses the token ({what}): generate a new one at "
                f"https://{self._settings.edl_host} and {CREDENTIALS}."
            ) from None

    def _attempt(self, request: Callable[[], Result], what: str) -> Result:
        try:
            return request()
        except RuntimeError as error:
            answer = catalogue_answer(error)
            if answer is not None and answer.status_code == requests.codes.unauthorized:
                raise _TokenRefused from None
            if answer is not None and answer.status_code == requests.codes.too_many_requests:
                raise EarthdataError(
                    f"Earthdata's catalogue {_asks_to_wait(answer)}: run again then."
                ) from None
            raise EarthdataError(
                f"Earthdata's catalogue fails ({what}: {_without_query(error)}): "
                "see status.earthdata.nasa.gov and run again later."
            ) from None
        except requests.RequestException as error:
            raise EarthdataError(
                f"Earthdata does not answer ({what}: {_without_query(error)}): "
                "see status.earthdata.nasa.gov and run again later."
            ) from None

    def _log_in(self) -> None:
        settings = self._settings
        host = settings.edl_host
        try:
            auth = log_in(settings.cmr_url, host, settings.timeout_seconds)
            self._store = Store(auth)
        except LoginStrategyUnavailable:
            raise LoginError(f"There are no Earthdata credentials: {CREDENTIALS}.") from None
        except LoginAttemptFailure:
            raise LoginError(
                f"Earthdata Login at {host} refuses the user or password: {CREDENTIALS}."
            ) from None
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else "no status"
            if status in (400, 401, 403):
                raise LoginError(
                    f"Earthdata Login at {host} refuses the token ({status}): generate a new one "
                    f"there and {CREDENTIALS}."
                ) from None
            raise EarthdataError(
                f"Earthdata Login at {host} fails with status {status}: run again later."
            ) from None
        except requests.RequestException as error:
            raise EarthdataError(
                f"Earthdata Login at {host} does not answer ({_without_query(error)}): "
                "check the network and MSM_EDL_HOST."
            ) from None
        self._auth = auth
        self._token = os.environ.get("EARTHDATA_TOKEN")


def _lead(layout: Layout) -> timedelta:
    """Return how long before a granule's own time the interval in its record may begin."""
    before = any(BEGINS.get(variable.time) == -1.0 for variable in layout.variables)
    return layout.interval if before else timedelta(0)


def _asks_to_wait(answer: requests.Response) -> str:
    """Describe how long a server asks to wait."""
    wait = answer.headers.get("Retry-After", "some")[:40]
    return f"asks to wait {wait} seconds (429, too many requests)"


def _without_query(error: Exception) -> str:
    """Shorten an error to its type and first line, without URL queries, which may hold a secret."""
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {re.sub(r'[?&][^ ]*', '', line)[:200]}"
