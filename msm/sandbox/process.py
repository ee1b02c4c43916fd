"""Running the sandbox in a separate process, and controlling it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from msm.errors import MsmError
from msm.sandbox.faults import Fault
from msm.sandbox.granules.alterations import Alteration

STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, for its clients."""

    url: str
    """Root address, `https://HOST:PORT`."""
    ca_file: Path
    """Certificate of the temporary authority that signed the server's."""
    token: str = field(repr=False)
    """Accepted Earthdata Login token; user `sandbox` with password `sandbox` is accepted, too."""

    @property
    def cmr_url(self) -> str:
        """Base address of CMR's searches."""
        return f"{self.url}/search/"

    @property
    def edl_host(self) -> str:
        """Host and port of Earthdata Login."""
        return self.url.removeprefix("https://")

    @property
    def data_url(self) -> str:
        """Root of the data host."""
        return f"{self.url}/data/"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point a client to the sandbox."""
        return {
            "MSM_CMR_URL": self.cmr_url,
            "MSM_EDL_HOST": self.edl_host,
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "EARTHDATA_TOKEN": self.token,
        }

    def withhold(self, name: str) -> None:
        """Make a granule unavailable."""
        self._send("withhold", name=name)

    def restore(self, name: str) -> None:
        """Make a withheld granule available again."""
        self._send("restore", name=name)

    def duplicate(self, name: str) -> None:
        """Make the catalogue list a granule twice, under two concept ids."""
        self._send("duplicate", name=name)

    def alter(self, name: str, alteration: Alteration) -> str:
        """Replace a granule by an altered one; return its name."""
        return str(self._send("alter", name=name, alteration=alteration)["name"])

    def revise(self, name: str, *, changed: bool = True, produced: datetime | None = None) -> str:
        """Publish a granule again.

        Parameters
        ----------
        name
            File name of the granule.
        changed
            Whether it has new values: one percent more rain or soil moisture, or of the first
            variable if it has neither. A SMAP granule is then listed under a new name next to the
            old one; all others keep their name. If False, only the record's revision rises.
        produced
            Production time, by default a day after the last.

        Returns
        -------
        str
            File name of the new production.
        """
        when = produced.isoformat() if produced else None
        return str(self._send("revise", name=name, changed=changed, produced=when)["name"])

    def set_clock(self, now: datetime) -> None:
        """Set the present time: granules that are produced later are not available yet.

        A granule is produced its product's latency after its own time.
        """
        self._send("clock", now=now.isoformat())

    def fault(self, fault: Fault) -> None:
        """Make matching requests fail from now on."""
        self._send("fault", **fault.model_dump())

    def clear_faults(self) -> None:
        """Remove all faults; revised and withheld granules stay as they are."""
        self._send("clear_faults")

    def reset(self) -> None:
        """Remove faults, revisions, withheld granules and the clock; clear the log of requests."""
        self._send("reset")

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests since the start or the last reset: method, path, status, range."""
        answer = requests.get(f"{self.url}/sandbox/requests", verify=str(self.ca_file), timeout=60)
        answer.raise_for_status()
        log: list[dict[str, Any]] = answer.json()
        return log

    def _send(self, order: str, **arguments: object) -> dict[str, Any]:
        answer = requests.post(
            f"{self.url}/sandbox/{order}", json=arguments, verify=str(self.ca_file), timeout=60
        )
        result: dict[str, Any] = answer.json()
        if not answer.ok:
            raise MsmError(f"The sandbox refused: {result['errors'][0]}")
        return result


@contextmanager
def start(root: Path, weather: str = "synthetic") -> Iterator[Sandbox]:
    """Run the sandbox as a separate process on a free loopback port.

    It ends with the context, and with this process even if that is killed.

    Parameters
    ----------
    root
        Folder for certificate, granules and the server's log.
    weather
        Source of the fields, see `load_weather`.

    Yields
    ------
    Sandbox
        Its address and controls.

    Raises
    ------
    MsmError
        If it does not start.
    """
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "msm.sandbox", str(root), weather]
    with (
        (root / "server.log").open("w+", encoding="utf-8") as log,
        _running(command, log) as server,
    ):
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            server.wait(STOP_SECONDS)
            log.seek(0)
            lines = log.read().strip().splitlines() or ["it printed nothing"]
            raise MsmError(f"The sandbox did not start: {lines[-1]}")
        ready = json.loads(line)
        yield Sandbox(ready["url"], Path(ready["ca_file"]), ready["token"])


@contextmanager
def _running(command: Sequence[str], log: Any) -> Iterator[subprocess.Popen[str]]:
    # One thread in each of its processes, which share the cores with the client.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
    )
    try:
        yield server
    finally:
        for pipe in (server.stdin, server.stdout):
            if pipe:
                pipe.close()
        # A child of this process may still hold the pipe open, so that the server does not stop.
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
