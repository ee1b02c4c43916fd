"""A real Prefect server on loopback, for the tests of the flows and of the deployment."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parent.parent
START_SECONDS = 120


@dataclass(frozen=True)
class PrefectServer:
    """A running server, and the way to talk to it."""

    api_url: str
    process: subprocess.Popen[bytes]

    def prefect(
        self, *arguments: str, timeout: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command ``prefect`` in the project's folder; fail with its output."""
        result = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT,
            env=os.environ | environment | {"PREFECT_API_URL": self.api_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert result.returncode == 0, result.stdout
        return result

    def ask(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Answer of the server to ``POST /path``, or another method."""
        answer = requests.request(method, f"{self.api_url}/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Start a server with a database file of its own; stop it with the session."""
    log = tmp_path_factory.mktemp("prefect") / "server.log"
    with start_server(log) as server:
        yield server
    # The server looks healthy while its scheduler or its database fail: only the log tells.
    assert "Traceback" not in log.read_text(), log.read_text()


@contextmanager
def start_server(log: Path, **environment: str) -> Iterator[PrefectServer]:
    """Run a server as the environment says, until the context ends; what it tells goes to `log`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with background(command, log, **environment) as process:
        _await_health(api_url, process, log)
        yield PrefectServer(api_url, process)


@contextmanager
def background(
    command: list[str], log: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of Prefect beside the test, and end it as Ctrl-C does."""
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", *command],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_health(api_url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{api_url}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.25)
    raise RuntimeError(f"the Prefect server did not start: {log.read_text()}")
