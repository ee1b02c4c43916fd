"""What msm corrects in earthaccess, each with its upstream issue and the version that ends it.

All of it is needed with earthaccess 0.17 and 0.18. `pyproject.toml` admits no later version, so
that each correction is checked again before the next one comes into use. Numbers are of
github.com/earthaccess-dev/earthaccess unless another project is named.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, Self
from urllib.parse import urlsplit

import earthaccess
import requests
from earthaccess.exceptions import LoginStrategyUnavailable
from earthaccess.system import PROD, System
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError

# #1187: its own code calls methods that version 1.0 replaces. Ends with 1.0.
warnings.filterwarnings("ignore", category=FutureWarning, module="earthaccess")

MAX_RETRY_AFTER = 120.0
"""Longest wait that a server may ask for (Retry-After), s; beyond it the run ends."""


class _BoundedRetry(Retry):
    """Retries that wait as long as the server asks, and not at all where that is too long."""

    def increment(self, *args: Any, **options: Any) -> Self:
        response = options.get("response")
        if response is not None and (self.get_retry_after(response) or 0.0) > MAX_RETRY_AFTER:
            # With raise_on_status=False this makes the answer itself the result.
            raise MaxRetryError(options["_pool"], None, None)
        return super().increment(*args, **options)


class _TimedAdapter(HTTPAdapter):
    """An adapter whose requests end when the server stops sending."""

    def __init__(self, timeout: float, retries: Retry) -> None:
        self._timeout = timeout
        super().__init__(max_retries=retries)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Auth(earthaccess.Auth):
    """earthaccess's login, with time limits and retries on every session that it hands out."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def get_session(self) -> requests.Session:
        """Return a session that retries transient failures and has a time limit."""
        session = super().get_session()
        # #600: no request has a time limit, and searches are not retried. Ends when both can be
        # set. A 401 or 403 is an answer, not a failure: trying again changes nothing.
        retries = _BoundedRetry(
            total=4,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            raise_on_status=False,
        )
        session.mount("https://", _TimedAdapter(self._timeout, retries))
        # psf/requests#3929: without an `auth` of its own, requests replaces the token by a line of
        # ~/.netrc. Ends when the session states its token as its `auth`.
        session.auth = _unchanged
        # The hook for user and password compares host names without a port. No issue is known;
        # only a login host with a port, as the sandbox's, needs it.
        for hook in session.hooks["response"]:
            vars(hook)["hostname"] = urlsplit(f"//{self.system.edl_hostname}").hostname
        return session


class GranuleQuery(earthaccess.DataGranules):
    """earthaccess's search, which reads no record before msm has validated it."""

    def _is_cloud_hosted(self, granule: Any) -> bool:
        # #526: the first record decides between S3 and https, and fails where it has another
        # structure. msm takes https everywhere. Ends when each granule decides for itself.
        return False


def log_in(cmr_url: str, edl_host: str, timeout: float) -> Auth:
    """Log in by EARTHDATA_TOKEN, by EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or by ~/.netrc.

    Raises
    ------
    LoginStrategyUnavailable
        If there are no credentials.
    LoginAttemptFailure
        If user or password are refused.
    requests.RequestException
        If Earthdata Login does not answer.
    """
    if os.environ.get("EARTHDATA_TOKEN") == "":
        # An empty token takes precedence over user and password. No issue is known; see #1121.
        del os.environ["EARTHDATA_TOKEN"]
    system = System(
        cmr_base_url=cmr_url,  # type: ignore[arg-type]
        status_url=PROD.status_url,
        status_api_url=PROD.status_api_url,
        edl_hostname=edl_host,  # type: ignore[arg-type]
    )
    # #764, #848: a second login() of one object keeps the token of the first. Ends when expired
    # tokens are replaced.
    auth = Auth(timeout)
    try:
        auth.login(strategy="environment", system=system)
    except LoginStrategyUnavailable:
        auth.login(strategy="netrc", system=system)
    return auth


def is_refused(failure: Exception | None) -> bool:
    """Return whether a download failed because the token was refused (401).

    earthaccess states the status in the text of its exception only.
    """
    return "Status code: 401" in str(failure)


def catalogue_answer(error: RuntimeError) -> requests.Response | None:
    """Return the answer of the catalogue that a failed search hides; None where there is none.

    earthaccess raises a RuntimeError for every status that is no success.
    """
    answer: requests.Response | None = getattr(error.__cause__, "response", None)
    return answer
