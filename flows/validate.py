"""Validation, apart from the run that publishes: the newest files are checked again."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.alert import ALERT_HOOKS
from msm.archive.naming import map_path
from msm.archive.validate import validate as check
from msm.errors import MsmError
from msm.operations.day_states import known_days, states
from msm.operations.doctor import Verdict, examine
from msm.pipeline.run import open_run
from msm.settings import read_settings

LONGEST_SECONDS = 3600


@flow(
    name="msm-validate",
    flow_run_name="validate {domain}",
    timeout_seconds=LONGEST_SECONDS,
    **ALERT_HOOKS,
)
def validate(domain: str = "conus", days: int = 45) -> dict[str, str]:
    """Check the newest published files, the states of the days, and what a run depends on.

    Parameters
    ----------
    domain
        `conus`, `global` or `box:SOUTH,NORTH,WEST,EAST`.
    days
        Days up to the newest known whose files are checked.

    Returns
    -------
    dict of str to str
        What needs attention, by day or by check of `msm doctor`.
    """
    now = datetime.now(UTC)
    with open_run(read_settings(domain=domain)) as run:
        found = states(run, known_days(run), now)
        wrong = {str(state.day): state.note for state in found if state.alarms}
        newest = found[-days:]
        for state in newest:
            path = map_path(run.settings.archive, run.domain.name, state.day)
            if path.is_file() and (problems := check(path)):
                wrong[str(state.day)] = " ".join(problems)
        # The days are listed one by one.
        wrong |= {
            finding.subject: f"{finding.what} {finding.remedy}"
            for finding in examine(run, now)
            if finding.verdict != Verdict.good and finding.subject != "days"
        }
    rows = "\n".join(f"| {subject} | {what} |" for subject, what in wrong.items())
    create_markdown_artifact(
        f"# {len(newest)} days, {len(wrong)} findings need attention\n"
        + (f"\n| day or check | finding |\n|---|---|\n{rows}\n" if wrong else ""),
        key=f"msm-{domain.partition(':')[0]}-validation",
    )
    if wrong:
        first = min(wrong)
        raise MsmError(f"{len(wrong)} findings need attention (first: {first}): {wrong[first]}")
    return wrong
