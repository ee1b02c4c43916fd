"""Alerts: a run that fails or crashes is told to a webhook, if the settings name one."""

from __future__ import annotations

import logging
from typing import Any

import requests

from msm.settings import read_settings

TIMEOUT_SECONDS = 10.0
LONGEST = 500
"""Characters of a message; a chat shows no more."""

log = logging.getLogger(__name__)


def tell(flow: Any, flow_run: Any, state: Any) -> None:
    """Post what went wrong as ``{"text": ...}``, which chats and pagers understand.

    A hook of Prefect: for `on_failure` and `on_crashed` of a flow. That the webhook does not answer
    is logged and changes nothing.
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
        # The address may be a secret: only the kind of the error is told.
        log.warning("The webhook could not be told (%s): %s", type(error).__name__, text)


TOLD: dict[str, Any] = {"on_failure": [tell], "on_crashed": [tell]}
"""What a flow is given whose failures somebody has to hear of."""
