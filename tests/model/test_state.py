import os
import signal
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from msm.model.state import Chain, ChainRoot, State, StateError, open_chain

DAY = date(2020, 5, 17)


@pytest.fixture
def root() -> ChainRoot:
    return ChainRoot(
        cold_start=date(2020, 5, 1),
        checkpoint_sha256="a" * 64,
        domain="conus",
        mask_sha256="b" * 64,
        statics_sha256="c" * 64,
        processing_version="1",
    )


@pytest.fixture
def chain(root: ChainRoot, tmp_path: Path) -> Chain:
    return open_chain(tmp_path, root)


def _state(seed: int, n_cell: int = 50) -> State:
    rng = np.random.default_rng(seed)
    return State(*(rng.normal(size=(2, n_cell, 8)).astype(np.float16)))


def test_a_state_refuses_what_storage_would_round():
    with pytest.raises(ValueError, match="float16"):
        State(np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match="differ in shape"):
        State(np.zeros((3, 4), np.float16), np.zeros((3, 5), np.float16))


def test_the_content_hash_tells_states_apart():
    a = _state(1)
    swapped = State(a.c, a.h)
    reshaped = State(a.h.reshape(100, 4), a.c.reshape(100, 4))
    hashes = {s.content_hash for s in (a, _state(2), swapped, reshaped)}
    assert len(hashes) == 4
    assert State(a.h.copy(), a.c.copy()).content_hash == a.content_hash


def test_a_chain_is_named_by_what_it_stands_on(root: ChainRoot, tmp_path: Path):
    chain = open_chain(tmp_path, root)
    assert chain.folder == tmp_path / root.chain_id
    assert len(root.chain_id) == 12
    for field, value in {
        "cold_start": date(2020, 5, 2),
        "checkpoint_sha256": "d" * 64,
        "domain": "global",
        "mask_sha256": "d" * 64,
        "statics_sha256": "d" * 64,
        "processing_version": "2",
    }.items():
        assert root.model_copy(update={field: value}).chain_id != root.chain_id
    assert open_chain(tmp_path, root) == chain


def test_a_chain_folder_with_another_root_is_refused(chain: Chain):
    other = chain.root.model_copy(update={"domain": "global"})
    (chain.folder / "chain.json").write_text(other.model_dump_json())
    with pytest.raises(StateError, match="describes another chain"):
        open_chain(chain.folder.parent, chain.root)
    (chain.folder / "chain.json").write_text("{}")
    with pytest.raises(StateError, match="does not describe a chain"):
        open_chain(chain.folder.parent, chain.root)


def test_a_snapshot_comes_back_as_it_was_written(chain: Chain):
    state = _state(1)
    written = chain.write_snapshot(DAY, state, "before", "forcing")
    read, record = chain.read_snapshot(DAY)
    np.testing.assert_array_equal(read.h, state.h)
    np.testing.assert_array_equal(read.c, state.c)
    assert record == written == chain.read_record(DAY)
    assert record.day == DAY
    assert record.chain_id == chain.root.chain_id
    assert record.content_hash == state.content_hash
    assert (record.hash_before, record.forcing_fingerprint) == ("before", "forcing")
    assert record.spin_up_age == 17
    assert sorted(p.name for p in chain.folder.iterdir()) == ["20200517.safetensors", "chain.json"]


def test_days_and_the_newest_before(chain: Chain):
    assert chain.newest_before(DAY) is None
    for offset in (0, 1, 3):
        chain.write_snapshot(DAY + timedelta(offset), _state(offset), "", "")
    assert chain.days() == [DAY, DAY + timedelta(1), DAY + timedelta(3)]
    assert chain.newest_before(DAY) is None
    assert chain.newest_before(DAY + timedelta(3)) == DAY + timedelta(1)
    assert chain.newest_before(DAY + timedelta(99)) == DAY + timedelta(3)


def test_a_day_before_the_cold_start_or_without_snapshot_is_refused(chain: Chain):
    with pytest.raises(StateError, match="starts cold on 2020-05-01"):
        chain.write_snapshot(date(2020, 4, 30), _state(1), "", "")
    with pytest.raises(StateError, match="no snapshot of 2020-05-17"):
        chain.read_snapshot(DAY)


def test_the_same_snapshot_is_left_and_another_one_replaces_it(chain: Chain):
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    first = chain.path(DAY).stat()
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    assert chain.path(DAY).stat().st_ino == first.st_ino
    revised = chain.write_snapshot(DAY, _state(2), "before", "revised")
    assert chain.read_snapshot(DAY)[1] == revised
    assert chain.path(DAY).stat().st_ino != first.st_ino
    # The same state from another forcing is another record.
    assert chain.write_snapshot(DAY, _state(2), "before", "third") == chain.read_record(DAY)


@pytest.mark.parametrize(
    "part",
    [b'"F16"', b'"__metadata__"', b"hash_before", b"chain_id", b"20-05-17", b"record_sha256"],
)
def test_a_changed_header_is_detected_and_healed_by_writing_again(chain: Chain, part: bytes):
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    raw = chain.path(DAY).read_bytes()
    assert part in raw
    _damage(chain, raw.index(part) + 3)


@pytest.mark.parametrize("where", [0, -1, -900])
def test_a_changed_byte_is_detected_and_healed_by_writing_again(chain: Chain, where: int):
    """The length of the header, the end of the data, and a place inside them."""
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    _damage(chain, where)


def _damage(chain: Chain, where: int) -> None:
    raw = bytearray(chain.path(DAY).read_bytes())
    raw[where] ^= 1
    chain.path(DAY).write_bytes(raw)
    with pytest.raises(StateError, match=r"20200517\.safetensors is refused") as e:
        chain.read_snapshot(DAY)
    assert "\n" not in str(e.value)
    assert "remove it" in str(e.value)
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    assert chain.read_snapshot(DAY)[0].content_hash == _state(1).content_hash


def test_a_short_snapshot_is_refused(chain: Chain):
    chain.write_snapshot(DAY, _state(1), "", "")
    os.truncate(chain.path(DAY), chain.path(DAY).stat().st_size // 2)
    with pytest.raises(StateError, match="not a readable snapshot"):
        chain.read_snapshot(DAY)


def test_a_snapshot_of_another_day_or_chain_is_refused(chain: Chain):
    chain.write_snapshot(DAY, _state(1), "", "")
    tomorrow = DAY + timedelta(1)
    chain.path(DAY).rename(chain.path(tomorrow))
    with pytest.raises(StateError, match="day 2020-05-17"):
        chain.read_record(tomorrow)
    other = open_chain(chain.folder.parent, chain.root.model_copy(update={"domain": "global"}))
    chain.path(tomorrow).rename(other.path(DAY))
    with pytest.raises(StateError, match=f"of chain {chain.root.chain_id}"):
        other.read_snapshot(DAY)


def test_a_kill_in_the_middle_of_writing_leaves_the_older_snapshot(chain: Chain):
    """The process dies after the bytes are written and before the rename."""
    chain.write_snapshot(DAY, _state(1), "before", "forcing")
    script = f"""
        import os, signal, sys
        from datetime import date
        from pathlib import Path
        import numpy as np
        from msm.model.state import ChainRoot, State, open_chain
        root = ChainRoot.model_validate_json({chain.root.model_dump_json()!r})
        chain = open_chain(Path({str(chain.folder.parent)!r}), root)
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        chain.write_snapshot(date(2020, 5, 17), State.zeros(50, 8), "", "")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(chain.folder.glob(".*.tmp"))) == 1
    assert chain.days() == [DAY]
    assert chain.read_snapshot(DAY)[0].content_hash == _state(1).content_hash


def test_a_write_that_fails_leaves_nothing_behind(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        chain.write_snapshot(DAY, _state(1), "", "")
    assert [p.name for p in chain.folder.iterdir()] == ["chain.json"]
