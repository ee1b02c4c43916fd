"""The snapshot file of a state: HDF5, with a chunk for each tile of cells."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from msm.model.state import TILE, State

DEFLATE = 1
"""Level of compression; higher levels save only one percent more."""

UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, TypeError, zlib.error)
"""Errors from reading a damaged file or one that is not a snapshot."""

Half = NDArray[np.float16]


@dataclass(frozen=True)
class Deflated:
    """The compressed chunks of a block of complete tiles, as stored in the file."""

    n_cell: int
    hidden_size: int
    h: tuple[bytes, ...]
    """By tile."""
    c: tuple[bytes, ...]


def deflate(state: State, n_cell: int | None = None, threads: int | None = None) -> Deflated:
    """Compress a state, or a block of complete tiles of a domain of `n_cell` cells.

    A unit has similar values in neighbouring cells, so chunks store the cells of a unit next to
    each other: the file has two fifths of the state's size. The bytes are those of HDF5's own
    filters, which would run in a single thread.
    """
    width = _width(n_cell or state.n_cell)
    firsts = range(0, state.n_cell, width)
    with ThreadPoolExecutor(threads) as pool:
        chunks = [
            tuple(pool.map(partial(_deflated, values, width), firsts))
            for values in (state.h, state.c)
        ]
    return Deflated(state.n_cell, state.hidden_size, *chunks)


def write(path: Path, parts: Sequence[Deflated]) -> None:
    """Write a state, its blocks in order, as HDF5.

    h and c each have the shape (hidden_size, n_cell) and a chunk for each tile.
    """
    n_cell, hidden_size = sum(part.n_cell for part in parts), parts[0].hidden_size
    width = _width(n_cell)
    with h5py.File(path, "w") as file:
        for name in ("h", "c"):
            stored = file.create_dataset(
                name,
                (hidden_size, n_cell),
                np.float16,
                chunks=(hidden_size, width),
                shuffle=True,
                compression="gzip",
                compression_opts=DEFLATE,
            )
            for number, chunk in enumerate(chain(*(getattr(part, name) for part in parts))):
                stored.id.write_direct_chunk((0, number * width), chunk)


def _width(n_cell: int) -> int:
    """Return the number of cells of a chunk, at most that of its dataset."""
    return min(TILE, n_cell)


def _deflated(values: Half, width: int, first: int) -> bytes:
    tile = np.zeros((values.shape[1], width), values.dtype)
    cells = values[first : first + width]
    tile[:, : len(cells)] = cells.T
    shuffled = tile.view(np.uint8).reshape(-1, 2).T
    deflated: bytes = isal_zlib.compress(shuffled.tobytes(), DEFLATE)
    return deflated


def read(path: Path, cells: slice | None = None) -> State:
    """Read a state, or a block of its complete tiles.

    Parameters
    ----------
    path
    cells
        Bounds are multiples of `TILE` or the number of cells; all cells if not given.

    Raises
    ------
    IndexError
        If the block divides a tile or exceeds the cells.
    Exception
        One of `UNREADABLE`, if the file is damaged or not a snapshot.
    """
    with h5py.File(path) as file, ThreadPoolExecutor() as pool:

        def values(name: str) -> Half:
            stored = file[name]
            hidden_size, n_cell = stored.shape
            width = stored.chunks[1]
            block = cells or slice(0, n_cell)
            tiled = {*range(0, n_cell, TILE), n_cell}
            if not {block.start, block.stop} <= tiled:
                raise IndexError(
                    f"Cells {block.start}..{block.stop} of {n_cell} in {path} are not complete"
                    f" tiles of {TILE}."
                )
            part = np.empty((block.stop - block.start, hidden_size), stored.dtype)
            firsts = range(block.start, block.stop, width)
            chunks = (stored.id.read_direct_chunk((0, first))[1] for first in firsts)
            into = (part[first - block.start :][:width] for first in firsts)
            list(pool.map(_inflate, into, chunks))
            return part

        return State(values("h"), values("c"))


def _inflate(cells: Half, chunk: bytes) -> None:
    shuffled = np.frombuffer(zlib.decompress(chunk), np.uint8).reshape(2, -1)
    tile = np.ascontiguousarray(shuffled.T).view(cells.dtype).reshape(cells.shape[1], -1)
    cells[:] = tile[:, : len(cells)].T
