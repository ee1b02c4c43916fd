"""Earthdata, through earthaccess; the only module that talks to it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import earthaccess
import requests
from earthaccess.exceptions import (
    DownloadFailure,
    LoginAttemptFailure,
    LoginStrategyUnavailable,
)
from earthaccess.system import PROD, System
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError

from msm.atomic_files import alive, writing
from msm.errors import MsmError
from msm.products.layout import BEGINS, Layout
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers
from msm.settings import Settings
from msm.sources.cmr_records import RecordError, offered
from msm.sources.granule import Fetched, Granule, GranuleFile, verify

log = logging.getLogger(__name__)

# earthaccess warns of its own future in its own code, which says nothing to an operator.
warnings.filterwarnings("ignore", category=FutureWarning, module="earthaccess")

CREDENTIALS = (
    "set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or write a ~/.netrc"
)

LONGEST_WAIT = 120.0
"""Seconds that msm waits where a server names a time (Retry-After); beyond, the run ends."""

Result = TypeVar("Result")


class EarthdataError(MsmError):
    """Earthdata did not answer, or did not answer as it should."""


class LoginError(EarthdataError):
    """Earthdata Login refuses the credentials, or there are none."""


class _Patience(Retry):
    """Retries that wait as long as the server asks for, and not at all where that is too long."""

    def increment(self, *args: Any, **happened: Any) -> Self:
        response = happened.get("response")
        if response is not None and (self.get_retry_after(response) or 0.0) > LONGEST_WAIT:
            # With raise_on_status=False this makes the answer itself the result.
            raise MaxRetryError(happened["_pool"], None, None)
        return super().increment(*args, **happened)


class _TimedAdapter(HTTPAdapter):
    """An adapter whose requests end when the server falls silent."""

    def __init__(self, timeout: float, retries: Retry) -> None:
        self._timeout = timeout
        super().__init__(max_retries=retries)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _Auth(earthaccess.Auth):
    """earthaccess's login, with time limits and retries on every session it hands out."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def get_session(self) -> requests.Session:
        """Return a session that retries what is worth retrying and never waits for ever."""
        session = super().get_session()
        # A 401 or 403 is an answer, not a failure: trying again changes nothing.
        retries = _Patience(
            total=4,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            raise_on_status=False,
        )
        session.mount("https://", _TimedAdapter(self._timeout, retries))
        # Without an `auth` of its own, requests replaces the token by a line of ~/.netrc.
        session.auth = _unchanged
        for hook in session.hooks["response"]:
            # The hook compares host names, which have no port.
            vars(hook)["hostname"] = urlsplit(f"//{self.system.edl_hostname}").hostname
        return session


class _Query(earthaccess.DataGranules):
    """earthaccess's search, whose answer is not believed before it is checked."""

    def _is_cloud_hosted(self, granule: Any) -> bool:
        # It decides between S3 and https from the first record, whatever that looks like; msm
        # takes https everywhere.
        return False


class Earthdata:
    """Search and download of granules, logged in once, and anew when the token is refused."""

    def __init__(self, settings: Settings, readers: Readers) -> None:
        self._settings = settings
        self._readers = readers
        self._folder = settings.work / "granules"
        self._auth: _Auth | None = None
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

        def query() -> list[Any]:
            asked = (
                _Query(self._auth)
                .short_name(layout.product)
                .version(layout.version)
                .provider(layout.provider)
            )
            if layout.cadence != "static":
                asked = asked.temporal(start - _lead(layout), end)
            try:
                return list(asked.get_all())
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise EarthdataError(
                    f"Earthdata's catalogue answers what cannot be read (search for {layout.id}: "
                    f"{_without_query(error)}): see status.earthdata.nasa.gov and run again later."
                ) from None

        records = self._logged_in(query, f"search for {layout.id}")
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
        """Bring granules to disk and check them.

        A file in the cache that still passes every check is kept; all others are downloaded
        beside it and take its place only when they pass. The time of a file is when it was
        fetched last, so that `msm prune` leaves alone what a run is at work on.

        Raises
        ------
        LoginError
            If the credentials are missing or refused, or the licence was not accepted.
        MsmError
            If they cannot be written to the disk: no other source would help.
        """
        folder = self._folder / f"{product.layout.product}.{product.layout.version}"
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
            if not alive(int(left.name.rpartition("-")[2])):
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
        """Download to a folder and check; hashes of what is good, reasons for what is not."""
        incoming.mkdir(parents=True, exist_ok=True)

        def get(granule: Granule) -> Exception | None:
            try:
                self._store.get([granule.record], incoming, threads=1, show_progress=False)
            except (DownloadFailure, requests.RequestException) as error:
                return error
            return None

        def get_all() -> dict[str, Exception | None]:
            self._knock(product, wanted[0])
            limit = min(self._settings.connections, product.layout.connections)
            with ThreadPoolExecutor(limit) as threads:
                failures = dict(
                    zip((g.name for g in wanted), threads.map(get, wanted), strict=True)
                )
            if any("Status code: 401" in str(failure) for failure in failures.values()):
                raise _Refused
            return failures

        failures = self._logged_in(get_all, f"download of {product.id}")
        hashes: dict[str, str] = {}
        refused = {}
        for granule in wanted:
            try:
                hashes[granule.name] = verify(incoming / granule.name, granule)
            except FileNotFoundError:
                failure = failures[granule.name]
                reason = _without_query(failure) if failure else "it never arrived"
                refused[granule.name] = (
                    f"{granule.name} could not be downloaded ({reason}): it is tried again "
                    "in the next run."
                )
            except GranuleError as error:
                refused[granule.name] = str(error)
        arrived = [incoming / name for name in hashes]
        for path, sentence in self._readers.problems(product, arrived).items():
            refused[path.name] = sentence
            del hashes[path.name]
        return hashes, refused

    def _knock(self, product: Product, granule: Granule) -> None:
        """Ask the data host for one byte of one file, to learn once whether it lets msm in.

        earthaccess asks three times for every file, whatever the answer. The session is the one
        whose cookies its downloads take along.

        Raises
        ------
        LoginError
            If the licence was not accepted, or the host wants user and password.
        EarthdataError
            If the host asks to wait for long.
        """
        (link,) = granule.record.data_links()
        session = self._store.get_requests_session()
        with session.get(link, headers={"Range": "bytes=0-0"}, stream=True) as answer:
            status = answer.status_code
            # A 403 of another kind may be about this file alone.
            if status == requests.codes.forbidden and "eula" in answer.text.lower():
                raise LoginError(
                    f"Earthdata does not serve {product.id} before its licence is accepted: "
                    f"do so once at https://{self._settings.edl_host} under Applications, EULAs."
                )
            if status == requests.codes.unauthorized:
                sent_away = any(before.is_redirect for before in answer.history)
                if sent_away and self._auth is not None and not self._auth.username:
                    raise LoginError(
                        f"The host of {product.id} asks for user and password, which a token does "
                        "not replace: set EARTHDATA_USERNAME and EARTHDATA_PASSWORD and remove "
                        "EARTHDATA_TOKEN."
                    )
                raise _Refused
            if status == requests.codes.too_many_requests:
                raise EarthdataError(
                    f"The host of {product.id} {_asks_to_wait(answer)}: run again then, with a "
                    "lower MSM_CONNECTIONS."
                )

    def _logged_in(self, ask: Callable[[], Result], what: str) -> Result:
        """Ask with a valid login; a refused token is renewed once."""
        if self._auth is None or self._token != os.environ.get("EARTHDATA_TOKEN"):
            self._login()
        try:
            return self._attempt(ask, what)
        except _Refused:
            log.warning("Earthdata refused the token: logging in anew")
            self._login()
        try:
            return self._attempt(ask, what)
        except _Refused:
            raise LoginError(
                f"Earthdata refuses the token ({what}): make a new one at "
                f"https://{self._settings.edl_host} and {CREDENTIALS}."
            ) from None

    def _attempt(self, ask: Callable[[], Result], what: str) -> Result:
        try:
            return ask()
        except RuntimeError as error:
            # earthaccess turns every answer of CMR that is no success into a RuntimeError.
            answer = getattr(error.__cause__, "response", None)
            if answer is not None and answer.status_code == requests.codes.unauthorized:
                raise _Refused from None
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

    def _login(self) -> None:
        settings = self._settings
        if os.environ.get("EARTHDATA_TOKEN") == "":
            # earthaccess takes an empty token for a token, before user and password.
            del os.environ["EARTHDATA_TOKEN"]
        system = System(
            cmr_base_url=settings.cmr_url,  # type: ignore[arg-type]
            status_url=PROD.status_url,
            status_api_url=PROD.status_api_url,
            edl_hostname=settings.edl_host,  # type: ignore[arg-type]
        )
        # A fresh object each time: a second login() on an old one keeps the old token.
        auth = _Auth(settings.timeout_seconds)
        host = settings.edl_host
        try:
            try:
                auth.login(strategy="environment", system=system)
            except LoginStrategyUnavailable:
                auth.login(strategy="netrc", system=system)
            self._store = earthaccess.Store(auth)
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
                    f"Earthdata Login at {host} refuses the token ({status}): make a new one "
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


class _Refused(Exception):
    """The token was refused."""


def _lead(layout: Layout) -> timedelta:
    """Return how long before a granule's own time its record's interval may begin, and end then."""
    before = any(BEGINS.get(variable.time) == -1.0 for variable in layout.variables)
    return layout.interval if before else timedelta(0)


def _asks_to_wait(answer: requests.Response) -> str:
    """Say for how long a server asks to be left alone."""
    wait = answer.headers.get("Retry-After", "some")[:40]
    return f"asks to wait {wait} seconds (429, too many requests)"


def _without_query(error: Exception) -> str:
    """Shorten an error to its kind and first line, without what may hold a secret."""
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {re.sub(r'[?&][^ ]*', '', line)[:200]}"
