"""The network's state, and the chain of dated snapshots that carries it from day to day.

A chain is a folder ``<root>/<chain_id>/`` that holds ``chain.json`` (what the chain stands on) and
one ``<YYYYMMDD>.safetensors`` per day. A snapshot is never changed in place. Writing the same
state with the same record again leaves the file alone; writing another one replaces it in one
rename, because a revised input makes a new state of that day and the newest revision holds.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from msm.durable import replacing
from msm.errors import MsmError


class StateError(MsmError):
    """A chain or one of its snapshots cannot be used."""


@dataclass(frozen=True, eq=False)
class State:
    """Hidden and cell state of every cell of a domain after a day.

    Attributes
    ----------
    h, c : ndarray of float16, shape (n_cell, hidden_size)
        Stored and carried in half precision: whoever keeps a state in memory and whoever reads it
        back from a snapshot holds the same numbers.
    """

    h: npt.NDArray[np.float16]
    c: npt.NDArray[np.float16]

    def __post_init__(self) -> None:
        """Refuse anything that would not survive storage unchanged."""
        for part in (self.h, self.c):
            if part.dtype != np.float16 or part.ndim != 2 or not part.flags.c_contiguous:
                raise ValueError("a state is two contiguous float16 arrays (n_cell, hidden_size)")
        if self.h.shape != self.c.shape:
            raise ValueError(f"h {self.h.shape} and c {self.c.shape} of a state differ in shape")

    @classmethod
    def zeros(cls, n_cell: int, hidden_size: int) -> Self:
        """Return the state of a cold start."""
        shape = (n_cell, hidden_size)
        return cls(np.zeros(shape, np.float16), np.zeros(shape, np.float16))

    @property
    def n_cell(self) -> int:
        """Number of cells."""
        return self.h.shape[0]

    @property
    def hidden_size(self) -> int:
        """Width of the network's state."""
        return self.h.shape[1]

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the shape and the bytes of h and c, which nobody changes."""
        digest = hashlib.sha256(f"{self.n_cell}x{self.hidden_size}".encode())
        digest.update(self.h.data)
        digest.update(self.c.data)
        return digest.hexdigest()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChainRoot(_Frozen):
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


class SnapshotRecord(_Frozen):
    """What is known of one snapshot; stored inside its file."""

    chain_id: str
    day: date
    content_hash: str
    """`State.content_hash` of the state after the day."""
    hash_before: str
    """`State.content_hash` of the state that the day started from."""
    forcing_fingerprint: str
    """Fingerprint of the forcing that advanced the state over the day."""
    spin_up_age: int
    """Days run since the cold start, this one included."""


@dataclass(frozen=True)
class Chain:
    """An open chain: `folder` holds its root and its snapshots."""

    root: ChainRoot
    folder: Path

    def path(self, day: date) -> Path:
        """Return where the snapshot of `day` lies."""
        return self.folder / f"{day:%Y%m%d}.safetensors"

    def days(self) -> list[date]:
        """Return the days that have a snapshot, oldest first."""
        found = []
        for path in self.folder.glob("[0-9]" * 8 + ".safetensors"):
            try:
                found.append(datetime.strptime(path.stem, "%Y%m%d").date())  # noqa: DTZ007
            except ValueError as error:
                raise StateError(f"{path} is not named after a day: remove it") from error
        return sorted(found)

    def newest_before(self, day: date) -> date | None:
        """Return the newest day before `day` that has a snapshot, or None."""
        return max((found for found in self.days() if found < day), default=None)

    def write_snapshot(
        self, day: date, state: State, hash_before: str, forcing_fingerprint: str
    ) -> SnapshotRecord:
        """Store the state after `day`; see the module for what happens to an older one.

        Parameters
        ----------
        day : date
            The product day that the state ends.
        state : State
        hash_before : str
            `State.content_hash` of the state that the day started from.
        forcing_fingerprint : str
            Fingerprint of the forcing that advanced it.

        Raises
        ------
        StateError
            If the day lies before the chain's cold start.
        """
        age = (day - self.root.cold_start).days + 1
        if age < 1:
            raise StateError(
                f"chain {self.root.chain_id} starts cold on {self.root.cold_start}, {day} is"
                " before it: start a chain with an earlier cold start"
            )
        record = SnapshotRecord(
            chain_id=self.root.chain_id,
            day=day,
            content_hash=state.content_hash,
            hash_before=hash_before,
            forcing_fingerprint=forcing_fingerprint,
            spin_up_age=age,
        )
        path = self.path(day)
        if path.exists() and self._holds(record):
            return record
        metadata = {"record": _canonical(record), "record_sha256": _canonical_hash(record)}
        with replacing(path) as new:
            save_file({"h": state.h, "c": state.c}, new, metadata=metadata)
        return record

    def read_record(self, day: date) -> SnapshotRecord:
        """Read only the record of a day's snapshot, checked against the chain.

        Raises
        ------
        StateError
            If there is none or it belongs to another day or chain.
        """
        with self._open(day) as (_, record):
            return record

    def read_snapshot(self, day: date) -> tuple[State, SnapshotRecord]:
        """Read a day's snapshot and check it against its record and the chain.

        Raises
        ------
        StateError
            If there is none, or it is damaged, or it belongs to another day or chain.
        """
        with self._open(day) as (file, record):
            state = State(file.get_tensor("h"), file.get_tensor("c"))
        if state.content_hash != record.content_hash:
            raise _damaged(self.path(day), "its state does not have the hash of its record")
        return state, record

    @contextmanager
    def _open(self, day: date) -> Iterator[tuple[safe_open, SnapshotRecord]]:
        """Open a day's snapshot; what goes wrong in reading it becomes a StateError."""
        path = self.path(day)
        if not path.exists():
            raise StateError(
                f"chain {self.root.chain_id} has no snapshot of {day} ({path}): advance the chain"
                " to that day first"
            )
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                record = SnapshotRecord.model_validate_json(metadata["record"])
                if _canonical_hash(record) != metadata["record_sha256"]:
                    raise _damaged(path, "its record was changed")
                if record.chain_id != self.root.chain_id or record.day != day:
                    raise _damaged(path, f"it is of chain {record.chain_id} and day {record.day}")
                yield file, record
        except ValidationError as error:
            raise _damaged(path, "its record is not that of a snapshot") from error
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise _damaged(path, f"it is not a readable snapshot ({error})") from error

    def _holds(self, record: SnapshotRecord) -> bool:
        """Tell whether the file on disk is whole and is this very snapshot."""
        try:
            return self.read_snapshot(record.day)[1] == record
        except StateError:
            # A damaged snapshot is replaced by the good one at hand.
            return False


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
        try:
            found = ChainRoot.model_validate_json(record.read_bytes())
        except ValidationError as error:
            raise StateError(
                f"{record} does not describe a chain ({error.errors()[0]['msg']}): move the folder"
                " away and start the chain again"
            ) from error
        if found != root:
            raise StateError(
                f"{record} describes another chain than its folder's name says: move the folder"
                " away and start the chain again"
            )
        return Chain(root, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(record) as new:
        new.write_text(root.model_dump_json(indent=1) + "\n")
    return Chain(root, folder)


def _canonical(model: BaseModel) -> str:
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def _canonical_hash(model: BaseModel) -> str:
    return hashlib.sha256(_canonical(model).encode()).hexdigest()


def _damaged(path: Path, reason: str) -> StateError:
    return StateError(
        f"snapshot {path} is refused because {reason}: remove it and advance the chain again from"
        " the newest day before it"
    )
