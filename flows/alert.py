"""Alerts: a run that fails or crashes is posted to a webhook, if the settings name one."""

from __future__ import annotations

import logging
from typing import Any

import requests

from msm.settings import read_settings

TIMEOUT_SECONDS = 10.0
LONGEST = 500
"""Characters of a message; chats show no more."""

log = logging.getLogger(__name__)


def post(flow: Any, flow_run: Any, state: Any) -> None:
    """Post a failure as ``{"text": ...}``, which chats and pagers understand.

    A hook of Prefect, for `on_failure` and `on_crashed` of a flow. A webhook that does not answer
    is logged.
    """
    webhook = read_settings().webhook_url
    if webhook is None:
        return
    text = f"{flow.name}, {flow_run.name}: {state.message or state.name}"[:LONGEST]
    try:
        answer = requests.post(
            webhook.get_secret_value(), json={"text": text}, timeout=TIMEOUT_SECONDS
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        # The address may be a secret: only the kind of the error is logged.
        log.warning("The webhook does not answer (%s): %s", type(error).__name__, text)


ALERT_HOOKS: dict[str, Any] = {"on_failure": [post], "on_crashed": [post]}
"""Arguments of a flow whose failures are posted."""
