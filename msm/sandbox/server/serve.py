"""Running the sandbox in this process until it is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import ssl
import sys
from pathlib import Path

import trustme
from aiohttp import web

from msm.errors import MsmError
from msm.sandbox.process import Sandbox
from msm.sandbox.server.application import SimulatedEarthdata
from msm.sandbox.server.catalogue import Catalogue
from msm.sandbox.server.granule_store import GranuleStore
from msm.sandbox.weather.sources import load_weather


def serve(
    root: Path,
    weather: str,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    stop_with_stdin: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; one JSON line on stdout reports readiness and address.

    Parameters
    ----------
    root
        Folder for certificate and granules; granules of an earlier run in it are removed.
    weather
        Source of the fields, see `load_weather`.
    host, port
        Address; port 0 takes a free one.
    stop_with_stdin
        Stop also at the end of standard input, which the death of the starting process causes.

    Raises
    ------
    MsmError
        If the weather is unknown or the address is taken.
    """
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    source = load_weather(weather)
    store = GranuleStore(root / "granules", source)
    try:
        asyncio.run(_serve(root, Catalogue(source), store, host, port, stop_with_stdin))
    finally:
        store.close()


async def _serve(
    root: Path,
    catalogue: Catalogue,
    store: GranuleStore,
    host: str,
    port: int,
    stop_with_stdin: bool,
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        loop.add_reader(0, _stop_at_end, stop)
    authority = trustme.CA()
    ca_file = root / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, "localhost").configure_cert(tls)
    token = secrets.token_urlsafe(24)
    runner = web.AppRunner(
        SimulatedEarthdata(catalogue, store, token).app(), access_log=None, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise MsmError(f"The sandbox cannot listen on {host}:{port}: {error}.") from error
        bound = runner.addresses[0][1]
        sandbox = Sandbox(f"https://{host}:{bound}", ca_file, token)
        ready = {
            "url": sandbox.url,
            "ca_file": str(ca_file),
            "token": token,
            "environment": sandbox.environment(),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _stop_at_end(stop: asyncio.Event) -> None:
    if not os.read(0, 1024):
        stop.set()
