"""The chain of dated states that carries the network's memory from day to day.

A chain is a folder ``<root>/<chain_id>/`` with ``chain.json`` (its provenance), a record
``records/<YYYYMMDD>.json`` of every day that was run, and snapshots ``<YYYYMMDD>.h5`` of some of
them. A record contains the hashes of the state before and after its day, so the chain can be
verified without the states. A snapshot is valid only if its state has the hash in the day's record.
A revised input replaces the record and the snapshot of that day and of later days, each in one
rename. Two runs may work on one chain at a time: a record is written only if the previous day's
record still has the state hash that the day started from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from msm.atomic_files import locked, replacing
from msm.errors import MsmError
from msm.frozen import FrozenModel
from msm.model import snapshot
from msm.model.snapshot import Deflated
from msm.model.state import State
from msm.read_once import read_once


class StateError(MsmError):
    """A chain or one of its snapshots cannot be used."""


class ChainRoot(FrozenModel):
    """The provenance of a chain; another root is another chain."""

    cold_start: date
    """First day, which starts from a state of zeros."""
    checkpoint_sha256: str
    domain: str
    mask_sha256: str
    statics_sha256: str
    processing_version: str

    @property
    def chain_id(self) -> str:
        """First 12 hex digits of the SHA-256 over the root's canonical JSON."""
        return _canonical_hash(self)[:12]


class DayRecord(FrozenModel):
    """The record of one day of a chain, whether or not its state is kept."""

    chain_id: str
    day: date
    content_hash: str
    """`State.content_hash` of the state after the day."""
    hash_before: str
    """`State.content_hash` of the state that the day started from."""
    forcing_fingerprint: str
    """Fingerprint of the day's forcing, including any retrievals."""
    spin_up_age: int
    """Number of days since the cold start, including this one."""
    prediction_sha256: str | None = None
    """SHA-256 of the day's prediction; None if it was not stored."""


class _Signed(FrozenModel):
    """A record with its checksum, as stored."""

    record: DayRecord
    sha256: str
    """SHA-256 of the record's canonical JSON."""


@dataclass(frozen=True)
class Chain:
    """An open chain; `folder` contains its root, records and snapshots."""

    root: ChainRoot
    folder: Path

    def path(self, day: date) -> Path:
        """Return the path of the snapshot of `day`."""
        return self.folder / f"{day:%Y%m%d}.h5"

    def record_path(self, day: date) -> Path:
        """Return the path of the record of `day`."""
        return self.folder / "records" / f"{day:%Y%m%d}.json"

    def days(self) -> list[date]:
        """Return the days that have a snapshot, oldest first."""
        return sorted(_day_of(path) for path in self.folder.glob("[0-9]" * 8 + ".h5"))

    def recorded_days(self) -> list[date]:
        """Return the days that were run, oldest first."""
        return sorted(_day_of(path) for path in (self.folder / "records").glob("[0-9]*.json"))

    def newest_before(self, day: date) -> date | None:
        """Return the newest day before `day` that has a snapshot, or None."""
        return max((found for found in self.days() if found < day), default=None)

    def prunable(self, newest: date, state_days: int, anchor_days: int) -> list[date]:
        """Return the days whose snapshots can be removed, oldest first.

        All snapshots from `state_days` before `newest` on are kept, so that each of these days can
        be run again in one step. Further back, a day stays at most `anchor_days` after the snapshot
        or cold start before it, unless it already was further. Snapshots without a record are
        removed, except the newest of the chain. The same holds after a partial removal.
        """
        days = self.days()
        first_of_window = newest - timedelta(days=state_days)
        recorded = [day for day in days if self.record_path(day).exists()]
        kept = {*days[-1:], *recorded[-1:]}
        anchor = self.root.cold_start - timedelta(days=1)
        for day, following in zip(recorded, [*recorded[1:], newest], strict=False):
            # Multiples of `anchor_days` are kept in all chains: parallel runs split at these days.
            is_anchor = not day.toordinal() % anchor_days
            if is_anchor or day >= first_of_window or (following - anchor).days > anchor_days:
                kept.add(day)
                anchor = day
        return [day for day in days if day < first_of_window and day not in kept]

    def write_record(
        self,
        day: date,
        content_hash: str,
        hash_before: str,
        forcing_fingerprint: str,
        prediction_sha256: str | None = None,
    ) -> DayRecord:
        """Write the record of a day that was run.

        Parameters
        ----------
        day
        content_hash
            `State.content_hash` of the state after the day.
        hash_before
            `State.content_hash` of the state that the day started from.
        forcing_fingerprint
            Fingerprint of the forcing that advanced it.
        prediction_sha256
            SHA-256 of the day's prediction, if that is stored.

        Raises
        ------
        StateError
            If the day precedes the chain's cold start, or another run has changed the state of the
            previous day.
        """
        age = (day - self.root.cold_start).days + 1
        if age < 1:
            raise StateError(
                f"Chain {self.root.chain_id} has its cold start on {self.root.cold_start}, and"
                f" {day} is before it: start a chain with an earlier cold start."
            )
        record = DayRecord(
            chain_id=self.root.chain_id,
            day=day,
            content_hash=content_hash,
            hash_before=hash_before,
            forcing_fingerprint=forcing_fingerprint,
            spin_up_age=age,
            prediction_sha256=prediction_sha256,
        )
        signed = _Signed(record=record, sha256=_canonical_hash(record))
        path = self.record_path(day)
        with locked(self.folder / ".lock"):
            previous = day - timedelta(days=1)
            known = self.record_path(previous).exists()
            if known and self.read_record(previous).content_hash != hash_before:
                raise StateError(
                    f"Chain {self.root.chain_id} has another state on {previous} than when the run"
                    f" of {day} began: another run has replaced it; run the same command again."
                )
            with replacing(path) as new:
                new.write_text(signed.model_dump_json() + "\n")
        return record

    def write_snapshot(self, day: date, parts: Sequence[Deflated]) -> None:
        """Store the state after `day`, its blocks in order.

        It is valid as soon as the day's record contains its hash.
        """
        with replacing(self.path(day)) as new:
            snapshot.write(new, parts)

    def read_record(self, day: date) -> DayRecord:
        """Read a day's record and check that it belongs to the chain.

        Raises
        ------
        StateError
            If it is missing, damaged, or of another day or chain.
        """
        path = self.record_path(day)
        try:
            signed = _read_signed(path)
        except FileNotFoundError:
            raise StateError(
                f"Chain {self.root.chain_id} has not run {day} ({path}): advance the chain to that"
                " day first."
            ) from None
        except (ValidationError, OSError) as error:
            raise _damaged(path, "it is not the record of a day") from error
        record = signed.record
        if _canonical_hash(record) != signed.sha256:
            raise _damaged(path, "its checksum differs")
        if record.chain_id != self.root.chain_id or record.day != day:
            raise _damaged(path, f"it is of chain {record.chain_id} and day {record.day}")
        return record

    def read_block(self, day: date, cells: slice) -> State:
        """Read the state of complete tiles after a day, without a comparison with its record.

        Raises
        ------
        StateError
            If the snapshot is missing or damaged.
        """
        try:
            return snapshot.read(self.path(day), cells)
        except snapshot.UNREADABLE as error:
            raise _damaged(self.path(day), f"it is not a readable snapshot ({error})") from error


@read_once
def _read_signed(path: Path) -> _Signed:
    return _Signed.model_validate_json(path.read_bytes())


def _day_of(path: Path) -> date:
    try:
        return datetime.strptime(path.stem, "%Y%m%d").date()  # noqa: DTZ007
    except ValueError as error:
        raise StateError(f"{path} is not named after a day: remove it.") from error


def read_root(record: Path) -> ChainRoot:
    """Read the provenance of a chain from its `chain.json`.

    Raises
    ------
    StateError
        If it is damaged.
    """
    try:
        return ChainRoot.model_validate_json(record.read_bytes())
    except ValidationError as error:
        raise StateError(
            f"{record} does not describe a chain ({error.errors()[0]['msg']}): restore it from"
            " a copy, or move the folder away to start the chain again."
        ) from error


def open_chain(root_folder: Path, root: ChainRoot) -> Chain:
    """Open the chain of `root` under `root_folder`, and create it if it does not exist.

    Parameters
    ----------
    root_folder
        Folder of all chains.
    root

    Raises
    ------
    StateError
        If the folder of that chain contains another root.
    """
    folder = Path(root_folder) / root.chain_id
    record = folder / "chain.json"
    if record.exists():
        if read_root(record) != root:
            raise StateError(
                f"{record} describes another chain than the name of its folder: move the folder"
                " away to start the chain again."
            )
        return Chain(root, folder)
    with replacing(record) as new:
        new.write_text(root.model_dump_json(indent=1) + "\n")
    return Chain(root, folder)


def _canonical_hash(model: BaseModel) -> str:
    # None is left out, so that records written before a field was added keep their hash.
    known = model.model_dump(mode="json", exclude_none=True)
    text = json.dumps(known, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: Path, reason: str) -> StateError:
    return StateError(
        f"{path} is refused because {reason}: remove it and advance the chain again from the newest"
        " day before it."
    )
