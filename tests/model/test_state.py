import numpy as np
import pytest

from msm.model.state import TILE, State, content_hash


def _state(seed: int, n_cell: int = 50) -> State:
    rng = np.random.default_rng(seed)
    return State(*(rng.normal(size=(2, n_cell, 8)).astype(np.float16)))


def test_a_state_refuses_arrays_that_storage_would_round():
    with pytest.raises(ValueError, match="float16"):
        State(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"shapes of h .* differ"):
        State(np.zeros((3, 4), np.float16), np.zeros((3, 5), np.float16))


def test_the_content_hash_tells_states_apart():
    a = _state(1)
    swapped = State(a.c, a.h)
    reshaped = State(a.h.reshape(100, 4), a.c.reshape(100, 4))
    hashes = {s.content_hash for s in (a, _state(2), swapped, reshaped)}
    assert len(hashes) == 4
    assert State(a.h.copy(), a.c.copy()).content_hash == a.content_hash


def test_hashes_of_a_block_of_tiles_do_not_need_the_rest():
    whole = _state(3, 3 * TILE + 5)
    parts = (slice(0, 2 * TILE), slice(2 * TILE, None))
    blocks = [State(whole.h[part], whole.c[part]) for part in parts]
    hashes = tuple(tile for block in blocks for tile in block.tile_hashes)
    assert len(hashes) == 4
    assert content_hash(whole.n_cell, whole.hidden_size, hashes) == whole.content_hash
