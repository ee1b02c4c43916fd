import tempfile
from pathlib import Path

import h5py
import numpy as np
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
def test_a_state_comes_back_bit_by_bit(n_cell, hidden_size):
    before = state(n_cell, hidden_size)
    with tempfile.TemporaryDirectory() as folder:
        snapshot.write(Path(folder) / "s.h5", before)
        after = snapshot.read(Path(folder) / "s.h5")
    assert after.h.tobytes() == before.h.tobytes()
    assert after.c.tobytes() == before.c.tobytes()


def test_any_reader_of_hdf5_reads_it(tmp_path):
    before = state(TILE + 3, 4)
    snapshot.write(tmp_path / "s.h5", before)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["h"][...].T.tobytes() == before.h.tobytes()
        assert file["c"].chunks == (4, TILE)


def test_neighbours_that_are_alike_take_little_room(tmp_path):
    smooth = np.linspace(0, 1, 4 * TILE, dtype=np.float16)[:, None] + np.zeros(16, np.float16)
    before = State(smooth.copy(), smooth.copy())
    snapshot.write(tmp_path / "s.h5", before)
    assert (tmp_path / "s.h5").stat().st_size < 0.2 * (before.h.nbytes + before.c.nbytes)
