"""Prune: what the work folder holds and no run needs any more is listed, and removed.

The archive is the ledger: maps, items and quick looks are never pruned. Of the rest, only files
that are named as msm names them are looked at, only inside the work folder and never through a
symbolic link. What was written in the last hours belongs to a run that may still be at work. Each
removal leaves a work folder that every other command understands, so that one killed on the way has
done nothing but less.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

import msm
from msm import workspace
from msm.archive.naming import domain_label
from msm.atomic_files import alive, flush
from msm.errors import MsmError
from msm.fields import cell_fields
from msm.model.chain import Chain, ChainRoot, StateError
from msm.pipeline.run import Run
from msm.pipeline.stored_retrievals import SATELLITE
from msm.products.definitions import PRODUCTS
from msm.products.layout import Layout
from msm.workspace import Workspace, granule_folder

log = logging.getLogger(__name__)

Kind = Literal[
    "granules",
    "forcing",
    "retrievals",
    "snapshots",
    "predictions",
    "old chains",
    "left-over files",
]

AT_WORK = timedelta(hours=6)
"""What was written since may belong to a run that is still at work."""


@dataclass(frozen=True)
class Item:
    """A file, or the folder of a chain or of a download, that can go."""

    kind: Kind
    path: Path
    first: date | None
    """First day that it is of; None where it is of none."""
    last: date | None
    size: int
    """Bytes, of a folder those of all its files."""
    written: int
    """When it was written last, ns since 1970: what was written since the plan stays."""


@dataclass(frozen=True)
class Total:
    """What can go of one kind."""

    kind: Kind
    number: int
    size: int
    """Bytes."""
    first: date | None
    """Oldest day."""
    last: date | None
    """Newest day."""


def totals(items: Iterable[Item]) -> list[Total]:
    """Sum up what can go by kind, in the order in which the kinds come."""
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
    """List what can go; nothing is changed, and nothing is fetched.

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
    return _Survey(run, now).items()


def remove(items: Iterable[Item]) -> list[Item]:
    """Remove what a plan lists, but for what was written since; return what is gone.

    Raises
    ------
    MsmError
        If something cannot be removed; what was removed before stays so.
    """
    gone = []
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
        gone.append(item)
    return gone


def _remove(item: Item) -> None:
    if item.kind == "old chains":
        # A chain goes in one rename: one with half of its records would be a wrong chain.
        aside = item.path.parent / workspace.REMOVED / item.path.name
        aside.parent.mkdir(exist_ok=True)
        if aside.exists():
            shutil.rmtree(aside)
        item.path.rename(aside)
        flush(item.path.parent)
        shutil.rmtree(aside)
        with suppress(OSError):
            # It goes with the last chain in it.
            aside.parent.rmdir()
    elif item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink()


class _Survey:
    """One look at the work folder."""

    def __init__(self, run: Run, now: datetime) -> None:
        self.run, self.now, self.settings = run, now, run.settings
        self.work = run.settings.work.resolve()
        self.own = Workspace(self.work, run.workspace.label)
        label = re.escape(domain_label(run.domain.name))
        self.labels = re.compile(rf"{label}-[0-9a-f]{{8}}")
        """Folders of the domain, with this mask and with others."""

    def items(self) -> list[Item]:
        """List what can go."""
        chains = list(self._chains())
        in_use = [chain for chain in chains if self._is_in_use(chain.root)]
        old = [item for chain in chains if chain not in in_use for item in self._old_chain(chain)]
        going = {item.path for item in old}
        staying = [chain for chain in chains if chain.folder not in going]
        before = self._first_forcing_kept(in_use)
        asked = self.run.checkpoint.card.retrievals
        reach = timedelta(days=max(asked.ages) if asked else 0)
        return [
            *self._granules(in_use),
            *self._of_days("forcing", before),
            *self._of_days("retrievals", before and before - reach),
            *(item for chain in staying for item in self._states(chain)),
            *old,
            *self._left_over(),
        ]

    def _granules(self, chains: list[Chain]) -> Iterator[Item]:
        """Yield granules of days that were made, that are old and are not revised any more."""
        mirror = self.settings.mirror
        if mirror and _overlap(mirror.resolve(), (self.work / "granules").resolve()):
            # There they are not a cache: they are what msm reads in place of Earthdata.
            return
        made = set(workspace.stored_days(self.own.forcing_folder))
        retrieved = set(workspace.stored_days(self.own.retrieval_folder))
        if not made:
            return
        first_kept = max(made) - timedelta(days=self.settings.granule_days)
        # The record of a day is there longer than its forcing may be.
        made.update(day for chain in chains for day in chain.recorded_days())
        for product in PRODUCTS:
            layout = product.layout
            final = self.now - timedelta(days=layout.latency.final_after_days + 1)
            before = min(first_kept, final.date())
            stamps = cache(layout.stamps)
            done = made | retrieved if product is SATELLITE else made
            for path in workspace.files(granule_folder(self.work, layout.product, layout.version)):
                days = _days_of(layout, stamps, path.name)
                if days and max(days) < before and days <= done:
                    yield from self._idle("granules", path, min(days), max(days))

    def _of_days(
        self, kind: Literal["forcing", "retrievals"], before: date | None
    ) -> Iterator[Item]:
        """Yield files of days before one, if any, and those of a mask that is forgotten."""
        for folder in self._label_folders(kind):
            stored = workspace.stored_days(folder)
            idle = [
                item
                for day in stored
                for item in self._idle(kind, workspace.day_path(folder, day), day, day)
            ]
            if folder.name == self.run.workspace.label:
                yield from (item for item in idle if before and item.last and item.last < before)
            elif all(self._is_forgotten(item.written) for item in idle) and len(idle) == len(
                stored
            ):
                yield from idle

    def _first_forcing_kept(self, chains: list[Chain]) -> date | None:
        """Return the first day that is young, or may be run for one that is replayed."""
        stored = workspace.stored_days(self.own.forcing_folder)
        if self.settings.forcing_days is None or not stored:
            return None
        kept = []
        for chain in chains:
            if recorded := chain.recorded_days():
                window = recorded[-1] - timedelta(days=self.settings.state_days)
                gone = chain.prunable(
                    recorded[-1], self.settings.state_days, self.settings.anchor_days
                )
                before = {day for day in chain.days() if day <= window} - set(gone)
                start = max(before, default=chain.root.cold_start - timedelta(days=1))
                kept.append(start + timedelta(days=1))
        # Without a chain, the spin-up that makes one needs all there is.
        old = stored[-1] - timedelta(days=self.settings.forcing_days)
        return min([old, *kept]) if kept else None

    def _states(self, chain: Chain) -> Iterator[Item]:
        """Yield snapshots and predictions behind the newest days of a chain that nobody writes."""
        recorded = chain.recorded_days()
        if not recorded or self._is_at_work(workspace.written(chain.folder)):
            return
        newest = recorded[-1]
        for day in chain.prunable(newest, self.settings.state_days, self.settings.anchor_days):
            yield from self._idle("snapshots", chain.path(day), day, day)
        before = newest - timedelta(days=self.settings.state_days)
        for path in workspace.files(chain.folder):
            predicted = workspace.day_of(workspace.PREDICTION, path.name)
            if predicted and predicted < before:
                yield from self._idle("predictions", path, predicted, predicted)

    def _old_chain(self, chain: Chain) -> Iterator[Item]:
        """Yield a chain that stands on something else, if it was not written for long."""
        if not self._is_forgotten(workspace.written(chain.folder)):
            return
        unknown = self._unknown(chain.folder)
        if unknown:
            log.warning("%s stays: %s in it is not msm's.", chain.folder, unknown)
            return
        recorded = chain.recorded_days()
        yield Item(
            "old chains",
            chain.folder,
            recorded[0] if recorded else None,
            recorded[-1] if recorded else None,
            workspace.size(chain.folder),
            workspace.written(chain.folder),
        )

    def _left_over(self) -> Iterator[Item]:
        """Yield what processes left that did not live to finish."""
        for product in PRODUCTS:
            folder = granule_folder(self.work, product.layout.product, product.layout.version)
            for path in workspace.inside(folder):
                match = workspace.INCOMING.fullmatch(path.name)
                if match and path.is_dir() and not alive(int(match["pid"])):
                    yield from self._idle("left-over files", path)
        yield from self._temporary(self.work / "statics", workspace.STATICS)
        for label in (*self._label_folders("forcing"), *self._label_folders("retrievals")):
            for year in workspace.folders(label, workspace.YEAR):
                yield from self._temporary(year, workspace.OF_A_DAY)
        for label in self._label_folders("states"):
            for folder in workspace.folders(label, workspace.CHAIN):
                yield from self._temporary(folder, workspace.OF_A_CHAIN)
                yield from self._temporary(folder / "records", workspace.RECORD)
            for folder in workspace.folders(label / workspace.REMOVED, workspace.CHAIN):
                # The rename was the removal; what a file in it was for does not matter any more.
                yield Item(
                    "left-over files",
                    folder,
                    None,
                    None,
                    workspace.size(folder),
                    workspace.written(folder),
                )

    def _temporary(self, folder: Path, name: re.Pattern[str]) -> Iterator[Item]:
        for path in workspace.files(folder):
            match = workspace.TEMPORARY.fullmatch(path.name)
            if match and name.fullmatch(match["name"]) and not alive(int(match["pid"])):
                # The process may live on another machine: time tells that as well.
                yield from self._idle("left-over files", path)

    def _chains(self) -> Iterator[Chain]:
        for label in self._label_folders("states"):
            for folder in workspace.folders(label, workspace.CHAIN):
                try:
                    root = ChainRoot.model_validate_json((folder / "chain.json").read_bytes())
                    chain = Chain(root, folder)
                    chain.days(), chain.recorded_days()
                except (OSError, ValidationError, StateError) as error:
                    log.warning("%s stays, it is not a chain: %s", folder, error)
                    continue
                if root.chain_id == folder.name:
                    yield chain

    def _is_in_use(self, root: ChainRoot) -> bool:
        return (
            root.checkpoint_sha256 == self.run.checkpoint.sha256
            and root.mask_sha256 == self.run.domain.mask_sha256
            and root.processing_version == msm.PROCESSING_VERSION
            and self._statics_sha256 in (root.statics_sha256, None)
        )

    @cached_property
    def _statics_sha256(self) -> str | None:
        """Content of the statics in use; None where they are not stored, and any may be them."""
        path = self.run.workspace.statics
        return cell_fields.read(path, self.run.domain).sha256 if path.exists() else None

    def _unknown(self, folder: Path) -> str | None:
        """Name something in a chain's folder that is not msm's, or None."""
        inside = [(folder, workspace.OF_A_CHAIN), (folder / "records", workspace.RECORD)]
        for place, pattern in inside:
            for path in workspace.inside(place):
                if path == folder / "records" and path.is_dir() and not path.is_symlink():
                    continue
                temporary = workspace.TEMPORARY.fullmatch(path.name)
                dead = temporary and not alive(int(temporary["pid"]))
                name = temporary["name"] if temporary and dead else path.name
                if path.is_symlink() or not path.is_file() or not pattern.fullmatch(name):
                    return path.name
        return None

    def _is_at_work(self, written: int) -> bool:
        return _moment(written) > self.now - AT_WORK

    def _is_forgotten(self, written: int) -> bool:
        return _moment(written) < self.now - timedelta(days=self.settings.chain_days)

    def _idle(
        self,
        kind: Kind,
        path: Path,
        first: date | None = None,
        last: date | None = None,
    ) -> Iterator[Item]:
        """Yield a file or folder that was not written just now, and is not gone meanwhile."""
        with suppress(FileNotFoundError):
            written = workspace.written(path)
            if not path.is_symlink() and not self._is_at_work(written):
                yield Item(kind, path, first, last, workspace.size(path), written)

    def _label_folders(self, kind: str) -> list[Path]:
        return workspace.folders(self.work / kind, self.labels)


def _days_of(layout: Layout, stamps: Callable[[date], list[datetime]], name: str) -> set[date]:
    """Return the days that a granule is used for; none where it is not a granule of a day."""
    if not layout.matches(name) or (time := layout.time_of(name)) is None:
        return set()
    near = (time.date() - timedelta(days=1), time.date())
    return {day for day in near if time in stamps(day)}


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _moment(written: int) -> datetime:
    return datetime.fromtimestamp(written / 1e9, UTC)
