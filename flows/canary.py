"""The read canary: fetches the newest map as a downloader would."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.alert import ALERT_HOOKS
from msm.archive.canary import fetch_newest_map
from msm.settings import read_settings

LONGEST_SECONDS = 600


@flow(
    name="msm-canary",
    flow_run_name="canary {domain}",
    timeout_seconds=LONGEST_SECONDS,
    **ALERT_HOOKS,
)
def canary(domain: str = "conus") -> dict[str, Any]:
    """Find the newest map in the catalogue, fetch it and open it.

    Parameters
    ----------
    domain
        `conus`, `global` or `box:SOUTH,NORTH,WEST,EAST`.

    Returns
    -------
    dict
        The newest map.
    """
    settings = read_settings(domain=domain)
    newest = fetch_newest_map(
        settings.archive_url or str(settings.archive),
        domain,
        datetime.now(UTC),
        settings.timeout_seconds,
    )
    found = {name: str(value) for name, value in asdict(newest).items()}
    rows = "\n".join(f"| {name} | {value} |" for name, value in found.items())
    create_markdown_artifact(
        f"# {newest.day}\n\n| | |\n|---|---|\n{rows}\n",
        key=f"msm-{domain.partition(':')[0]}-canary",
    )
    return found
