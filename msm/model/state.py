"""The network's state: h and c of every cell after a day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

TILE = 1024
"""Number of cells that are computed, hashed and stored together."""


@dataclass(frozen=True, eq=False)
class State:
    """Hidden and cell state of every cell of a domain after a day.

    Attributes
    ----------
    h, c
        Shape (n_cell, hidden_size). In half precision in memory as well as in snapshots, so that
        both have the same numbers. The units of an ensemble's members are concatenated.
    """

    h: NDArray[np.float16]
    c: NDArray[np.float16]

    def __post_init__(self) -> None:
        """Refuse arrays that storage would change."""
        for part in (self.h, self.c):
            if part.dtype != np.float16 or part.ndim != 2 or not part.flags.c_contiguous:
                raise ValueError("A state is two contiguous float16 arrays (n_cell, hidden_size).")
        if self.h.shape != self.c.shape:
            raise ValueError(f"The shapes of h {self.h.shape} and c {self.c.shape} differ.")

    def __sizeof__(self) -> int:
        """Return the size of the arrays in bytes."""
        return self.h.nbytes + self.c.nbytes

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
        """Width of the state of a cell: the units of all members."""
        return self.h.shape[1]

    @cached_property
    def tile_hashes(self) -> tuple[bytes, ...]:
        """SHA-256 over the bytes of h and c of each tile of `TILE` cells.

        The hashes of a block of complete tiles do not depend on the rest of the domain.
        """
        hashes = []
        for cells in _tiles(self.n_cell):
            tile = hashlib.sha256(self.h[cells].data)
            tile.update(self.c[cells].data)
            hashes.append(tile.digest())
        return tuple(hashes)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (hex) over the shape and the hashes of the tiles."""
        return content_hash(self.n_cell, self.hidden_size, self.tile_hashes)


def content_hash(n_cell: int, hidden_size: int, tile_hashes: tuple[bytes, ...]) -> str:
    """Return the content hash of a state from the hashes of its tiles, in order."""
    return hashlib.sha256(f"{n_cell}x{hidden_size}".encode() + b"".join(tile_hashes)).hexdigest()


def _tiles(n_cell: int) -> Iterator[slice]:
    return (slice(first, first + TILE) for first in range(0, n_cell, TILE))
