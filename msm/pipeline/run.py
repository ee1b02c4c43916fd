"""What the steps of one run share: settings, cells, checkpoint, source of granules, paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from msm.archive.naming import domain_label
from msm.errors import MsmError
from msm.grid.domain import Domain, load_domain
from msm.products.reader_pool import Readers
from msm.settings import Settings
from msm.sources.granule import Source
from msm.workspace import Workspace

if TYPE_CHECKING:
    from msm.model.checkpoint import Checkpoint

SEARCH_DAYS = 32
"""Days that are searched for at a time: a search costs two requests however long."""

Progress = Callable[[str, int, int], None]
"""Called with the present step, the number of days done and the number of all days."""


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Run:
    """What the steps of one run share."""

    settings: Settings
    readers: Readers

    @cached_property
    def domain(self) -> Domain:
        """The cells."""
        return load_domain(self.settings.domain)

    @cached_property
    def source(self) -> Source:
        """Earthdata, or the mirror that the settings name."""
        if self.settings.mirror:
            from msm.sources.mirror import Mirror

            return Mirror(self.settings.mirror, self.readers)
        from msm.sources.earthdata import Earthdata

        return Earthdata(self.settings, self.readers)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The trained network."""
        from msm.model.checkpoint import load_checkpoint

        return load_checkpoint(self.settings.checkpoint)

    @cached_property
    def workspace(self) -> Workspace:
        """The paths of this domain in the work folder."""
        label = f"{domain_label(self.domain.name)}-{self.domain.mask_sha256[:8]}"
        return Workspace(self.settings.work, label)


@contextmanager
def open_run(settings: Settings) -> Iterator[Run]:
    """Open a run; its reading processes end with it.

    A run keeps the checkpoint that is in use when it begins, in all its processes: no day is made
    partly with one checkpoint and partly with another.
    """
    from msm.model.current import card_in_use

    pinned = settings.model_copy(update={"checkpoint": card_in_use(settings.checkpoint)})
    with Readers(settings.readers) as readers:
        yield Run(pinned, readers)


def check_day(day: date, now: datetime) -> None:
    """Refuse a day that has not ended.

    Raises
    ------
    MsmError
        If `day` ends after `now`.
    """
    if midnight(day + timedelta(days=1)) > now:
        raise MsmError(
            f"{day} has not ended (it is {now:%Y-%m-%dT%H:%M}Z): a product day is a whole UTC day; "
            f"ask for {(now - timedelta(days=1)).date()} or before."
        )


def midnight(day: date) -> datetime:
    """Return the start of a UTC day."""
    return datetime.combine(day, time(), UTC)


def windows(days: Iterable[date]) -> Iterator[list[date]]:
    """Split days, oldest first, into windows whose granules are searched for together."""
    left = sorted(days)
    while left:
        window = [day for day in left if day < left[0] + timedelta(days=SEARCH_DAYS)]
        yield window
        left = left[len(window) :]
