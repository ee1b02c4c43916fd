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
from msm.sandbox.server.catalogue import Catalogue, ServedGranule, collection_record, granule_record
from msm.sandbox.server.granule_store import GranuleStore
from msm.sandbox.server.misbehaviour import misbehave
from msm.sandbox.server.search import Search, SearchError
from msm.sandbox.server.sign_in import SignIn

USER = PASSWORD = "sandbox"  # noqa: S105 - a public account
AHEAD = 8
"""Granules that are written ahead of the one whose record is being sent."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SimulatedEarthdata:
    """The handlers of all requests to the sandbox."""

    def __init__(self, catalogue: Catalogue, store: GranuleStore, token: str) -> None:
        self._catalogue, self._store, self._token = catalogue, store, token
        self._faults = Faults()
        self._log: deque[dict[str, Any]] = deque(maxlen=20_000)
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._basic, self._bearer = f"Basic {basic}", f"Bearer {token}"
        self._sign_in = SignIn(self._basic)

    def app(self) -> web.Application:
        """Return the application with all its routes."""
        app = web.Application(middlewares=[self._intercept])
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
    async def _intercept(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/sandbox/"):
            return await handler(request)
        entry = {"method": request.method, "path": request.path_qs, "status": 0}
        if "Range" in request.headers:
            entry["range"] = request.headers["Range"]
        self._log.append(entry)
        fault = self._faults.match(request.path_qs)
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
        # A record holds the checksum of a file that may have to be written first. Records are sent
        # one by one, so that a client does not time out on a long page.
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(f'{{"hits": {len(found)}, "took": 1, "items": ['.encode())
        separator = ""
        data_url = f"{request.scheme}://{request.host}/data/"
        async for granule, info in self._written(page):
            record = granule_record(granule, info, data_url)
            await response.write((separator + json.dumps(record)).encode())
            separator = ",\n"
        await response.write(b"]}")
        await response.write_eof()
        return response

    async def _written(
        self, page: Iterable[ServedGranule]
    ) -> AsyncIterator[tuple[ServedGranule, Any]]:
        """Yield granules in order with their info, while some are written ahead."""
        coming = iter(page)
        ahead: deque[tuple[ServedGranule, asyncio.Task[Any]]] = deque()

        def begin(count: int) -> None:
            for granule in islice(coming, count):
                ahead.append((granule, asyncio.create_task(self._store.info(granule))))

        begin(AHEAD)
        while ahead:
            granule, task = ahead.popleft()
            info = await task
            begin(1)
            yield granule, info

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
            return web.Response(status=404, text="The granule does not exist.")
        return web.FileResponse(
            await self._store.file(granule), headers={"Content-Type": "application/x-hdf5"}
        )

    def _requested(self, request: web.Request) -> ServedGranule | None:
        granule = self._catalogue.named(request.path.rpartition("/")[2])
        return granule if granule and request.path == f"/data/{granule.path}" else None

    async def _body(self, request: web.Request) -> bytes:
        """Return the body of the right answer, for a fault to spoil."""
        granule = self._requested(request)
        if granule is None:
            return json.dumps({"errors": ["This answer is deliberately wrong."]}).encode()
        return (await self._store.file(granule)).read_bytes()

    # Control

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._log))

    async def _control(self, request: web.Request) -> web.Response:
        order = request.match_info["order"]
        arguments = await request.json()
        try:
            return web.json_response(self._apply(order, arguments))
        except (MsmError, KeyError, TypeError, ValueError) as error:
            return _refused(400, f"{order}: {error}")

    def _apply(self, order: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if order == "withhold":
            self._catalogue.withhold(arguments["name"])
        elif order == "restore":
            self._catalogue.restore(arguments["name"])
        elif order == "duplicate":
            self._catalogue.duplicate(arguments["name"])
        elif order == "alter":
            return {"name": self._catalogue.alter(arguments["name"], arguments["alteration"]).name}
        elif order == "revise":
            produced = arguments["produced"] and datetime.fromisoformat(arguments["produced"])
            new = self._catalogue.revise(
                arguments["name"], changed=arguments["changed"], produced=produced
            )
            return {"name": new.name}
        elif order == "clock":
            self._catalogue.clock = datetime.fromisoformat(arguments["now"])
        elif order == "fault":
            self._faults.add(Fault.model_validate(arguments))
        elif order == "clear_faults":
            self._faults.clear()
        elif order == "reset":
            self._catalogue.reset()
            self._faults.clear()
            self._log.clear()
        else:
            raise MsmError("There is no such order.")
        return {}


def _refused(status: int, error: str) -> web.Response:
    return web.json_response({"errors": [error]}, status=status)
