"""Simulate months of operation in minutes: `make soak`.

The sandbox has a clock. Granules arrive with the latency of their product, some late, some never;
some are revised; the server has faults; runs are killed. At every scheduled time the real flow runs
on a real Prefect server, as a worker runs it. In the end every map must equal, layer by layer, that
of a site without faults and delays, except for days that were lost.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import requests
import xarray as xr

from benchmarks.operation.operation_pictures import draw
from benchmarks.operation.season import Event, season
from benchmarks.results import keep
from msm.archive import store
from msm.archive.layers import LAYERS
from msm.errors import MsmError
from msm.operations.backfill import backfill
from msm.operations.day_states import states
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.run import open_run
from msm.sandbox.process import Sandbox, start
from msm.settings import read_settings
from msm.sources.tiers import due_moment

FIRST = date(2016, 6, 1)
BOX = "box:38,39,-98.5,-97"
WINDOW_DAYS = 14
SEED = 2
"""The first seed whose 60 days have every fault."""
RUN_HOURS = (2, 14)
"""Hours of the day (UTC) of the scheduled flow."""
AFTERWARDS = timedelta(days=8)
"""Time after the last day is due in which late granules arrive."""
ACCEPTED_AFTER = timedelta(days=7)
"""Time from when a lost day is due until the operator accepts the gap."""


@dataclass
class Report:
    """Counts of a soak test."""

    seed: int
    days: int
    runs: int = 0
    failed_runs: int = 0
    killed_runs: int = 0
    events: dict[str, int] = field(default_factory=dict)
    published: int = 0
    revisions: int = 0
    gaps: int = 0
    differing: list[str] = field(default_factory=list)
    minutes: float = 0.0


def soak(
    folder: Path,
    sandbox: Sandbox,
    api_url: str,
    seed: int,
    n_days: int,
    hours: Sequence[int],
    pictures: Path,
) -> Report:
    """Operate a site through a season, and compare it with a site without faults.

    Parameters
    ----------
    folder
        Folder of both sites.
    sandbox
        Sandbox with synthetic weather.
    api_url
        Address of a Prefect server.
    seed
        Seed of the season.
    n_days
        Number of product days.
    hours
        Hours of the scheduled flow, UTC.
    pictures
        Folder for pictures of the site when a gap is accepted.
    """
    began = time.perf_counter()
    os.environ |= sandbox.environment()
    os.environ |= {
        "PREFECT_API_URL": api_url,
        "MSM_DOMAIN": BOX,
        "MSM_WORK": str(folder / "site" / "work"),
        "MSM_ARCHIVE": str(folder / "site" / "archive"),
        "MSM_SPIN_UP_DAYS": "3",
        "MSM_READERS": "1",
        "MSM_TIMEOUT_SECONDS": "3",
        "MSM_WINDOW_DAYS": str(WINDOW_DAYS),
        "MSM_DEEP_DAYS": "40",
    }
    report = Report(seed, n_days)
    events = season(seed, FIRST, n_days)
    report.events = dict(
        Counter(event.fault.behaviour if event.fault else event.kind for event in events)
    )
    # The first run publishes the days of a window before the season.
    days = [FIRST + timedelta(days=n) for n in range(-WINDOW_DAYS, n_days)]
    operate(sandbox, events, days, hours, report, pictures)
    sandbox.clear_faults()
    compare(folder, days, report)
    report.minutes = (time.perf_counter() - began) / 60
    return report


def operate(
    sandbox: Sandbox,
    events: Sequence[Event],
    days: Sequence[date],
    hours: Sequence[int],
    report: Report,
    pictures: Path | None,
) -> None:
    """Apply the events of a season, and run the flow at each scheduled time."""
    with open_run(read_settings()) as run:
        domain = run.domain
    opens, closes = due_moment(domain, FIRST), due_moment(domain, days[-1])
    lost = {event.moment.date() for event in events if event.kind == "lost"}
    for event in events:
        if event.kind in ("late", "lost", "late satellite"):
            for name in event.names:
                sandbox.withhold(name)
    coming = sorted(
        [(event.moment, n, event) for n, event in enumerate(events)]
        + [(event.until, n, event) for n, event in enumerate(events) if event.until]
    )
    with Worker() as worker:
        day_before = opens - timedelta(days=1)
        sandbox.set_clock(day_before)
        if not worker.run(day_before, "{}", None):
            raise MsmError("The first run, on the day before the season, failed.")
        for moment in moments(opens, closes + AFTERWARDS, hours):
            kill_after = None
            while coming and coming[0][0] <= moment:
                at, _, event = coming.pop(0)
                kill_after = _happen(sandbox, event, at) or kill_after
            sandbox.set_clock(moment)
            known = [day for day in lost if moment > due_moment(domain, day) + ACCEPTED_AFTER]
            os.environ["MSM_GAPS"] = json.dumps({str(day): "it was lost" for day in known})
            # The season has no events after its last day, so no later day is requested.
            completed = worker.run(min(moment, closes), os.environ["MSM_GAPS"], kill_after)
            report.runs += 1
            report.failed_runs += completed is False
            report.killed_runs += completed is None
            if pictures and known and completed:
                with open_run(read_settings()) as run:
                    draw(run, moment, run.settings.work.parent, pictures)
                pictures = None


def moments(first: datetime, last: datetime, hours: Sequence[int]) -> Iterator[datetime]:
    """Yield the scheduled times in a period."""
    day = first.date()
    while True:
        for hour in hours:
            moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
            if moment > last:
                return
            if moment >= first:
                yield moment
        day += timedelta(days=1)


def _happen(sandbox: Sandbox, event: Event, at: datetime) -> float | None:
    """Begin or end an event; return the seconds after which the next run is killed."""
    if event.until == at:
        for name in event.names:
            sandbox.restore(name)
    elif event.kind in ("revised", "touched"):
        sandbox.revise(event.names[0], changed=event.kind == "revised", produced=at)
    elif event.kind == "server" and event.fault:
        sandbox.fault(event.fault)
    elif event.kind == "killed":
        return event.after
    return None


class Worker:
    """A process that runs the daily flow like a Prefect worker; restarted after it is killed."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._kill()

    def run(self, moment: datetime, gaps: str, kill_after: float | None) -> bool | None:
        """Run the flow for a scheduled time; return whether it completed, None if killed."""
        self._ours.send((moment, gaps))
        if self._ours.poll(kill_after):
            return bool(self._ours.recv())
        self._kill()
        self._start()
        return None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,))
        self._process.start()
        self._ours.recv()

    def _kill(self) -> None:
        """Kill the process and its children."""
        if self._process.pid and self._process.is_alive():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()


def _work(connection: Connection) -> None:
    """Run the flow for every time received, after all modules are loaded."""
    from flows.retries import RETRY_POLICY

    # The test does not wait in real time, as its days do not pass in real time.
    RETRY_POLICY["retry_delay_seconds"] = 0.1
    import flows.daily  # noqa: F401

    os.setsid()
    connection.send(True)
    while True:
        moment, os.environ["MSM_GAPS"] = connection.recv()
        try:
            _flow(moment)
        except Exception:
            logging.getLogger(__name__).exception("The run of %s failed", moment)
            connection.send(False)
        else:
            connection.send(True)


def _flow(moment: datetime) -> None:
    """Run the daily flow in this process, like a worker with a scheduled run."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State
    from prefect.flow_engine import run_flow
    from prefect.states import Scheduled

    from flows.daily import daily

    parameters = {"domain": read_settings().domain}
    with get_client(sync_client=True) as client:
        state: State[Any] = Scheduled(scheduled_time=moment)
        run = client.create_flow_run(daily, parameters=parameters, state=state)
    run_flow(daily, flow_run=run, parameters=parameters)


def compare(folder: Path, days: Sequence[date], report: Report) -> None:
    """Run a backfill of the season without faults, and report the days that differ."""
    settings = read_settings()
    fresh = settings.model_copy(
        update={"work": folder / "fresh" / "work", "archive": folder / "fresh" / "archive"}
    )
    now = datetime.now(UTC)
    with open_run(fresh) as run:
        backfill(run, days, "missing", SerialExecutor(run), now)
    with open_run(settings) as run:
        report.gaps = sum(state.accepted for state in states(run, days, now))
    ours, theirs = (contents(each.archive, each.domain) for each in (settings, fresh))
    report.published = len(ours)
    items = store.published_items(settings.archive, settings.domain)
    report.revisions = sum(item.revision - 1 for item in items)
    report.differing = [str(day) for day in days if ours.get(day) != theirs.get(day)]


def contents(archive: Path, domain: str) -> dict[date, Any]:
    """Return fingerprint and layers of each published map."""
    found = {}
    for day in store.published_days(archive, domain):
        item = store.read_item(archive, domain, day)
        if item is None:
            raise MsmError(f"{day} is published without a STAC item.")
        with xr.open_dataset(item.path, mask_and_scale=False) as dataset:
            names = [layer.name for layer in LAYERS if layer.name in dataset]
            layers = {name: dataset[name].values.tobytes() for name in names}
            found[day] = dataset.attrs["fingerprint"], layers
    return found


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Run a Prefect server with its own database; yield its address."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    folder.mkdir(parents=True, exist_ok=True)
    home = {"PREFECT_HOME": str(folder.resolve())}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | home, start_new_session=True
        ) as process,
    ):
        try:
            while process.poll() is None:
                try:
                    if requests.get(f"{url}/health", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    time.sleep(0.25)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def main() -> None:
    """Operate a season and write the report; fail if a map differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--hours", type=int, nargs="+", default=RUN_HOURS)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    with start(folder / "sandbox") as sandbox, prefect_server(folder / "prefect") as url:
        report = soak(
            folder,
            sandbox,
            url,
            arguments.seed,
            arguments.days,
            arguments.hours,
            arguments.docs / "images" / "operations",
        )
    keep(asdict(report), "soak", arguments.docs / "results")
    if report.differing:
        raise SystemExit(f"{len(report.differing)} days differ (first: {report.differing[0]}).")


if __name__ == "__main__":
    main()
