"""Backfill and replay over stored forcing: sameness, kills, what is remade and what stays."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from distributed import LocalCluster

from msm.archive import store
from msm.archive.layers import LAYERS
from msm.errors import MsmError
from msm.fields import cell_fields
from msm.model.checkpoint import WEIGHTS, load_checkpoint, make_checkpoint, save_checkpoint
from msm.operations.backfill import backfill, days_after, days_between, days_of_file, plan
from msm.operations.daily import daily
from msm.pipeline import advance as advancing
from msm.pipeline import executor as executors
from msm.pipeline.chains import open_chain
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.ledger import stale_days
from msm.pipeline.run import Run
from msm.settings import Settings
from tests.ensembles import ensemble_of
from tests.made_up import BOX, files, store_weather, weather

pytestmark = pytest.mark.long

FIRST = date(2016, 7, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(12)]
WANTED = DAYS[2:]
NOW = datetime(2016, 9, 1, tzinfo=UTC)
IN_THIS_PROCESS = {
    "processes": False,
    "protocol": "tcp://",
    "host": "127.0.0.1",
    "dashboard_address": None,
}
MSM = Path(sys.executable).parent / "msm"


@pytest.fixture(scope="module")
def store_of_forcing(cache, readers, tmp_path_factory):
    """A work folder with the forcing of twelve days, and the statics."""
    return store_weather(tmp_path_factory.mktemp("stored"), DAYS, cache, readers)


@pytest.fixture(scope="module")
def site(store_of_forcing, cache, readers):
    """Make sites with the forcing of twelve days in store."""

    def make(folder):
        shutil.copytree(store_of_forcing, folder / "work")
        return Run(
            Settings(
                work=folder / "work",
                archive=folder / "archive",
                domain=BOX,
                mirror=cache,
                spin_up_days=2,
                anchor_days=4,
            ),
            readers,
        )

    return make


def make(run, days=WANTED, replace="missing", executor=None):
    return backfill(run, days, replace, executor or SerialExecutor(run), NOW)


def shas(run):
    archive = run.settings.archive
    return {day: store.read_item(archive, BOX, day).sha256 for day in WANTED}


@pytest.fixture(scope="module")
def reference(site, tmp_path_factory):
    """Every day made by the daily job, one after the other."""
    run = site(tmp_path_factory.mktemp("reference"))
    for day in WANTED:
        daily(run, day, NOW)
    made = files(run)
    assert list(made) == WANTED
    return made


def test_daily_and_backfill_alone_make_the_same_files(site, tmp_path, reference):
    run = site(tmp_path)
    report = make(run)
    assert list(report.published) == WANTED
    assert report.days_run == len(DAYS)
    assert files(run) == reference
    again = make(run)
    assert (again.days_run, again.published) == (0, {})


@pytest.mark.parametrize(("workers", "blocks"), [(1, 1), (2, 2), (2, 5)])
def test_any_number_of_workers_and_blocks_makes_the_same_files(
    site, tmp_path, reference, workers, blocks
):
    run = site(tmp_path)
    with executors.local_cluster(run.settings, workers) as executor:
        executor.blocks = blocks
        assert list(make(run, executor=executor).published) == WANTED
    assert files(run) == reference


def test_an_ensemble_makes_the_same_files_day_by_day_and_in_blocks(site, tmp_path):
    card = tmp_path / "ensemble.json"
    save_checkpoint(card, ensemble_of(load_checkpoint(WEIGHTS / "first.json").card))
    each, whole = (
        Run(run.settings.model_copy(update={"checkpoint": card}), run.readers)
        for run in (site(tmp_path / "each"), site(tmp_path / "whole"))
    )
    days = WANTED[:4]
    for day in days:
        daily(each, day, NOW)
    with executors.local_cluster(whole.settings, 2) as executor:
        executor.blocks = 5
        assert list(make(whole, days, executor=executor).published) == days
    made = files(each)
    assert files(whole) == made
    assert list(made[days[0]][1]) == [layer.name for layer in LAYERS]


def test_a_spin_up_is_one_way_through_the_days(site, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(advancing, "KEPT_DAYS", 2)
    near = site(tmp_path)
    far = near.settings.model_copy(update={"spin_up_days": len(DAYS) - 1})
    run = Run(far, near.readers)
    with executors.local_cluster(run.settings, 2) as executor:
        assert make(run, DAYS[-1:], executor=executor).days_run == len(DAYS)
    assert not [record for record in caplog.records if record.name.startswith("msm")]


@pytest.mark.fault("kill -9 of a worker")
def test_a_worker_that_is_killed_changes_nothing(site, tmp_path, reference):
    run = site(tmp_path)
    killed = []

    def kill_one(what, done, total):
        if done == 5:
            # The workers are the children of this process's nannies.
            victim = executor.client.run(os.getpid)
            killed.append(next(iter(victim.values())))
            os.kill(killed[0], signal.SIGKILL)

    with executors.local_cluster(run.settings, 2) as executor:
        backfill(run, WANTED, "missing", executor, NOW, kill_one)
    assert killed
    assert files(run) == reference


@contextmanager
def another_process(settings, maps):
    """Let `msm backfill` make so many maps of the wanted days, in a process group of its own."""
    environment = os.environ | {
        "MSM_WORK": str(settings.work),
        "MSM_ARCHIVE": str(settings.archive),
        "MSM_DOMAIN": BOX,
        "MSM_MIRROR": str(settings.mirror),
        "MSM_SPIN_UP_DAYS": "2",
        "MSM_ANCHOR_DAYS": "4",
    }
    command = [MSM, "backfill", str(WANTED[0]), str(WANTED[-1]), "--workers", "1"]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        while process.poll() is None and len(store.published_days(settings.archive, BOX)) < maps:
            pass
        yield process


@pytest.mark.fault("kill -9 of a backfill")
def test_a_backfill_that_is_killed_goes_on_where_it_was(site, tmp_path, reference):
    run = site(tmp_path)
    with another_process(run.settings, maps=3) as process:
        process.kill()
    there = store.published_days(run.settings.archive, BOX)
    assert 3 <= len(there) < len(WANTED)
    report = make(run, replace="changed")
    assert set(report.published) >= set(WANTED) - set(there)
    assert files(run) == reference


@pytest.mark.fault("Ctrl-C")
def test_an_interrupt_costs_at_most_the_day_in_hand(site, tmp_path, reference):
    run = site(tmp_path)
    with another_process(run.settings, maps=3) as process:
        # As a terminal does at Ctrl-C: to the workers as well.
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in said, said
    chain = open_chain(run, WANTED[0])
    last = chain.recorded_days()[-1]
    assert last < WANTED[-1]
    assert last in chain.days()
    # What has a record and was wanted is published.
    there = store.published_days(run.settings.archive, BOX)
    assert set(chain.recorded_days()) & set(WANTED) - set(there) <= {last}
    assert make(run).days_run == (WANTED[-1] - last).days
    assert files(run) == reference


def test_a_revised_day_remakes_the_days_that_follow_it_and_no_other(site, tmp_path):
    run = site(tmp_path)
    make(run)
    before = shas(run)
    revised = WANTED[4]
    cell_fields.write(run.workspace.forcing(revised), weather(run, revised, seed=1))

    chain = open_chain(run, revised)
    stale, after = stale_days(run, chain.root.chain_id)
    assert stale == {revised: "its forcing has changed"}
    assert after == WANTED[5:]
    asked = plan(run, WANTED, "changed", NOW)
    assert (list(asked.why), days_after(run, asked)) == ([revised], WANTED[5:])

    report = make(run, replace="changed")
    assert list(report.published) == WANTED[4:]
    changed = shas(run)
    assert {day for day in WANTED if changed[day] != before[day]} == set(WANTED[4:])
    assert stale_days(run, chain.root.chain_id) == ({}, [])
    # The same as if it had been so from the beginning.
    fresh = site(tmp_path / "fresh")
    cell_fields.write(fresh.workspace.forcing(revised), weather(run, revised, seed=1))
    make(fresh)
    assert files(run) == files(fresh)


def test_a_replay_ends_where_the_state_is_the_same_again(site, tmp_path):
    run = site(tmp_path)
    make(run)
    before = shas(run)
    revised = WANTED[4]
    # The network does not look at the wind.
    cell_fields.write(run.workspace.forcing(revised), weather(run, revised, wind=9.0))
    report = make(run, replace="changed")
    assert list(report.published) == [revised]
    changed = shas(run)
    assert {day for day in WANTED if changed[day] != before[day]} == {revised}


def test_what_a_killed_replay_left_is_found_and_finished(site, tmp_path):
    run = site(tmp_path)
    make(run)
    cell_fields.write(run.workspace.forcing(WANTED[2]), weather(run, WANTED[2], seed=1))

    class Killed(Exception):
        pass

    def kill(what, done, total):
        if what == str(WANTED[5]):
            raise Killed

    with pytest.raises(Killed):
        backfill(run, WANTED, "changed", SerialExecutor(run), NOW, kill)
    stale, _ = stale_days(run, open_chain(run, WANTED[0]).root.chain_id)
    assert stale == {WANTED[6]: f"{WANTED[5]} has another state by now"}
    report = make(run, replace="changed")
    # The day in hand had its record, not its map.
    assert list(report.published) == WANTED[5:]
    fresh = site(tmp_path / "fresh")
    cell_fields.write(fresh.workspace.forcing(WANTED[2]), weather(run, WANTED[2], seed=1))
    make(fresh)
    assert files(run) == files(fresh)


def test_the_daily_run_replays_within_its_window_and_lists_what_is_older(site, tmp_path):
    run = site(tmp_path)
    make(run, WANTED[:-1])
    before = shas_of(run, WANTED[:-1])
    old, young = WANTED[1], WANTED[6]
    for day in (old, young):
        cell_fields.write(run.workspace.forcing(day), weather(run, day, seed=1))
    near = Run(run.settings.model_copy(update={"replay_days": 4}), run.readers)
    assert daily(near, WANTED[-1], NOW).changed
    after = shas_of(run, WANTED[:-1])
    assert [day for day in before if before[day] != after[day]] == WANTED[6:-1]
    stale, _ = stale_days(run, open_chain(run, old).root.chain_id)
    assert stale == {old: "its forcing has changed"}


def shas_of(run, days):
    return {day: store.read_item(run.settings.archive, BOX, day).sha256 for day in days}


@pytest.mark.fault("corrupt snapshot")
def test_a_snapshot_that_its_chain_does_not_vouch_for_is_never_used(
    site, tmp_path, reference, caplog, sentence
):
    run = site(tmp_path)
    make(run, WANTED[:-1])
    chain = open_chain(run, WANTED[0])
    newest = chain.days()[-1]
    assert newest == WANTED[-2]
    # A state of the chain, but of another day.
    chain.path(newest).write_bytes(chain.path(chain.days()[-2]).read_bytes())
    make(run)
    assert re.search(sentence, caplog.text)
    assert f"{newest:%Y%m%d}.h5 is not the state that its record names" in caplog.text
    assert f"`msm backfill {newest} {newest} --replace all` makes it again" in caplog.text
    assert files(run) == reference


def test_missing_maps_are_made_again_and_the_others_left(site, tmp_path, reference):
    run = site(tmp_path)
    make(run)
    for day in (WANTED[1], WANTED[7]):
        item = store.read_item(run.settings.archive, BOX, day)
        item.path.unlink()
        item.item.unlink()
    report = make(run)
    assert list(report.published) == [WANTED[1], WANTED[7]]
    # From the snapshot before the one to the one before the other, nothing was run.
    assert report.days_run < len(WANTED)
    assert files(run) == reference


def test_all_is_made_again_and_found_the_same(site, tmp_path):
    run = site(tmp_path)
    make(run)
    before = shas(run)
    assert make(run, replace="all").unchanged.keys() == set(WANTED)
    assert shas(run) == before


def test_days_of_another_checkpoint_are_not_mixed_in(site, tmp_path):
    run = site(tmp_path)
    make(run, WANTED[:2])
    shipped = run.checkpoint
    other = tmp_path / "second.json"
    card = shipped.card.model_copy(update={"name": "second"})
    save_checkpoint(other, make_checkpoint(card, shipped.weights))
    changed = Run(run.settings.model_copy(update={"checkpoint": other}), run.readers)
    said = f"2 of the days, {WANTED[0]} the first, are published .* multiscale 1, not of second 1"
    with pytest.raises(MsmError, match=said):
        make(changed)
    # A new chain aside; the old one stays, and is found again.
    assert list(make(changed, WANTED[:3], "all").published) == WANTED[:3]
    assert len(list(run.workspace.chains.glob("*/chain.json"))) == 2
    assert list(make(run, WANTED[:3], "all").published) == WANTED[:3]


def test_the_daily_run_works_beside_a_backfill(site, tmp_path, reference):
    run = site(tmp_path)
    # So that its day belongs to the chain that the backfill has just begun.
    far = Run(run.settings.model_copy(update={"spin_up_days": 30}), run.readers)

    def beside(what, done, total):
        if what == str(WANTED[3]):
            daily(far, WANTED[-1], NOW)

    report = backfill(run, WANTED[:8], "missing", SerialExecutor(run), NOW, beside)
    # The day in hand may have been published by the one or the other.
    assert sorted(report.published | report.unchanged) == WANTED[:8]
    make(run)
    assert files(run) == reference


def test_decades_may_be_split_in_time(site, tmp_path):
    run = site(tmp_path)
    make(run, WANTED[:1])
    make(run, WANTED[-1:])
    first, second = (open_chain(run, day).root.cold_start for day in (WANTED[0], WANTED[-1]))
    assert (first, second) == (WANTED[0] - timedelta(2), WANTED[-1] - timedelta(2))


@pytest.mark.fault("a second backfill")
def test_a_second_backfill_is_kept_away(site, tmp_path, sentence):
    run = site(tmp_path)

    def second(what, done, total):
        with pytest.raises(MsmError, match=sentence):
            make(run)

    report = backfill(run, WANTED[:1], "missing", SerialExecutor(run), NOW, second)
    assert list(report.published) == WANTED[:1]


def test_a_map_that_is_refused_stops_no_other(site, tmp_path):
    run = site(tmp_path)
    make(run)
    young = datetime(2016, 7, 14, 12, tzinfo=UTC)
    day = WANTED[-1]
    cell_fields.write(run.workspace.forcing(day), weather(run, day, seed=1))
    report = backfill(run, WANTED, "changed", SerialExecutor(run), young)
    assert list(report.errors) == [day]
    assert "published as final and is not replaced by a provisional map" in str(report.errors[day])


def test_the_end_before_the_start_and_the_future_are_refused():
    with pytest.raises(MsmError, match="END 2016-06-01 lies before START 2016-06-02"):
        days_between(date(2016, 6, 2), date(2016, 6, 1), NOW)
    with pytest.raises(MsmError, match="2016-09-01 has not ended"):
        days_between(date(2016, 6, 2), date(2016, 9, 1), NOW)


def test_a_list_of_days(tmp_path):
    path = tmp_path / "gaps.txt"
    path.write_text(f"# gaps\n{WANTED[3]}\n\n{WANTED[1]}  # twice\n{WANTED[1]}\n")
    assert days_of_file(path, WANTED) == [WANTED[1], WANTED[3]]
    path.write_text(f"{WANTED[3]}\n2016-13-01\n")
    with pytest.raises(MsmError, match=r"Line 2 of .*gaps.txt is '2016-13-01', not a day"):
        days_of_file(path, WANTED)
    path.write_text("2015-01-01\n")
    with pytest.raises(MsmError, match="2015-01-01 is not between START and END"):
        days_of_file(path, WANTED)
    with pytest.raises(MsmError, match="cannot be read as a list of days"):
        days_of_file(tmp_path / "none", WANTED)


@pytest.mark.fault("dask scheduler gone")
def test_a_scheduler_that_does_not_answer(settings, monkeypatch, sentence):
    monkeypatch.setattr(executors, "SCHEDULER_SECONDS", 1)
    with (
        pytest.raises(MsmError, match=sentence),
        executors.remote_cluster(settings, "tcp://127.0.0.1:9"),
    ):
        pass


def test_the_workers_of_a_scheduler(site, tmp_path, reference):
    run = site(tmp_path)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, **IN_THIS_PROCESS) as cluster,
        executors.remote_cluster(run.settings, cluster.scheduler_address) as executor,
    ):
        make(run, executor=executor)
    assert files(run) == reference
    with (
        LocalCluster(n_workers=0, **IN_THIS_PROCESS) as cluster,
        pytest.raises(MsmError, match="has no workers: start them with `dask worker"),
        executors.remote_cluster(run.settings, cluster.scheduler_address),
    ):
        pass


@pytest.mark.fault("disk full while storing a day")
@pytest.mark.parametrize("limit", [1000, 200_000])
def test_a_full_disk_is_one_sentence_and_loses_nothing(site, tmp_path, limit, sentence):
    run = site(tmp_path)
    make(run, WANTED[:3])
    before = files(run)
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "from msm.cli.main import main; main()"
    )
    settings = run.settings
    environment = os.environ | {
        "MSM_WORK": str(settings.work),
        "MSM_ARCHIVE": str(settings.archive),
        "MSM_DOMAIN": BOX,
        "MSM_MIRROR": str(settings.mirror),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, "daily", "--date", str(WANTED[3])],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(sentence, done.stderr)
    assert "Traceback" not in done.stderr
    assert files(run) == before
    make(run)
    assert list(files(run)) == WANTED
