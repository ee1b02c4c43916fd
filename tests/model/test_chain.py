import os
import signal
import subprocess
import sys
import textwrap
from bisect import bisect_left
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msm.errors import MsmError
from msm.model.chain import Chain, ChainRoot, StateError, open_chain
from msm.model.snapshot import deflate
from msm.model.state import State

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


def _read(chain: Chain) -> State:
    return chain.read_block(DAY, slice(0, 50))


def _put(chain: Chain, day: date, state: State, before: str | None = None, forcing: str = ""):
    """Store a day's state and its record, which continues that of the previous day."""
    previous = day - timedelta(1)
    if before is None:
        recorded = previous in chain.recorded_days()
        before = chain.read_record(previous).content_hash if recorded else "before"
    chain.write_snapshot(day, [deflate(state)])
    return chain.write_record(day, state.content_hash, before, forcing)


def test_a_chain_id_depends_on_each_part_of_the_provenance(root: ChainRoot, tmp_path: Path):
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


def test_a_snapshot_is_read_as_written(chain: Chain):
    state = _state(1)
    written = _put(chain, DAY, state, "before", "forcing")
    read, record = _read(chain), chain.read_record(DAY)
    np.testing.assert_array_equal(read.h, state.h)
    np.testing.assert_array_equal(read.c, state.c)
    assert record == written == chain.read_record(DAY)
    assert record.day == DAY
    assert record.chain_id == chain.root.chain_id
    assert record.content_hash == state.content_hash
    assert (record.hash_before, record.forcing_fingerprint) == ("before", "forcing")
    assert record.spin_up_age == 17
    assert sorted(p.name for p in chain.folder.iterdir()) == [
        ".lock",
        "20200517.h5",
        "chain.json",
        "records",
    ]


def test_days_with_a_snapshot_and_the_newest_before_a_day(chain: Chain):
    assert chain.newest_before(DAY) is None
    for offset in (0, 1, 3):
        _put(chain, DAY + timedelta(offset), _state(offset))
    assert chain.days() == [DAY, DAY + timedelta(1), DAY + timedelta(3)]
    assert chain.newest_before(DAY) is None
    assert chain.newest_before(DAY + timedelta(3)) == DAY + timedelta(1)
    assert chain.newest_before(DAY + timedelta(99)) == DAY + timedelta(3)


def test_days_before_the_cold_start_and_days_not_run_are_refused(chain: Chain):
    with pytest.raises(StateError, match="has its cold start on 2020-05-01"):
        _put(chain, date(2020, 4, 30), _state(1))
    with pytest.raises(StateError, match="has not run 2020-05-17"):
        chain.read_record(DAY)
    with pytest.raises(StateError, match=r"20200517\.h5 is refused"):
        _read(chain)


def test_a_day_is_recorded_without_its_state(chain: Chain):
    _put(chain, DAY, _state(1))
    tomorrow = DAY + timedelta(1)
    record = chain.write_record(tomorrow, "after", _state(1).content_hash, "forcing")
    assert chain.recorded_days() == [DAY, tomorrow]
    assert chain.days() == [DAY]
    assert chain.read_record(tomorrow) == record
    assert record.hash_before == chain.read_record(DAY).content_hash


def test_another_run_of_a_day_replaces_its_snapshot_and_record(chain: Chain):
    _put(chain, DAY, _state(1), "before", "forcing")
    revised = _put(chain, DAY, _state(2), "before", "revised")
    assert chain.read_record(DAY) == revised
    assert _read(chain).content_hash == _state(2).content_hash


@pytest.mark.fault("two daily runs and a backfill at once")
def test_a_record_after_another_state_of_the_previous_day_is_refused(chain: Chain, sentence: str):
    _put(chain, DAY, _state(1))
    tomorrow = DAY + timedelta(1)
    chain.write_record(tomorrow, "after", _state(1).content_hash, "forcing")
    _put(chain, DAY, _state(2))
    with pytest.raises(StateError, match=sentence):
        chain.write_record(tomorrow, "after", _state(1).content_hash, "forcing")


def test_a_block_of_tiles_is_read(chain: Chain):
    state = _state(1, 3000)
    chain.write_snapshot(DAY, [deflate(state)])
    for block in (slice(0, 1024), slice(1024, 3000), slice(0, 3000)):
        part = chain.read_block(DAY, block)
        np.testing.assert_array_equal(part.h, state.h[block])
        np.testing.assert_array_equal(part.c, state.c[block])


@pytest.mark.parametrize("part", ["hash_before", "chain_id", "20-05-17", "sha256", "forcing"])
def test_a_changed_record_is_refused_and_can_be_written_again(chain: Chain, part: str):
    _put(chain, DAY, _state(1), "before", "forcing")
    text = chain.record_path(DAY).read_text()
    assert part in text
    chain.record_path(DAY).write_text(text.replace(part, part[:-1] + "X", 1))
    with pytest.raises(StateError, match=r"records/20200517\.json is refused") as e:
        chain.read_record(DAY)
    assert "remove it" in str(e.value)
    written = _put(chain, DAY, _state(1), "before", "forcing")
    assert chain.read_record(DAY) == written


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_of_a_snapshot_is_detected(chain: Chain, seed: int):
    _put(chain, DAY, _state(1), "before", "forcing")
    raw = bytearray(chain.path(DAY).read_bytes())
    raw[np.random.default_rng(seed).integers(len(raw))] ^= 1
    chain.path(DAY).write_bytes(raw)
    try:
        read = _read(chain)
    except StateError as error:
        refused = str(error)
    else:
        # Bytes that are not read may change; other changes show in the hash.
        equal = read.h.tobytes() + read.c.tobytes() == _state(1).h.tobytes() + _state(1).c.tobytes()
        assert equal == (read.content_hash == chain.read_record(DAY).content_hash)
        refused = "20200517.h5 is refused, remove it"
    assert "20200517.h5 is refused" in refused
    assert "remove it" in refused
    _put(chain, DAY, _state(1), "before", "forcing")
    assert _read(chain).content_hash == _state(1).content_hash


def test_a_truncated_snapshot_is_refused(chain: Chain):
    _put(chain, DAY, _state(1))
    os.truncate(chain.path(DAY), chain.path(DAY).stat().st_size // 2)
    with pytest.raises(StateError, match="not a readable snapshot"):
        _read(chain)


def test_a_record_of_another_day_or_chain_is_refused(chain: Chain):
    _put(chain, DAY, _state(1))
    tomorrow = DAY + timedelta(1)
    chain.record_path(DAY).rename(chain.record_path(tomorrow))
    with pytest.raises(StateError, match="day 2020-05-17"):
        chain.read_record(tomorrow)
    other = open_chain(chain.folder.parent, chain.root.model_copy(update={"domain": "global"}))
    other.record_path(DAY).parent.mkdir()
    chain.record_path(tomorrow).rename(other.record_path(DAY))
    with pytest.raises(StateError, match=f"of chain {chain.root.chain_id}"):
        other.read_record(DAY)


@pytest.mark.fault("kill -9 at every step")
def test_a_kill_while_writing_keeps_the_older_snapshot(chain: Chain):
    """The process dies after the bytes are written and before the rename."""
    _put(chain, DAY, _state(1), "before", "forcing")
    script = f"""
        import os, signal, sys
        from datetime import date
        from pathlib import Path
        import numpy as np
        from msm.model.chain import ChainRoot, open_chain
        from msm.model.snapshot import deflate
        from msm.model.state import State
        root = ChainRoot.model_validate_json({chain.root.model_dump_json()!r})
        chain = open_chain(Path({str(chain.folder.parent)!r}), root)
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        chain.write_snapshot(date(2020, 5, 17), [deflate(State.zeros(50, 8))])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(chain.folder.glob(".*.tmp"))) == 1
    assert chain.days() == [DAY]
    assert _read(chain).content_hash == _state(1).content_hash


def test_a_failed_write_leaves_no_files(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MsmError, match="No space"):
        _put(chain, DAY, _state(1))
    assert [p.name for p in chain.folder.iterdir()] == ["chain.json"]


@given(
    offsets=st.sets(st.integers(0, 400), min_size=1),
    unrecorded=st.sets(st.integers(0, 400)),
    later=st.integers(0, 30),
    state_days=st.integers(1, 40),
    anchor_days=st.integers(1, 60),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_every_day_has_a_kept_snapshot_close_before_it(
    offsets, unrecorded, later, state_days, anchor_days, data
):
    start = date(2020, 1, 1)
    days = [start + timedelta(n) for n in sorted(offsets)]
    recorded = [start + timedelta(n) for n in sorted(offsets - unrecorded)]
    newest = days[-1] + timedelta(later)
    chain = _Listed(start, days, recorded)
    prunable = chain.prunable(newest, state_days, anchor_days)
    # An interrupted prune removes some of them.
    gone = set(data.draw(st.lists(st.sampled_from(prunable)))) if prunable else set()

    def begins(day, states):
        before_cold_start = start - timedelta(1)
        earlier = bisect_left(states, day)
        return states[earlier - 1] if earlier else before_cold_start

    for removed in (set(prunable), gone):
        kept = [day for day in recorded if day not in removed]
        for day in (start + timedelta(n) for n in range((newest - start).days + 1)):
            before, after = begins(day, recorded), begins(day, kept)
            assert (day - after).days <= max(anchor_days, (day - before).days)
            if day > newest - timedelta(state_days) and (day - before).days == 1:
                assert after == before
    assert days[-1] not in prunable
    # A second prune finds nothing more.
    left = [day for day in days if day not in prunable]
    again = _Listed(start, left, [day for day in left if day in recorded])
    assert again.prunable(newest, state_days, anchor_days) == []


class _Listed(Chain):
    """A chain with given days and no files."""

    def __init__(self, cold_start, days, recorded):
        root = ChainRoot.model_construct(cold_start=cold_start)
        super().__init__(root, Path())
        object.__setattr__(self, "listed", (days, recorded))

    def days(self):
        return self.listed[0]

    def record_path(self, day):
        return Path(__file__ if day in self.listed[1] else "not there")
