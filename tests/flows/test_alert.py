import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from flows.alert import post

FLOW, RUN = SimpleNamespace(name="msm-daily"), SimpleNamespace(name="daily conus")
FAILED = SimpleNamespace(name="Failed", message="2026-05-03: an hour lacks")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Address of a webhook, and what it was told."""
    told: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if "secret-broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_failed_run_is_told(webhook, monkeypatch):
    url, told = webhook
    monkeypatch.setenv("MSM_WEBHOOK_URL", f"{url}/secret")
    post(FLOW, RUN, FAILED)
    assert told == [{"text": "msm-daily, daily conus: 2026-05-03: an hour lacks"}]


def test_nobody_is_told_where_no_webhook_is_set(webhook):
    post(FLOW, RUN, FAILED)
    assert webhook[1] == []


@pytest.mark.fault("alerts cannot be sent")
@pytest.mark.parametrize("path", ["/secret-broken", None])
def test_a_webhook_that_fails_changes_nothing_and_is_not_named(
    webhook, path, monkeypatch, caplog, sentence
):
    url = webhook[0] + path if path else "http://127.0.0.1:9/secret-broken"
    monkeypatch.setenv("MSM_WEBHOOK_URL", url)
    post(FLOW, RUN, FAILED)
    assert re.search(sentence, caplog.text)
    assert "an hour lacks" in caplog.text
    assert "secret" not in caplog.text
