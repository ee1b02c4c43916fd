"""Running the sandbox beside this process, and telling it what to do."""

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
    """A running sandbox, as its clients see it."""

    url: str
    """Root address, `https://HOST:PORT`."""
    ca_file: Path
    """Certificate of the throw-away authority that signed the server's."""
    token: str = field(repr=False)
    """Earthdata Login token that is accepted; so are user `sandbox`, password `sandbox`."""

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
        """Return the environment variables that point a client here."""
        return {
            "MSM_CMR_URL": self.cmr_url,
            "MSM_EDL_HOST": self.edl_host,
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "EARTHDATA_TOKEN": self.token,
        }

    def withhold(self, name: str) -> None:
        """Let a granule be missing."""
        self._order("withhold", name=name)

    def restore(self, name: str) -> None:
        """Let a withheld granule arrive."""
        self._order("restore", name=name)

    def duplicate(self, name: str) -> None:
        """Let the catalogue list a granule twice, under two concept ids."""
        self._order("duplicate", name=name)

    def alter(self, name: str, alteration: Alteration) -> str:
        """Put an altered granule in the place of a right one; return its name."""
        return str(self._order("alter", name=name, alteration=alteration)["name"])

    def revise(self, name: str, *, changed: bool = True, produced: datetime | None = None) -> str:
        """Publish a granule again.

        Parameters
        ----------
        name
            File name of the granule.
        changed
            Whether it holds new values (one percent more rain or soil moisture, or of the first
            variable where it has neither). A SMAP granule then gets a new name beside the old one,
            all others keep their name. If False only the record's revision rises.
        produced
            Production time, by default a day after the last.

        Returns
        -------
        str
            File name of the new production.
        """
        when = produced.isoformat() if produced else None
        return str(self._order("revise", name=name, changed=changed, produced=when)["name"])

    def set_clock(self, now: datetime) -> None:
        """Let it be a moment: granules that their provider produces later are not there yet.

        A granule is produced as long after its own time as its product's latency says.
        """
        self._order("clock", now=now.isoformat())

    def fault(self, fault: Fault) -> None:
        """Let requests misbehave from now on."""
        self._order("fault", **fault.model_dump())

    def mend(self) -> None:
        """Let requests behave again; revised and withheld granules stay as they are."""
        self._order("mend")

    def reset(self) -> None:
        """Take back faults, revisions, withheld granules and the clock; forget the requests."""
        self._order("reset")

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests since the start or the last reset: method, path, status, range."""
        answer = requests.get(f"{self.url}/sandbox/requests", verify=str(self.ca_file), timeout=60)
        answer.raise_for_status()
        log: list[dict[str, Any]] = answer.json()
        return log

    def _order(self, order: str, **given: object) -> dict[str, Any]:
        answer = requests.post(
            f"{self.url}/sandbox/{order}", json=given, verify=str(self.ca_file), timeout=60
        )
        result: dict[str, Any] = answer.json()
        if not answer.ok:
            raise MsmError(f"The sandbox refused: {result['errors'][0]}")
        return result


@contextmanager
def start(root: Path, weather: str = "synthetic") -> Iterator[Sandbox]:
    """Run the sandbox as a process of its own on a free loopback port.

    It ends with the context, and with this process however that ends.

    Parameters
    ----------
    root
        Folder for certificate, granules and the server's log.
    weather
        Source of the fields, as `load_weather` takes it.

    Yields
    ------
    Sandbox
        Where it is and how it is told to misbehave.

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
            told = log.read().strip().splitlines() or ["it said nothing"]
            raise MsmError(f"The sandbox did not start: {told[-1]}")
        ready = json.loads(line)
        yield Sandbox(ready["url"], Path(ready["ca_file"]), ready["token"])


@contextmanager
def _running(command: Sequence[str], log: Any) -> Iterator[subprocess.Popen[str]]:
    # One thread in each of its processes: they share the cores with the client.
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
        # A child of this process may still hold the pipe open.
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
