"""Earthdata, through earthaccess; the only module that talks to it."""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import earthaccess
import requests
from earthaccess.exceptions import (
    EulaNotAccepted,
    LoginAttemptFailure,
    LoginStrategyUnavailable,
)
from earthaccess.system import PROD, System
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from msm.durable import alive
from msm.errors import MsmError
from msm.inputs.granule import Fetched, Granule, GranuleFile, verify
from msm.inputs.product import GranuleError, Product
from msm.inputs.readers import Readers
from msm.settings import Settings

log = logging.getLogger(__name__)

# earthaccess warns of its own future in its own code, which says nothing to an operator.
warnings.filterwarnings("ignore", category=FutureWarning, module="earthaccess")

ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA256": "sha256", "SHA-512": "sha512"}
"""Checksum algorithms of UMM-G as hashlib names them; others are not checked."""

CREDENTIALS = (
    "set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or write a ~/.netrc"
)

Result = TypeVar("Result")


class EarthdataError(MsmError):
    """Earthdata did not answer, or did not answer as it should."""


class LoginError(EarthdataError):
    """Earthdata Login refuses the credentials, or there are none."""


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
        retries = Retry(
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
                earthaccess.DataGranules(self._auth)
                .short_name(layout.product)
                .version(layout.version)
                .provider(layout.provider)
            )
            if layout.cadence != "static":
                asked = asked.temporal(start, end)
            return list(asked.get_all())

        records = self._logged_in(query, f"search for {layout.id}")
        host = urlsplit(self._settings.cmr_url).hostname or ""
        found = []
        for record in records:
            granule = _granule(product, record)
            # CMR's bounds are inclusive on intervals: the granule's own time decides.
            if granule is not None and (granule.time is None or start <= granule.time <= end):
                found.append(replace(granule, source=host))
        return found

    def fetch(self, product: Product, granules: Sequence[Granule]) -> Fetched:
        """Bring granules to disk and check them.

        A file in the cache that still passes every check is kept; all others are downloaded
        beside it and take its place only when they pass.

        Raises
        ------
        LoginError
            If the credentials are missing or refused, or the licence was not accepted.
        """
        folder = self._folder / f"{product.layout.product}.{product.layout.version}"
        incoming = folder / f".incoming-{os.getpid()}"
        hashes: dict[str, str] = {}
        for granule in granules:
            try:
                hashes[granule.name] = verify(folder / granule.name, granule)
            except (FileNotFoundError, GranuleError):
                continue
        wanted = [g for g in granules if g.name not in hashes]
        refused: dict[str, str] = {}
        for left in folder.glob(".incoming-*"):
            if not alive(int(left.name.rpartition("-")[2])):
                shutil.rmtree(left, ignore_errors=True)
        if wanted:
            try:
                refused = self._download(product, wanted, incoming, folder, hashes)
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
        folder: Path,
        hashes: dict[str, str],
    ) -> dict[str, str]:
        incoming.mkdir(parents=True, exist_ok=True)

        def get() -> list[Any]:
            results = self._store.get(
                [g.record for g in wanted],
                incoming,
                threads=self._settings.connections,
                show_progress=False,
                pqdm_kwargs={"exception_behaviour": "ignore"},
            )
            for result in results:
                if isinstance(result, EulaNotAccepted):
                    raise LoginError(
                        f"Earthdata does not serve {product.id} before its licence is accepted: "
                        "do so once at urs.earthdata.nasa.gov under Applications, EULAs."
                    )
                if "Status code: 401" in str(result):
                    raise _Refused
            return list(results)

        results = self._logged_in(get, f"download of {product.id}")
        failures = [str(result) for result in results if isinstance(result, Exception)]
        refused = {}
        for granule in wanted:
            try:
                hashes[granule.name] = verify(incoming / granule.name, granule)
            except FileNotFoundError:
                reason = next((f for f in failures if granule.name in f), "it never arrived")
                refused[granule.name] = (
                    f"{granule.name} could not be downloaded ({reason}): it is tried again "
                    "in the next run."
                )
            except GranuleError as error:
                refused[granule.name] = str(error)
        arrived = [incoming / g.name for g in wanted if g.name in hashes]
        for path, sentence in self._readers.problems(product, arrived).items():
            refused[path.name] = sentence
            del hashes[path.name]
        for path in arrived:
            if path.name in hashes:
                path.replace(folder / path.name)
        return refused

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


def _without_query(error: Exception) -> str:
    """Shorten an error to its kind and first line, without what may hold a secret."""
    line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {re.sub(r'[?&][^ ]*', '', line)[:200]}"


def _granule(product: Product, record: Any) -> Granule | None:
    """Turn a UMM-G record into a Granule; None where it names no file of this product.

    A name from the network becomes a path only when it has the product's own form.
    """
    umm, meta = record["umm"], record["meta"]
    layout = product.layout
    links = [u["URL"] for u in umm.get("RelatedUrls", []) if u.get("Type") == "GET DATA"]
    names = [urlsplit(link).path.rpartition("/")[2] for link in links]
    name = next((n for n in names if layout.matches(n)), None)
    if name is None:
        log.warning("Earthdata offers %s for %s: not a file of it", meta["native-id"], product.id)
        return None
    data = umm.get("DataGranule", {})
    archived = data.get("ArchiveAndDistributionInformation", [])
    archive = next((a for a in archived if a.get("Name") == name), archived[0] if archived else {})
    checksum = archive.get("Checksum", {})
    algorithm = ALGORITHMS.get(str(checksum.get("Algorithm")).upper())
    produced = data.get("ProductionDateTime")
    release, counter = layout.production_of(name)
    return Granule(
        product=layout.product,
        version=layout.version,
        name=name,
        time=layout.time_of(name),
        size=archive.get("SizeInBytes"),
        checksum=(algorithm, checksum["Value"]) if algorithm else None,
        production=datetime.fromisoformat(produced).astimezone(UTC) if produced else None,
        release=release,
        counter=counter,
        revision=int(meta.get("revision-id", 1)),
        record=record,
    )
