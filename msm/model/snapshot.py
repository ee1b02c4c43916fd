"""The file of a state: HDF5, with a chunk for each tile of cells."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from msm.model.state import TILE, State

DEFLATE = 1
"""Level of compression: higher ones gain a hundredth."""

UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, TypeError, zlib.error)
"""What reading a file raises that is no snapshot, or a damaged one."""

Half = npt.NDArray[np.float16]


def write(path: Path, state: State) -> None:
    """Write a state as HDF5: h and c, each (hidden_size, n_cell), a chunk for each tile.

    A unit's values in neighbouring cells are alike: in this order the file has two fifths of the
    state's bytes. The chunks are deflated here, in threads, as HDF5's own filters would.
    """
    width = min(TILE, state.n_cell)
    with h5py.File(path, "w") as file, ThreadPoolExecutor() as pool:
        for name, values in (("h", state.h), ("c", state.c)):
            stored = file.create_dataset(
                name,
                values.shape[::-1],
                values.dtype,
                chunks=(state.hidden_size, width),
                shuffle=True,
                compression="gzip",
                compression_opts=DEFLATE,
            )
            firsts = range(0, state.n_cell, width)
            chunks = pool.map(partial(_deflated, values, width), firsts)
            for first, chunk in zip(firsts, chunks, strict=True):
                stored.id.write_direct_chunk((0, first), chunk)


def _deflated(values: Half, width: int, first: int) -> bytes:
    tile = np.zeros((values.shape[1], width), values.dtype)
    cells = values[first : first + width]
    tile[:, : len(cells)] = cells.T
    shuffled = tile.view(np.uint8).reshape(-1, 2).T
    deflated: bytes = isal_zlib.compress(shuffled.tobytes(), DEFLATE)
    return deflated


def read(path: Path, cells: slice | None = None) -> State:
    """Read a state, or of its cells a block of whole tiles.

    Parameters
    ----------
    path : Path
    cells : slice, optional
        From a multiple of `TILE` to another one or the last cell; all cells if not given.

    Raises
    ------
    IndexError
        If the block cuts a tile or reaches beyond the cells.
    Exception
        One of `UNREADABLE`, if the file is no snapshot or damaged.
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
                    f"cells {block.start}..{block.stop} of {n_cell} in {path} are not whole tiles"
                    f" of {TILE}"
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
