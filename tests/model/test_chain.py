import os
import signal
import subprocess
import sys
import textwrap
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


def _put(chain: Chain, day: date, state: State, before: str | None = None, forcing: str = ""):
    """Store a day's state and its record, on top of what is recorded of the day before."""
    eve = day - timedelta(1)
    if before is None:
        recorded = eve in chain.recorded_days()
        before = chain.read_record(eve).content_hash if recorded else "before"
    chain.write_snapshot(day, [deflate(state)])
    return chain.write_record(day, state.content_hash, before, forcing)


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
    written = _put(chain, DAY, state, "before", "forcing")
    read, record = chain.read_snapshot(DAY)
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


def test_days_and_the_newest_before(chain: Chain):
    assert chain.newest_before(DAY) is None
    for offset in (0, 1, 3):
        _put(chain, DAY + timedelta(offset), _state(offset))
    assert chain.days() == [DAY, DAY + timedelta(1), DAY + timedelta(3)]
    assert chain.newest_before(DAY) is None
    assert chain.newest_before(DAY + timedelta(3)) == DAY + timedelta(1)
    assert chain.newest_before(DAY + timedelta(99)) == DAY + timedelta(3)


def test_a_day_before_the_cold_start_or_without_snapshot_is_refused(chain: Chain):
    with pytest.raises(StateError, match="starts cold on 2020-05-01"):
        _put(chain, date(2020, 4, 30), _state(1))
    with pytest.raises(StateError, match="has not run 2020-05-17"):
        chain.read_snapshot(DAY)
    chain.write_record(DAY, "after", "before", "forcing")
    with pytest.raises(StateError, match="no snapshot of 2020-05-17"):
        chain.read_snapshot(DAY)


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
    assert chain.read_snapshot(DAY)[1] == revised
    assert chain.read_snapshot(DAY)[0].content_hash == _state(2).content_hash


@pytest.mark.fault("two daily runs and a backfill at once")
def test_a_record_on_top_of_another_state_of_the_day_before_is_refused(chain: Chain, sentence: str):
    _put(chain, DAY, _state(1))
    tomorrow = DAY + timedelta(1)
    chain.write_record(tomorrow, "after", _state(1).content_hash, "forcing")
    _put(chain, DAY, _state(2))
    with pytest.raises(StateError, match=sentence):
        chain.write_record(tomorrow, "after", _state(1).content_hash, "forcing")


def test_a_block_is_read_alone(chain: Chain):
    state = _state(1, 3000)
    chain.write_snapshot(DAY, [deflate(state)])
    for block in (slice(0, 1024), slice(1024, 3000), slice(0, 3000)):
        part = chain.read_block(DAY, block)
        np.testing.assert_array_equal(part.h, state.h[block])
        np.testing.assert_array_equal(part.c, state.c[block])


@pytest.mark.parametrize("part", ["hash_before", "chain_id", "20-05-17", "sha256", "forcing"])
def test_a_changed_record_is_detected_and_healed_by_writing_again(chain: Chain, part: str):
    _put(chain, DAY, _state(1), "before", "forcing")
    text = chain.record_path(DAY).read_text()
    assert part in text
    chain.record_path(DAY).write_text(text.replace(part, part[:-1] + "X", 1))
    with pytest.raises(StateError, match=r"records/20200517\.json is refused") as e:
        chain.read_snapshot(DAY)
    assert "remove it" in str(e.value)
    _put(chain, DAY, _state(1), "before", "forcing")
    assert chain.read_snapshot(DAY)[0].content_hash == _state(1).content_hash


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_byte_of_a_snapshot_is_never_taken_for_the_state(chain: Chain, seed: int):
    _put(chain, DAY, _state(1), "before", "forcing")
    raw = bytearray(chain.path(DAY).read_bytes())
    raw[np.random.default_rng(seed).integers(len(raw))] ^= 1
    chain.path(DAY).write_bytes(raw)
    try:
        read = chain.read_snapshot(DAY)[0]
    except StateError as error:
        said = str(error)
    else:
        # A byte that nothing reads may change.
        assert read.content_hash == _state(1).content_hash
        said = "20200517.h5 is refused, remove it"
    assert "20200517.h5 is refused" in said
    assert "remove it" in said
    _put(chain, DAY, _state(1), "before", "forcing")
    assert chain.read_snapshot(DAY)[0].content_hash == _state(1).content_hash


def test_a_snapshot_that_is_not_the_one_of_its_record_is_refused(chain: Chain):
    """As a run leaves it that was killed between the two."""
    _put(chain, DAY, _state(1), "before", "forcing")
    chain.write_record(DAY, _state(2).content_hash, "before", "revised")
    with pytest.raises(StateError, match="not have the content that its record names"):
        chain.read_snapshot(DAY)


def test_a_short_snapshot_is_refused(chain: Chain):
    _put(chain, DAY, _state(1))
    os.truncate(chain.path(DAY), chain.path(DAY).stat().st_size // 2)
    with pytest.raises(StateError, match="not a readable snapshot"):
        chain.read_snapshot(DAY)


def test_a_snapshot_of_another_day_or_chain_is_refused(chain: Chain):
    _put(chain, DAY, _state(1))
    tomorrow = DAY + timedelta(1)
    chain.record_path(DAY).rename(chain.record_path(tomorrow))
    with pytest.raises(StateError, match="day 2020-05-17"):
        chain.read_record(tomorrow)
    other = open_chain(chain.folder.parent, chain.root.model_copy(update={"domain": "global"}))
    other.record_path(DAY).parent.mkdir()
    chain.record_path(tomorrow).rename(other.record_path(DAY))
    with pytest.raises(StateError, match=f"of chain {chain.root.chain_id}"):
        other.read_snapshot(DAY)


@pytest.mark.fault("kill -9 at every step")
def test_a_kill_in_the_middle_of_writing_leaves_the_older_snapshot(chain: Chain):
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
    assert chain.read_snapshot(DAY)[0].content_hash == _state(1).content_hash


def test_a_write_that_fails_leaves_nothing_behind(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MsmError, match="No space"):
        _put(chain, DAY, _state(1))
    assert [p.name for p in chain.folder.iterdir()] == ["chain.json"]


@given(
    offsets=st.sets(st.integers(0, 400), min_size=1),
    unvouched=st.sets(st.integers(0, 400)),
    later=st.integers(0, 30),
    state_days=st.integers(1, 40),
    anchor_days=st.integers(1, 60),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_what_stays_of_a_chain_begins_every_day_near(
    offsets, unvouched, later, state_days, anchor_days, data
):
    start = date(2020, 1, 1)
    days = [start + timedelta(n) for n in sorted(offsets)]
    vouched = [start + timedelta(n) for n in sorted(offsets - unvouched)]
    newest = days[-1] + timedelta(later)
    chain = _Listed(start, days, vouched)
    prunable = chain.prunable(newest, state_days, anchor_days)
    # A prune that is killed on the way removes any of them.
    gone = set(data.draw(st.lists(st.sampled_from(prunable)))) if prunable else set()

    def begins(day, states):
        eve_of_cold_start = start - timedelta(1)
        return max({eve_of_cold_start, *(s for s in states if s < day)})

    for day in (start + timedelta(n) for n in range((newest - start).days + 1)):
        before = begins(day, vouched)
        for removed in (set(prunable), gone):
            after = begins(day, set(vouched) - removed)
            assert (day - after).days <= max(anchor_days, (day - before).days)
            if day > newest - timedelta(state_days) and (day - before).days == 1:
                assert after == before
    assert days[-1] not in prunable
    # What was pruned stays so: the next prune finds nothing more.
    left = [day for day in days if day not in prunable]
    again = _Listed(start, left, [day for day in left if day in vouched])
    assert again.prunable(newest, state_days, anchor_days) == []


class _Listed(Chain):
    """A chain that knows its days without a disk."""

    def __init__(self, cold_start, days, vouched):
        root = ChainRoot.model_construct(cold_start=cold_start)
        super().__init__(root, Path())
        object.__setattr__(self, "listed", (days, vouched))

    def days(self):
        return self.listed[0]

    def record_path(self, day):
        return Path(__file__ if day in self.listed[1] else "not there")
