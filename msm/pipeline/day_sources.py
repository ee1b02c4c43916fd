"""The sources of a day: the best complete source is selected, and its granules are fetched."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from msm.errors import MsmError
from msm.fields.cell_fields import Label
from msm.fields.forcing import incomplete, missing_stamps
from msm.pipeline.run import Run, midnight
from msm.pipeline.stored_retrievals import store_retrievals
from msm.products.product import Product
from msm.sources.granule import Granule, GranuleFile, newest
from msm.sources.known_bad import drop_known_bad
from msm.sources.tiers import Choice, NoSourceError, choose

log = logging.getLogger(__name__)


FETCH_DAYS = 8
"""Days that are searched for and fetched together: a search costs two requests however long."""


class IncompleteDayError(MsmError):
    """No source is complete for a day; an average over fewer granules would be another quantity."""


@dataclass(frozen=True)
class DaySources:
    """The files that a day's forcing is made from, and the productions that they replaced."""

    choice: Choice
    files: tuple[GranuleFile, ...]
    superseded: tuple[Granule, ...]


def select_and_fetch(
    run: Run,
    first: date,
    last: date,
    failed: Mapping[str, str] | None = None,
    window: Window | None = None,
) -> dict[date, DaySources]:
    """Select and fetch the sources of the forcing of the days from `first` to `last`.

    Each product is searched for once. Where granules of it are missing or invalid, the next source
    of `tiers.toml` serves the day.

    Parameters
    ----------
    run
        An open run.
    first, last
        UTC days.
    failed
        Products, by id, that cannot serve these days, and why.
    window
        Searches that were made already, of these days and more.

    Returns
    -------
    dict
        The days in order, up to the first that no source can serve.

    Raises
    ------
    IncompleteDayError
        If no source can serve the first day.
    MsmError
        If Earthdata does not answer, or refuses the login or the licence.
    """
    window = window or Window(run, first, last)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    for product_id, why in (failed or {}).items():
        window.unusable |= {(product_id, day): why for day in days}
    choices = _choices(window, days)
    while window.fetch(choices):
        # Some granules are invalid: the sources of their days are selected again.
        choices = _choices(window, days)
    for day, choice in choices.items():
        for product_id in choice.awaited:
            log.warning("%s", window.unusable[product_id, day])
            log.warning("%s is made from the next source, and provisional.", day)
    return {day: window.sources(day, choice) for day, choice in choices.items()}


def ahead(
    run: Run, start: date, wanted: date, last: date
) -> Generator[tuple[date, DaySources | None]]:
    """Yield each day after `start`, with its sources where its forcing is not stored.

    The next window is downloaded meanwhile, up to the day `wanted`, and the retrievals that its
    days are given are stored. An accepted gap that no source can serve comes without sources.
    """
    days = [start + timedelta(days=n) for n in range(1, (last - start).days + 1)]
    windows = [days[n : n + FETCH_DAYS] for n in range(0, len(days), FETCH_DAYS)]

    def fetch(window: list[date]) -> dict[date, DaySources]:
        coming = [d for d in window if d <= wanted]
        store_retrievals(run, coming)
        missing = [
            d
            for d in coming
            if not run.workspace.forcing(d).exists() and d not in run.settings.gaps
        ]
        return select_and_fetch(run, missing[0], missing[-1]) if missing else {}

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(fetch, windows[0])
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            found = coming.result()
            if following is not None:
                coming = pool.submit(fetch, following)
            for day in window:
                if run.workspace.forcing(day).exists():
                    yield day, None
                else:
                    # Where the window's search found a day incomplete, its own search reports why.
                    yield day, found.get(day) or _of_day(run, day)


def _of_day(run: Run, day: date) -> DaySources | None:
    """Select and fetch for one day; None for an accepted gap that no source can serve."""
    try:
        return select_and_fetch(run, day, day)[day]
    except IncompleteDayError as error:
        if day not in run.settings.gaps:
            raise
        log.warning("%s is an accepted gap (%s). %s", day, run.settings.gaps[day], error)
        return None


def better_sources(
    run: Run, day: date, stored: Label, window: Window | None = None
) -> DaySources | None:
    """Select and fetch the sources of a day again; None where they are worse than the stored ones.

    Parameters
    ----------
    run
        An open run.
    day
        UTC day.
    stored
        Label of its stored forcing.
    window
        Searches that were made already, of this day and more.
    """
    try:
        found = select_and_fetch(run, day, day, window=window)[day]
    except IncompleteDayError as error:
        log.warning("%s What is stored stays.", error)
        return None
    return found if set(found.choice.awaited) <= set(stored.awaited) else None


def find_revised_days(
    run: Run, stored: Mapping[date, Label], window: Window | None = None
) -> dict[date, str]:
    """Find the days whose forcing would be made from other granules now, and name these.

    Granules are searched for, not fetched. A source that is worse than the one that a day was made
    from does not count, nor does a day that no source could serve now.

    Parameters
    ----------
    run
        An open run.
    stored
        Labels of the days' stored forcing.
    window
        Searches that were made already, of these days and more.
    """
    if not stored:
        return {}
    window = window or Window(run, min(stored), max(stored))
    found = {}
    for day, label in stored.items():
        try:
            choice = choose(run.domain, day, partial(window.is_complete, day))
        except NoSourceError:
            continue
        if set(choice.awaited) - set(label.awaited):
            continue
        used = {entry.granule: entry for entry in label.inputs if entry.role == "forcing"}
        offered = window.offered(day, choice)
        others = [
            granule.name
            for granule in offered
            if granule.name not in used or not granule.is_same(used[granule.name])
        ]
        if others or len(offered) != len(used):
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            found[day] = f"{others[0]}{more}" if others else "fewer granules"
    return found


def _choices(window: Window, days: Sequence[date]) -> dict[date, Choice]:
    choices: dict[date, Choice] = {}
    for day in days:
        try:
            choices[day] = choose(window.run.domain, day, partial(window.is_complete, day))
        except NoSourceError as error:
            if not choices:
                raise IncompleteDayError(_no_source(window, day, error)) from None
            break
    return choices


def _no_source(window: Window, day: date, error: NoSourceError) -> str:
    if not error.tried:
        return (
            f"No product gives {error.variable} on {day} for {window.run.domain.name}: "
            "ask for a later day."
        )
    best, *others = error.tried
    sentence = window.unusable[best.id, day]
    if others:
        sentence += f" {', '.join(p.id for p in others)} cannot stand in: not complete either."
    return sentence


@dataclass
class Window:
    """What is offered and fetched for a window of days; each product is searched for once."""

    run: Run
    first: date
    last: date
    unusable: dict[tuple[str, date], str] = field(default_factory=dict)
    """Why a product, by id, cannot serve a day."""
    _offered: dict[str, tuple[list[Granule], list[Granule]]] = field(default_factory=dict)
    _files: dict[str, dict[datetime | None, GranuleFile]] = field(default_factory=dict)

    def granules(self, product: Product) -> list[Granule]:
        """List the newest productions of a product's granules."""
        if product.id not in self._offered:
            until = midnight(self.last + timedelta(days=1))
            found = self.run.source.search(product, midnight(self.first), until)
            self._offered[product.id] = newest(drop_known_bad(product, found))
        return self._offered[product.id][0]

    def is_complete(self, day: date, product: Product) -> bool:
        """Return whether all granules of a product's day are offered and not known to be bad."""
        if (product.id, day) in self.unusable:
            return False
        missing = missing_stamps(product, day, self.granules(product))
        if missing:
            self.unusable[product.id, day] = incomplete(product, day, missing)
        return not missing

    def fetch(self, choices: Mapping[date, Choice]) -> bool:
        """Fetch what the choices need; return whether a product proved unusable for a day."""
        products = {p.id: p for choice in choices.values() for p in choice.products}
        before = len(self.unusable)
        for product in products.values():
            days = [day for day, choice in choices.items() if product in choice.products]
            stamps = {stamp for day in days for stamp in product.layout.stamps(day)}
            files = self._files.setdefault(product.id, {})
            wanted = [
                granule
                for granule in self._offered[product.id][0]
                if granule.time in stamps and granule.time not in files
            ]
            if not wanted:
                continue
            fetched = self.run.source.fetch(product, wanted)
            files.update({file.granule.time: file for file in fetched.files})
            bad = {g.time: fetched.refused[g.name] for g in wanted if g.name in fetched.refused}
            for day in days:
                why = [bad[stamp] for stamp in product.layout.stamps(day) if stamp in bad]
                if why:
                    self.unusable[product.id, day] = (
                        f"{len(why)} of {len(product.layout.stamps(day))} granules of {product.id} "
                        f"for {day} are not good: {' '.join(why)}"
                    )
        return len(self.unusable) > before

    def offered(self, day: date, choice: Choice) -> list[Granule]:
        """List the granules of one day."""
        stamps = {product.id: set(product.layout.stamps(day)) for product in choice.products}
        return [
            granule
            for name in stamps
            for granule in self._offered[name][0]
            if granule.time in stamps[name]
        ]

    def sources(self, day: date, choice: Choice) -> DaySources:
        """Return the fetched sources of a day."""
        stamps = {product.id: product.layout.stamps(day) for product in choice.products}
        return DaySources(
            choice,
            tuple(self._files[name][stamp] for name in stamps for stamp in stamps[name]),
            tuple(
                granule
                for name in stamps
                for granule in self._offered[name][1]
                if granule.time in stamps[name]
            ),
        )
