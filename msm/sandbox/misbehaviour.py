"""How the sandbox answers a request that a fault has struck."""

from __future__ import annotations

import asyncio

from aiohttp import web

from msm.sandbox.faults import Behaviour

LOGIN_PAGE = "<!DOCTYPE html><html><body><h1>Earthdata Login</h1>Please log in.</body></html>"
STALL_SECONDS = 3600.0


async def misbehave(behaviour: Behaviour, request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer a request wrongly.

    Parameters
    ----------
    behaviour
        How.
    request
        The request.
    body
        What a right answer would have held.
    """
    if behaviour == "html_200":
        return web.Response(text=LOGIN_PAGE, content_type="text/html")
    if behaviour == "unauthorized":
        return web.Response(status=401, text="HTTP Token: Access denied.")
    if behaviour == "unavailable":
        return web.Response(status=503, text="Service Unavailable", headers={"Retry-After": "0"})
    if behaviour == "corrupt":
        middle = len(body) // 2
        return web.Response(body=body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :])
    if behaviour == "stall":
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        await asyncio.sleep(STALL_SECONDS)
        return response
    # A server library does not cut its own answers short: this is written past it.
    length = f"Content-Length: {len(body)}\r\n" if behaviour == "truncated" else ""
    transport = request.transport
    if transport is not None:
        head = f"HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n"
        transport.write(head.encode() + body[: len(body) // 2])
        transport.close()
    return web.Response()
