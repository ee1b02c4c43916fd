"""Answers of the sandbox to requests that a fault matches."""

from __future__ import annotations

import asyncio
import base64

from aiohttp import web

from msm.sandbox.faults import Fault

LOGIN_PAGE = "<!DOCTYPE html><html><body><h1>Earthdata Login</h1>Please log in.</body></html>"
STALL_SECONDS = 3600.0
PIECES = 20
"""Pieces in which a slow server sends a body."""


async def misbehave(fault: Fault, request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer a request with a fault.

    Parameters
    ----------
    fault
        Fault of the answer.
    request
        The request.
    body
        Body of the right answer.
    """
    answers = {
        "html_200": lambda: web.Response(text=LOGIN_PAGE, content_type="text/html"),
        "unauthorized": lambda: web.Response(status=401, text="HTTP Token: Access denied."),
        "eula": lambda: web.json_response(
            {"status_code": 403, "error_description": "EULA Acceptance Failure"}, status=403
        ),
        "too_many": lambda: web.Response(
            status=429, text="Too Many Requests", headers={"Retry-After": str(fault.seconds)}
        ),
        "unavailable": lambda: web.Response(
            status=503, text="Service Unavailable", headers={"Retry-After": "0"}
        ),
        "empty": lambda: web.json_response(
            {"hits": 0, "took": 1, "items": []}, headers={"CMR-Hits": "0"}
        ),
        "reply": lambda: web.Response(text=fault.body, headers={"CMR-Hits": "2"}),
        "bytes": lambda: web.Response(body=base64.b64decode(fault.body)),
        "corrupt": lambda: web.Response(body=_flipped(body)),
    }
    if fault.behaviour in answers:
        return answers[fault.behaviour]()
    if fault.behaviour in ("stall", "slow"):
        return await _slowly(fault, request, body)
    # The server library completes its answers: this one is written to the transport directly.
    length = f"Content-Length: {len(body)}\r\n" if fault.behaviour == "truncated" else ""
    transport = request.transport
    if transport is not None:
        head = f"HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n"
        transport.write(head.encode() + body[: len(body) // 2])
        transport.close()
    return web.Response()


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


async def _slowly(fault: Fault, request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    if fault.behaviour == "stall":
        await response.write(body[: len(body) // 2])
        await asyncio.sleep(STALL_SECONDS)
        return response
    size = -(-len(body) // PIECES)
    for start in range(0, len(body), size):
        await response.write(body[start : start + size])
        await asyncio.sleep(fault.seconds / PIECES)
    await response.write_eof()
    return response
