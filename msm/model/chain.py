"""The chain of dated states that carries the network's memory from day to day.

A chain is a folder ``<root>/<chain_id>/`` that holds ``chain.json`` (what the chain stands on), a
record ``records/<YYYYMMDD>.json`` of every day that was run, and snapshots ``<YYYYMMDD>.h5`` of
some of them. A record names the content of the state before and after its day, so that the chain
can be followed link by link without the states themselves; a snapshot counts only where it has
the content that its day's record names. A revised input makes a new record, and a new snapshot, of
that day and of those after it, each in one rename. Two runs may work on one chain at a time: a
record is written only where the day before has the content that its state came from.
"""

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
    """What a chain of states stands on; another root is another chain."""

    cold_start: date
    """First day that was run, from a state of zeros."""
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
    """What is known of one day of a chain, whether or not its state is kept."""

    chain_id: str
    day: date
    content_hash: str
    """`State.content_hash` of the state after the day."""
    hash_before: str
    """`State.content_hash` of the state that the day started from."""
    forcing_fingerprint: str
    """Fingerprint of the forcing, with it any retrievals, that advanced the state over the day."""
    spin_up_age: int
    """Days run since the cold start, this one included."""
    prediction_sha256: str | None = None
    """Content of what the network said of the day; None where it was not asked to keep it."""


class _Signed(FrozenModel):
    """A record as it is stored."""

    record: DayRecord
    sha256: str
    """Of the record's canonical JSON."""


@dataclass(frozen=True)
class Chain:
    """An open chain: `folder` holds its root, its records and its snapshots."""

    root: ChainRoot
    folder: Path

    def path(self, day: date) -> Path:
        """Return where the snapshot of `day` lies."""
        return self.folder / f"{day:%Y%m%d}.h5"

    def record_path(self, day: date) -> Path:
        """Return where the record of `day` lies."""
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
        """Return the days whose snapshots can go, oldest first.

        What stays: every snapshot of the `state_days` days before `newest` and of later ones, so
        that each of the newest `state_days` days can be made again in one step; and further back
        so many that a day is at most `anchor_days` from the snapshot, or the cold start, before it,
        unless it was further before. A snapshot that no record vouches for helps nobody, but the
        newest one of the chain stays in any case. Whatever part of the days is removed, the same
        holds.
        """
        days = self.days()
        first_of_window = newest - timedelta(days=state_days)
        vouched = [day for day in days if self.record_path(day).exists()]
        kept = {*days[-1:], *vouched[-1:]}
        anchor = self.root.cold_start - timedelta(days=1)
        for day, following in zip(vouched, [*vouched[1:], newest], strict=False):
            # Days of a round number stay whatever runs there were: they are where a run splits.
            is_round = not day.toordinal() % anchor_days
            if is_round or day >= first_of_window or (following - anchor).days > anchor_days:
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
        """Note that `day` was run.

        Parameters
        ----------
        day : date
        content_hash : str
            `State.content_hash` of the state after the day.
        hash_before : str
            `State.content_hash` of the state that the day started from.
        forcing_fingerprint : str
            Fingerprint of the forcing that advanced it.
        prediction_sha256 : str, optional
            Content of what the network said of the day, where that is kept.

        Raises
        ------
        StateError
            If the day lies before the chain's cold start, or the day before has come to another
            state meanwhile.
        """
        age = (day - self.root.cold_start).days + 1
        if age < 1:
            raise StateError(
                f"chain {self.root.chain_id} starts cold on {self.root.cold_start}, {day} is"
                " before it: start a chain with an earlier cold start"
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
            eve = day - timedelta(days=1)
            known = self.record_path(eve).exists()
            if known and self.read_record(eve).content_hash != hash_before:
                raise StateError(
                    f"chain {self.root.chain_id} has come to another state on {eve} while {day} was"
                    " run: another run replays it; run the same command again"
                )
            with replacing(path) as new:
                new.write_text(signed.model_dump_json() + "\n")
        return record

    def write_snapshot(self, day: date, parts: Sequence[Deflated]) -> None:
        """Store the state after `day`, its blocks in order.

        It counts as soon as the day's record names its content.
        """
        with replacing(self.path(day)) as new:
            snapshot.write(new, parts)

    def read_record(self, day: date) -> DayRecord:
        """Read a day's record, checked against the chain.

        Raises
        ------
        StateError
            If there is none, or it is damaged, or it belongs to another day or chain.
        """
        path = self.record_path(day)
        try:
            signed = _read_signed(path)
        except FileNotFoundError:
            raise StateError(
                f"chain {self.root.chain_id} has not run {day} ({path}): advance the chain to that"
                " day first"
            ) from None
        except (ValidationError, OSError) as error:
            raise _damaged(path, "it is not the record of a day") from error
        record = signed.record
        if _canonical_hash(record) != signed.sha256:
            raise _damaged(path, "it was changed")
        if record.chain_id != self.root.chain_id or record.day != day:
            raise _damaged(path, f"it is of chain {record.chain_id} and day {record.day}")
        return record

    def read_snapshot(self, day: date) -> tuple[State, DayRecord]:
        """Read the state after a day, and check that it is the one of the day's record.

        Raises
        ------
        StateError
            If there is none, or it is damaged or of another run of the day.
        """
        record = self.read_record(day)
        path = self.path(day)
        if not path.exists():
            raise StateError(
                f"chain {self.root.chain_id} has no snapshot of {day} ({path}): advance the chain"
                " to that day again"
            )
        try:
            state = snapshot.read(path)
        except snapshot.UNREADABLE as error:
            raise _damaged(path, f"it is not a readable snapshot ({error})") from error
        if state.content_hash != record.content_hash:
            raise _damaged(path, "its state does not have the content that its record names")
        return state, record

    def read_block(self, day: date, cells: slice) -> State:
        """Read the state of some whole tiles after a day, not checked against its record.

        Raises
        ------
        StateError
            If there is none or it is damaged.
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
        raise StateError(f"{path} is not named after a day: remove it") from error


def read_root(record: Path) -> ChainRoot:
    """Read what a chain stands on from its `chain.json`.

    Raises
    ------
    StateError
        If it is damaged.
    """
    try:
        return ChainRoot.model_validate_json(record.read_bytes())
    except ValidationError as error:
        raise StateError(
            f"{record} does not describe a chain ({error.errors()[0]['msg']}): bring it back from"
            " a copy, or move the folder away, and the chain is started again"
        ) from error


def open_chain(root_folder: Path, root: ChainRoot) -> Chain:
    """Open the chain of `root` under `root_folder`, and create it where it is not there yet.

    Parameters
    ----------
    root_folder : Path
        Folder of all chains.
    root : ChainRoot

    Raises
    ------
    StateError
        If the folder of that chain holds another root.
    """
    folder = Path(root_folder) / root.chain_id
    record = folder / "chain.json"
    if record.exists():
        if read_root(record) != root:
            raise StateError(
                f"{record} describes another chain than its folder's name says: move the folder"
                " away and start the chain again"
            )
        return Chain(root, folder)
    with replacing(record) as new:
        new.write_text(root.model_dump_json(indent=1) + "\n")
    return Chain(root, folder)


def _canonical(model: BaseModel) -> str:
    # Without what is not known, so that a record of before a field was added is still right.
    known = model.model_dump(mode="json", exclude_none=True)
    return json.dumps(known, sort_keys=True, separators=(",", ":"))


def _canonical_hash(model: BaseModel) -> str:
    return hashlib.sha256(_canonical(model).encode()).hexdigest()


def _damaged(path: Path, reason: str) -> StateError:
    return StateError(
        f"{path} is refused because {reason}: remove it and advance the chain again from the newest"
        " day before it"
    )
