"""Stored model inputs are made again where other granules are offered by now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date

from msm.fields import cell_fields
from msm.pipeline.day_sources import (
    DaySources,
    Window,
    better_sources,
    find_revised_days,
)
from msm.pipeline.executor import Executor, Future
from msm.pipeline.model_inputs import forcing_label, forcing_labels
from msm.pipeline.run import Run, windows
from msm.pipeline.stored_retrievals import known_days, make_retrievals, revised_retrievals


def refresh_inputs(
    run: Run, days: Iterable[date], executor: Executor, window: Window | None = None
) -> dict[date, str]:
    """Make the stored inputs of days again where other granules are offered by now.

    Granules of a source that is worse than the stored one do not count.

    Parameters
    ----------
    run
        An open run.
    days
        UTC days; those whose forcing is not stored are left out.
    executor
        Makes forcing from granules; they are downloaded by this process.
    window
        Searches that were made already, of all these days.

    Returns
    -------
    dict
        The days whose inputs were made again, and why.
    """
    days = sorted(days)
    revised = revised_retrievals(run, days)
    made = {day: revised[day] for day in make_retrievals(run, revised)}
    why = _with_retrievals(run, days, made)
    with making_forcing(executor) as make:
        for part in [days] if window else windows(days):
            labels = forcing_labels(run, part)
            for day, granules in find_revised_days(run, labels, window).items():
                sources = better_sources(run, day, labels[day], window)
                if sources is not None:
                    make(day, sources)
                    why[day] = _offered(granules)
    return dict(sorted(why.items()))


def find_revised_inputs(run: Run, days: Iterable[date]) -> dict[date, str]:
    """Find the days that `refresh_inputs` would make again, and why; nothing is fetched."""
    days = sorted(days)
    found = _with_retrievals(run, days, revised_retrievals(run, days))
    for part in windows(days):
        revised = find_revised_days(run, forcing_labels(run, part))
        found |= {day: _offered(granules) for day, granules in revised.items()}
    return dict(sorted(found.items()))


def awaits_better_inputs(run: Run, day: date) -> bool:
    """Return whether a better source, or a retrieval, was not available when inputs were made."""
    label = forcing_label(run, day)
    paths = map(run.workspace.retrieval, known_days(run, day))
    labels = [cell_fields.read_label(path) for path in paths if path.exists()]
    return any(found.awaited for found in (*([label] if label else []), *labels))


@contextmanager
def making_forcing(executor: Executor) -> Iterator[Callable[[date, DaySources], None]]:
    """Make forcing from granules, a few days at a time; all are finished at the end."""
    pending: deque[Future[None]] = deque()

    def make(day: date, sources: DaySources) -> None:
        # A run that makes nothing does not import torch.
        from msm.pipeline import blocks

        pending.append(executor.submit(blocks.forcing, day, sources))
        while len(pending) > executor.blocks:
            executor.result(pending.popleft())

    try:
        yield make
    finally:
        for done in pending:
            executor.result(done)


def _with_retrievals(run: Run, days: Iterable[date], made: Mapping[date, str]) -> dict[date, str]:
    """Find the days that are given one of these days of SMAP."""
    found = {}
    for day in days:
        names = [made[known] for known in known_days(run, day) if known in made]
        if names:
            found[day] = _offered(names[0])
    return found


def _offered(granules: str) -> str:
    return f"{granules} is offered now"
