"""Sign-in at a data host: a redirect to Earthdata Login and back, which sets a cookie.

It follows OAuth 2 as Earthdata's data hosts do. Host and Earthdata Login are two names of one
address, `localhost` and `127.0.0.1`: as with the real ones, a client drops its token where the
name changes, and only user and password pass.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from aiohttp import web

DATA_HOST = "localhost"
"""Name under which the data host signs users in."""


class SignIn:
    """The pages of the sign-in, and the cookie of clients that passed it."""

    def __init__(self, basic: str) -> None:
        self._basic = basic
        self._code, self._cookie = secrets.token_urlsafe(8), secrets.token_urlsafe(8)

    def routes(self) -> list[web.RouteDef]:
        """Return the pages of both hosts."""
        return [web.get("/login", self._login), web.get("/oauth/authorize", self._authorize)]

    def known(self, request: web.Request) -> bool:
        """Return whether a request comes from a client that has signed in."""
        return request.cookies.get("session") == self._cookie

    def begin(self, request: web.Request) -> web.Response:
        """Redirect a client to sign in and return to its request."""
        return _redirect(f"{self._host(request)}/login?{urlencode({'state': request.path})}")

    async def _login(self, request: web.Request) -> web.Response:
        state = request.query["state"]
        there = _redirect(f"{self._host(request)}{state}")
        if self.known(request):
            return there
        if request.query.get("code") == self._code:
            there.set_cookie("session", self._cookie)
            return there
        asked = {"redirect_uri": f"{self._host(request)}/login", "state": state}
        return _redirect(f"https://127.0.0.1:{request.url.port}/oauth/authorize?{urlencode(asked)}")

    async def _authorize(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._basic:
            return web.Response(
                status=401,
                text="HTTP Basic: Access denied.",
                headers={"WWW-Authenticate": 'Basic realm="Earthdata Login"'},
            )
        back = {"code": self._code, "state": request.query["state"]}
        return _redirect(f"{request.query['redirect_uri']}?{urlencode(back)}")

    @staticmethod
    def _host(request: web.Request) -> str:
        return f"https://{DATA_HOST}:{request.url.port}"


def _redirect(url: str) -> web.Response:
    return web.Response(status=302, headers={"Location": url})
