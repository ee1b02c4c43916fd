import tempfile
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msm.model import snapshot
from msm.model.state import TILE, State


def state(n_cell: int, hidden_size: int) -> State:
    # Every half-precision number occurs, infinities and all kinds of NaN included.
    numbers = np.arange(2 * n_cell * hidden_size, dtype=np.uint16).view(np.float16)
    return State(*numbers.reshape(2, n_cell, hidden_size))


@given(st.integers(1, 2 * TILE + 2), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_a_state_is_read_bit_by_bit(n_cell, hidden_size):
    before = state(n_cell, hidden_size)
    with tempfile.TemporaryDirectory() as folder:
        snapshot.write(Path(folder) / "s.h5", [snapshot.deflate(before)])
        after = snapshot.read(Path(folder) / "s.h5")
    assert after.h.tobytes() == before.h.tobytes()
    assert after.c.tobytes() == before.c.tobytes()


@pytest.mark.parametrize("n_cell", [TILE - 1, TILE, 3 * TILE + 5])
def test_a_block_of_tiles_is_read_alone(tmp_path, n_cell):
    whole = state(n_cell, 4)
    snapshot.write(tmp_path / "s.h5", [snapshot.deflate(whole)])
    bounds = [*range(0, n_cell, TILE), n_cell]
    for first, start in enumerate(bounds):
        for stop in bounds[first + 1 :]:
            cells = slice(start, stop)
            block = snapshot.read(tmp_path / "s.h5", cells)
            assert block.h.tobytes() == whole.h[cells].tobytes()
            assert block.c.tobytes() == whole.c[cells].tobytes()


@pytest.mark.parametrize("n_cell", [2 * TILE, 3 * TILE + 5])
def test_blocks_give_the_same_file_as_the_complete_state(tmp_path, n_cell):
    whole = state(n_cell, 4)
    bounds = sorted({0, TILE, n_cell // TILE * TILE, n_cell})
    blocks = [State(whole.h[a:b], whole.c[a:b]) for a, b in pairwise(bounds)]
    parts = [snapshot.deflate(block, n_cell) for block in blocks]
    snapshot.write(tmp_path / "parts.h5", parts)
    snapshot.write(tmp_path / "whole.h5", [snapshot.deflate(whole)])
    assert (tmp_path / "parts.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.parametrize("cells", [slice(1, TILE), slice(0, TILE - 1), slice(0, 5 * TILE)])
def test_a_block_that_cuts_a_tile_is_refused(tmp_path, cells):
    snapshot.write(tmp_path / "s.h5", [snapshot.deflate(state(2 * TILE + 7, 4))])
    with pytest.raises(IndexError, match=f"of {TILE}"):
        snapshot.read(tmp_path / "s.h5", cells)


def test_any_reader_of_hdf5_reads_it(tmp_path):
    before = state(TILE + 3, 4)
    snapshot.write(tmp_path / "s.h5", [snapshot.deflate(before)])
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["h"][...].T.tobytes() == before.h.tobytes()
        assert file["c"].chunks == (4, TILE)


def test_similar_neighbours_compress_well(tmp_path):
    smooth = np.linspace(0, 1, 4 * TILE, dtype=np.float16)[:, None] + np.zeros(16, np.float16)
    before = State(smooth.copy(), smooth.copy())
    snapshot.write(tmp_path / "s.h5", [snapshot.deflate(before)])
    assert (tmp_path / "s.h5").stat().st_size < 0.2 * (before.h.nbytes + before.c.nbytes)
