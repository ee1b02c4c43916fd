"""The simulated Earthdata: Earthdata Login, CMR and a data host behind one loopback address."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from aiohttp import web

from msm.errors import MsmError
from msm.sandbox.faults import Fault, Faults
from msm.sandbox.server.catalogue import Catalogue, Granule, collection_record, granule_record
from msm.sandbox.server.misbehaviour import misbehave
from msm.sandbox.server.search import Search, SearchError
from msm.sandbox.server.shelf import Shelf
from msm.sandbox.server.sign_in import SignIn

USER = PASSWORD = "sandbox"  # noqa: S105 - the account that everybody may know
AHEAD = 8
"""Granules that are made ahead of the one whose record is being sent."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Earthdata:
    """All the sandbox's answers."""

    def __init__(self, catalogue: Catalogue, shelf: Shelf, token: str) -> None:
        self._catalogue, self._shelf, self._token = catalogue, shelf, token
        self._faults = Faults()
        self._log: deque[dict[str, Any]] = deque(maxlen=20_000)
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._basic, self._bearer = f"Basic {basic}", f"Bearer {token}"
        self._sign_in = SignIn(self._basic)

    def app(self) -> web.Application:
        """Return the application with all its routes."""
        app = web.Application(middlewares=[self._watch])
        app.add_routes(
            [
                web.post("/api/users/find_or_create_token", self._find_or_create_token),
                web.get("/profile", self._profile),
                web.get("/api/v1/statuses", self._statuses),
                web.get("/search/granules.umm_json", self._granules),
                web.get("/search/collections.umm_json", self._collections),
                web.get("/data/{path:.+}", self._data),
                web.get("/", self._profile),
                *self._sign_in.routes(),
                web.get("/sandbox/requests", self._requests),
                web.post("/sandbox/{order}", self._control),
            ]
        )
        return app

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/sandbox/"):
            return await handler(request)
        entry = {"method": request.method, "path": request.path_qs, "status": 0}
        if "Range" in request.headers:
            entry["range"] = request.headers["Range"]
        self._log.append(entry)
        fault = self._faults.strike(request.path_qs)
        response: web.StreamResponse
        if fault is None or (fault.behaviour == "sign_in" and self._sign_in.known(request)):
            response = await handler(request)
        elif fault.behaviour == "sign_in":
            response = self._sign_in.begin(request)
        else:
            response = await misbehave(fault, request, await self._body(request))
        entry["status"] = response.status
        return response

    # Earthdata Login

    async def _find_or_create_token(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._basic:
            return web.json_response(
                {"error": "invalid_credentials"},
                status=401,
                headers={"WWW-Authenticate": 'Basic realm="Please enter your credentials."'},
            )
        return web.json_response(
            {
                "access_token": self._token,
                "token_type": "Bearer",
                "expiration_date": "01/01/2100",
            }
        )

    async def _profile(self, request: web.Request) -> web.Response:
        days = f"{self._catalogue.first_day} to {self._catalogue.last_day}"
        return web.Response(text=f"The sandbox of msm: a simulated Earthdata, {days}.\n")

    async def _statuses(self, request: web.Request) -> web.Response:
        names = ("Earthdata Login", "Common Metadata Repository")
        return web.json_response({"statuses": [{"name": name, "status": "OK"} for name in names]})

    # Common Metadata Repository

    async def _collections(self, request: web.Request) -> web.StreamResponse:
        try:
            search = Search.parse(request.query)
            found = [collection_record(product) for product in search.collections()]
            items = found[: search.page_size]
        except SearchError as error:
            return _refused(400, str(error))
        body = {"hits": len(found), "took": 1, "items": items}
        return web.json_response(body, headers={"CMR-Hits": str(len(found))})

    async def _granules(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization", self._bearer) not in (self._bearer, self._basic):
            return _refused(401, "Token does not exist")
        try:
            search = Search.parse(request.query)
            page_size = search.page_size
            start = int(request.headers.get("cmr-search-after", "0"))
            found = search.granules(self._catalogue)
            page = found[start : start + page_size]
        except (SearchError, ValueError) as error:
            return _refused(400, str(error))
        headers = {
            "CMR-Hits": str(len(found)),
            "Content-Type": "application/vnd.nasa.cmr.umm_results+json;version=1.6.6",
        }
        if page and start + len(page) < len(found):
            headers["CMR-Search-After"] = str(start + len(page))
        # A record holds the checksum of a file that may first have to be made: records are sent
        # one by one, so that no client waits in silence for a long page.
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(f'{{"hits": {len(found)}, "took": 1, "items": ['.encode())
        separator = ""
        data_url = f"{request.scheme}://{request.host}/data/"
        async for granule, facts in self._made(page):
            record = granule_record(granule, facts, data_url)
            await response.write((separator + json.dumps(record)).encode())
            separator = ",\n"
        await response.write(b"]}")
        await response.write_eof()
        return response

    async def _made(self, page: Iterable[Granule]) -> AsyncIterator[tuple[Granule, Any]]:
        """Yield granules in order with their facts, some being made ahead."""
        coming = iter(page)
        ahead: deque[tuple[Granule, asyncio.Task[Any]]] = deque()

        def begin(count: int) -> None:
            for granule in islice(coming, count):
                ahead.append((granule, asyncio.create_task(self._shelf.facts(granule))))

        begin(AHEAD)
        while ahead:
            granule, task = ahead.popleft()
            facts = await task
            begin(1)
            yield granule, facts

    # Data host

    async def _data(self, request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Authorization") in (self._bearer, self._basic)
        if not known and not self._sign_in.known(request):
            return web.Response(
                status=401,
                text="HTTP Basic: Access denied.",
                headers={"WWW-Authenticate": 'Basic realm="Earthdata"'},
            )
        granule = self._requested(request)
        if granule is None:
            return web.Response(status=404, text="There is no such granule.")
        return web.FileResponse(
            await self._shelf.file(granule), headers={"Content-Type": "application/x-hdf5"}
        )

    def _requested(self, request: web.Request) -> Granule | None:
        granule = self._catalogue.named(request.path.rpartition("/")[2])
        return granule if granule and request.path == f"/data/{granule.path}" else None

    async def _body(self, request: web.Request) -> bytes:
        """Return what a right answer would hold, for an answer that is to be wrong."""
        granule = self._requested(request)
        if granule is None:
            return json.dumps({"errors": ["This answer is wrong on purpose."]}).encode()
        return (await self._shelf.file(granule)).read_bytes()

    # Control

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._log))

    async def _control(self, request: web.Request) -> web.Response:
        order = request.match_info["order"]
        given = await request.json()
        try:
            return web.json_response(self._obey(order, given))
        except (MsmError, KeyError, TypeError, ValueError) as error:
            return _refused(400, f"{order}: {error}")

    def _obey(self, order: str, given: dict[str, Any]) -> dict[str, Any]:
        if order == "withhold":
            self._catalogue.withhold(given["name"])
        elif order == "restore":
            self._catalogue.restore(given["name"])
        elif order == "duplicate":
            self._catalogue.duplicate(given["name"])
        elif order == "alter":
            return {"name": self._catalogue.alter(given["name"], given["alteration"]).name}
        elif order == "revise":
            produced = given["produced"] and datetime.fromisoformat(given["produced"])
            new = self._catalogue.revise(given["name"], changed=given["changed"], produced=produced)
            return {"name": new.name}
        elif order == "clock":
            self._catalogue.clock = datetime.fromisoformat(given["now"])
        elif order == "fault":
            self._faults.add(Fault.model_validate(given))
        elif order == "mend":
            self._faults.clear()
        elif order == "reset":
            self._catalogue.reset()
            self._faults.clear()
            self._log.clear()
        else:
            raise MsmError("there is no such order")
        return {}


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"errors": [error]}, status=status)
