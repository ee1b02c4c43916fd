"""Prune: the files of the work folder that no run needs any more are listed, and removed.

The archive is never pruned. Each removal leaves a work folder that every other command can use, so
that a killed prune has only removed less.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from msm import workspace
from msm.atomic_files import flush
from msm.errors import MsmError
from msm.operations.prunable import Item, Kind, Site, prunable
from msm.pipeline.run import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Total:
    """The items of one kind."""

    kind: Kind
    number: int
    size: int
    """Bytes."""
    first: date | None
    """Oldest day."""
    last: date | None
    """Newest day."""


def totals(items: Iterable[Item]) -> list[Total]:
    """Sum up items by kind, in the order of the items."""
    found: dict[Kind, list[Item]] = {}
    for item in items:
        found.setdefault(item.kind, []).append(item)
    return [
        Total(
            kind=kind,
            number=len(of_kind),
            size=sum(item.size for item in of_kind),
            first=min((item.first for item in of_kind if item.first), default=None),
            last=max((item.last for item in of_kind if item.last), default=None),
        )
        for kind, of_kind in found.items()
    ]


def plan(run: Run, now: datetime) -> list[Item]:
    """List what can be removed; nothing is changed, and nothing is fetched.

    Parameters
    ----------
    run
        An open run, whose domain and checkpoint are the ones in use.
    now
        The present time, UTC.

    Raises
    ------
    MsmError
        If the checkpoint or the statics in use cannot be read.
    """
    return prunable(Site(run, now))


def remove(items: Iterable[Item]) -> list[Item]:
    """Remove the items of a plan, except those written since; return the removed ones.

    Raises
    ------
    MsmError
        If something cannot be removed; what was removed before stays removed.
    """
    removed = []
    for item in items:
        try:
            folder = item.path.parent
            if folder.resolve() != folder or workspace.written(item.path) != item.written:
                log.warning("%s has changed since and stays.", item.path)
                continue
            _remove(item)
        except FileNotFoundError:
            # Another prune, or the run that it belonged to, was faster.
            continue
        except OSError as error:
            raise MsmError(
                f"{item.path} cannot be removed ({error.strerror}): give msm the right to write "
                "in its folder and run msm prune again."
            ) from error
        removed.append(item)
    return removed


def _remove(item: Item) -> None:
    if item.kind == "old chains":
        # A chain is removed by one rename: with half of its records it would be a wrong chain.
        aside = item.path.parent / workspace.REMOVED / item.path.name
        aside.parent.mkdir(exist_ok=True)
        if aside.exists():
            shutil.rmtree(aside)
        item.path.rename(aside)
        flush(item.path.parent)
        shutil.rmtree(aside)
        with suppress(OSError):
            # It is removed with the last chain in it.
            aside.parent.rmdir()
    elif item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink()
