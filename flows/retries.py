"""Which failures Prefect retries, and when."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State, TaskRun

from msm.sources.earthdata import EarthdataError, LoginError

RETRY_SECONDS = [60.0, 600.0, 1800.0]


def worth_retrying(task: Any, run: TaskRun, state: State) -> bool:
    """Return whether a server failed; a wrong token or an incomplete day is not retried."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, EarthdataError) and not isinstance(error, LoginError)


RETRY_POLICY: dict[str, Any] = {
    "retries": len(RETRY_SECONDS),
    "retry_delay_seconds": RETRY_SECONDS,
    "retry_jitter_factor": 0.3,
    "retry_condition_fn": worth_retrying,
}
"""Arguments of a task that talks to Earthdata."""
