"""Which files of the work folder no run needs any more: one rule for each kind of file.

Only files that are named as msm names them are listed, only inside the work folder and never
through a symbolic link. What was written in the last hours may belong to a run and stays.
"""

from __future__ import annotations

import logging
import re
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
from msm.atomic_files import alive
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
"""Files written since may belong to a run that is still at work."""


@dataclass(frozen=True)
class Item:
    """A file that can be removed, or the folder of a chain or of a download."""

    kind: Kind
    path: Path
    first: date | None
    """First day that it belongs to; None where it belongs to none."""
    last: date | None
    size: int
    """Bytes, of a folder those of all its files."""
    written: int
    """Time of the last write, ns since 1970: a file written since the plan stays."""


@dataclass(frozen=True)
class Site:
    """The work folder of a domain at a moment."""

    run: Run
    now: datetime

    @cached_property
    def root(self) -> Path:
        """The work folder, without symbolic links."""
        return self.run.settings.work.resolve()

    @cached_property
    def own(self) -> Workspace:
        """The paths of the domain with its present mask."""
        return Workspace(self.root, self.run.workspace.label)

    def label_folders(self, kind: str) -> list[Path]:
        """List the folders of the domain, with this mask and with others."""
        label = re.escape(domain_label(self.run.domain.name))
        return workspace.folders(self.root / kind, re.compile(rf"{label}-[0-9a-f]{{8}}"))

    def is_at_work(self, written: int) -> bool:
        """Return whether a run may still be writing."""
        return _moment(written) > self.now - AT_WORK

    def is_forgotten(self, written: int) -> bool:
        """Return whether files of another checkpoint or mask were not written for `chain_days`."""
        return _moment(written) < self.now - timedelta(days=self.run.settings.chain_days)

    def idle(
        self, kind: Kind, path: Path, first: date | None = None, last: date | None = None
    ) -> Iterator[Item]:
        """Yield a file or folder that was not written just now and still exists."""
        with suppress(FileNotFoundError):
            written = workspace.written(path)
            if not path.is_symlink() and not self.is_at_work(written):
                yield Item(kind, path, first, last, workspace.size(path), written)


def prunable(site: Site) -> list[Item]:
    """List what can be removed, by kind."""
    chains = list(_chains(site))
    in_use = [chain for chain in chains if _is_in_use(site, chain.root)]
    old = [item for chain in chains if chain not in in_use for item in old_chain(site, chain)]
    removed = {item.path for item in old}
    before = _first_forcing_kept(site, in_use)
    asked = site.run.checkpoint.card.retrievals
    reach = timedelta(days=max(asked.ages) if asked else 0)
    return [
        *granules(site, in_use),
        *of_days(site, "forcing", before),
        *of_days(site, "retrievals", before and before - reach),
        *(i for chain in chains if chain.folder not in removed for i in states(site, chain)),
        *old,
        *left_over(site),
    ]


def granules(site: Site, chains: list[Chain]) -> Iterator[Item]:
    """Yield old granules whose days were made and that are not revised any more."""
    mirror = site.run.settings.mirror
    if mirror and _overlap(mirror.resolve(), (site.root / "granules").resolve()):
        # There they are not a cache: msm reads them in place of Earthdata.
        return
    made = set(workspace.stored_days(site.own.forcing_folder))
    retrieved = set(workspace.stored_days(site.own.retrieval_folder))
    if not made:
        return
    first_kept = max(made) - timedelta(days=site.run.settings.granule_days)
    # The record of a day may outlive its forcing.
    made.update(day for chain in chains for day in chain.recorded_days())
    for product in PRODUCTS:
        layout = product.layout
        final = site.now - timedelta(days=layout.latency.final_after_days + 1)
        before = min(first_kept, final.date())
        stamps = cache(layout.stamps)
        done = made | retrieved if product is SATELLITE else made
        for path in workspace.files(granule_folder(site.root, layout.product, layout.version)):
            days = _days_of(layout, stamps, path.name)
            if days and max(days) < before and days <= done:
                yield from site.idle("granules", path, min(days), max(days))


def of_days(
    site: Site, kind: Literal["forcing", "retrievals"], before: date | None
) -> Iterator[Item]:
    """Yield files of days before a day, if any, and those of a mask that is forgotten."""
    for folder in site.label_folders(kind):
        stored = workspace.stored_days(folder)
        idle = [
            item
            for day in stored
            for item in site.idle(kind, workspace.day_path(folder, day), day, day)
        ]
        if folder.name == site.own.label:
            yield from (item for item in idle if before and item.last and item.last < before)
        elif len(idle) == len(stored) and all(site.is_forgotten(item.written) for item in idle):
            yield from idle


def _first_forcing_kept(site: Site, chains: list[Chain]) -> date | None:
    """Return the first day that is young, or may be run for one that is replayed."""
    settings = site.run.settings
    stored = workspace.stored_days(site.own.forcing_folder)
    if settings.forcing_days is None or not stored:
        return None
    kept = []
    for chain in chains:
        if recorded := chain.recorded_days():
            window = recorded[-1] - timedelta(days=settings.state_days)
            pruned = chain.prunable(recorded[-1], settings.state_days, settings.anchor_days)
            before = {day for day in chain.days() if day <= window} - set(pruned)
            start = max(before, default=chain.root.cold_start - timedelta(days=1))
            kept.append(start + timedelta(days=1))
    # Without a chain, the spin-up of a new one needs all stored forcing.
    old = stored[-1] - timedelta(days=settings.forcing_days)
    return min([old, *kept]) if kept else None


def states(site: Site, chain: Chain) -> Iterator[Item]:
    """Yield snapshots and predictions before the newest days of a chain that no run writes."""
    settings, recorded = site.run.settings, chain.recorded_days()
    if not recorded or site.is_at_work(workspace.written(chain.folder)):
        return
    newest = recorded[-1]
    for day in chain.prunable(newest, settings.state_days, settings.anchor_days):
        yield from site.idle("snapshots", chain.path(day), day, day)
    before = newest - timedelta(days=settings.state_days)
    for path in workspace.files(chain.folder):
        predicted = workspace.day_of(workspace.PREDICTION, path.name)
        if predicted and predicted < before:
            yield from site.idle("predictions", path, predicted, predicted)


def old_chain(site: Site, chain: Chain) -> Iterator[Item]:
    """Yield a chain of another checkpoint, mask or statics that was not written for long."""
    if not site.is_forgotten(workspace.written(chain.folder)):
        return
    if unknown := _unknown(chain.folder):
        log.warning("%s stays: %s in it is not a file of msm.", chain.folder, unknown)
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


def left_over(site: Site) -> Iterator[Item]:
    """Yield temporary files of processes that were killed."""
    for product in PRODUCTS:
        folder = granule_folder(site.root, product.layout.product, product.layout.version)
        for path in workspace.inside(folder):
            match = workspace.INCOMING.fullmatch(path.name)
            if match and path.is_dir() and not alive(int(match["pid"])):
                yield from site.idle("left-over files", path)
    yield from _temporary(site, site.root / "statics", workspace.STATICS)
    for label in (*site.label_folders("forcing"), *site.label_folders("retrievals")):
        for year in workspace.folders(label, workspace.YEAR):
            yield from _temporary(site, year, workspace.OF_A_DAY)
    for label in site.label_folders("states"):
        for folder in workspace.folders(label, workspace.CHAIN):
            yield from _temporary(site, folder, workspace.OF_A_CHAIN)
            yield from _temporary(site, folder / "records", workspace.RECORD)
        for folder in workspace.folders(label / workspace.REMOVED, workspace.CHAIN):
            # The rename was the removal: the files in it have no use any more.
            size, written = workspace.size(folder), workspace.written(folder)
            yield Item("left-over files", folder, None, None, size, written)


def _temporary(site: Site, folder: Path, name: re.Pattern[str]) -> Iterator[Item]:
    for path in workspace.files(folder):
        match = workspace.TEMPORARY.fullmatch(path.name)
        if match and name.fullmatch(match["name"]) and not alive(int(match["pid"])):
            # The process may live on another machine: only young files can be its own.
            yield from site.idle("left-over files", path)


def _chains(site: Site) -> Iterator[Chain]:
    for label in site.label_folders("states"):
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


def _is_in_use(site: Site, root: ChainRoot) -> bool:
    run = site.run
    # Without stored statics, any may be the ones in use.
    statics = (
        cell_fields.read(run.workspace.statics, run.domain).sha256
        if run.workspace.statics.exists()
        else root.statics_sha256
    )
    return (root.checkpoint_sha256, root.mask_sha256, root.processing_version) == (
        run.checkpoint.sha256,
        run.domain.mask_sha256,
        msm.PROCESSING_VERSION,
    ) and root.statics_sha256 == statics


def _unknown(folder: Path) -> str | None:
    """Return the name of something in a chain's folder that is not of msm, or None."""
    for place, pattern in ((folder, workspace.OF_A_CHAIN), (folder / "records", workspace.RECORD)):
        for path in workspace.inside(place):
            if path == folder / "records" and path.is_dir() and not path.is_symlink():
                continue
            temporary = workspace.TEMPORARY.fullmatch(path.name)
            dead = temporary and not alive(int(temporary["pid"]))
            name = temporary["name"] if temporary and dead else path.name
            if path.is_symlink() or not path.is_file() or not pattern.fullmatch(name):
                return path.name
    return None


def _days_of(layout: Layout, stamps: Callable[[date], Iterable[datetime]], name: str) -> set[date]:
    """Return the days that a granule is used for; none where it is not a granule of a day."""
    if not layout.matches(name) or (time := layout.time_of(name)) is None:
        return set()
    near = (time.date() - timedelta(days=1), time.date())
    return {day for day in near if time in stamps(day)}


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _moment(written: int) -> datetime:
    return datetime.fromtimestamp(written / 1e9, UTC)
