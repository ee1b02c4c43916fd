import os
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import msm
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.model.chain import ChainRoot, open_chain
from msm.model.checkpoint import save_checkpoint
from msm.operations import prune
from msm.operations.daily import daily
from msm.pipeline.run import Run
from tests.ensembles import informed_of
from tests.site_fixture import DAYS, NOW

TODAY = datetime(2016, 8, 1, tzinfo=UTC)
"""No granule of the days around June 3 is revised any more."""
NEWEST = date(2016, 6, 3)
LATER = TODAY + timedelta(days=400)


@pytest.fixture
def run(settings, readers):
    """A run of a work folder that other tests do not have, downloaded granules in it."""
    return Run(settings.model_copy(update={"mirror": None, "state_days": 2}), readers)


def put(path, when=TODAY - timedelta(days=30), content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    age(path, when)
    return path


def age(path, when):
    for entry in (path, *path.rglob("*")):
        os.utime(entry, (when.timestamp(), when.timestamp()))


def nldas(run, stamp):
    name = f"NLDAS_FORA0125_H.A{stamp:%Y%m%d.%H%M}.020.nc"
    return run.settings.work / "granules" / "NLDAS_FORA0125_H.2.0" / name


def chain_of(run, **changes):
    root = ChainRoot(
        cold_start=date(2016, 1, 1),
        checkpoint_sha256=run.checkpoint.sha256,
        domain=run.domain.name,
        mask_sha256=run.domain.mask_sha256,
        statics_sha256="c" * 64,
        processing_version=msm.PROCESSING_VERSION,
    )
    return open_chain(run.workspace.chains, root.model_copy(update=changes))


def filled(chain, days=100, last=NEWEST, when=TODAY - timedelta(days=30)):
    """Give a chain the files of many days; what is in them does not matter here."""
    for number in range(days):
        day = last - timedelta(days=number)
        put(chain.path(day))
        put(chain.record_path(day))
        put(chain.folder / f"{day:%Y%m%d}-prediction.nc")
    age(chain.folder, when)
    return chain


def going(run, now=TODAY):
    """Paths that would go, by kind."""
    found = {}
    for item in prune.plan(run, now):
        found.setdefault(item.kind, set()).add(item.path)
    return found


def everything(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def test_nothing_goes_from_an_empty_folder(run):
    assert prune.plan(run, TODAY) == []
    assert prune.remove([]) == []
    assert prune.totals([]) == []


def test_granules_go_when_their_days_are_made_old_and_final(run):
    midnight = datetime(2016, 5, 1, tzinfo=UTC)
    files = [put(nldas(run, midnight + timedelta(hours=n))) for n in range(49)]
    for day in (date(2016, 5, 1), NEWEST):
        put(run.workspace.forcing(day))
    # Of 00Z on May 1 the day before was not made; 00Z on May 2 is needed for May 2.
    assert going(run)["granules"] == set(files[1:24])
    put(run.workspace.forcing(date(2016, 5, 2)))
    assert going(run)["granules"] == set(files[1:48])
    shorter = run.settings.model_copy(update={"granule_days": 32})
    assert going(Run(shorter, run.readers))["granules"] == set(files[1:24])
    assert "granules" not in going(run, datetime(2016, 5, 30, tzinfo=UTC))
    # A run fetches them again at this moment.
    os.utime(files[5])
    assert going(run, datetime.now(UTC))["granules"] == {*files[1:48]} - {files[5]}


def test_the_folder_that_is_read_in_place_of_earthdata_is_not_a_cache(run):
    put(nldas(run, datetime(2016, 4, 1, 5, tzinfo=UTC)))
    put(run.workspace.forcing(date(2016, 4, 1)))
    put(run.workspace.forcing(NEWEST))
    assert "granules" in going(run)
    for mirror in (run.settings.work, run.settings.work / "granules" / "NLDAS_FORA0125_H.2.0"):
        settings = run.settings.model_copy(update={"mirror": mirror})
        assert "granules" not in going(Run(settings, run.readers))


def test_snapshots_are_thinned_and_old_predictions_go(run):
    chain = filled(chain_of(run))
    gone = going(run)
    kept = {path.name for path in everything(chain.folder) - gone["snapshots"]}
    window = [NEWEST - timedelta(days=n) for n in range(3)]
    assert {f"{day:%Y%m%d}.h5" for day in window} <= kept
    assert sum(name.endswith(".h5") for name in kept) == 3 + 4
    assert gone["predictions"] == {
        path
        for path in chain.folder.glob("*-prediction.nc")
        if path.name < f"{min(window):%Y%m%d}-prediction.nc"
    }
    assert set(gone) == {"snapshots", "predictions"}


def test_a_chain_that_was_just_written_is_left_to_its_run(run):
    chain = filled(chain_of(run))
    age(chain.record_path(NEWEST), TODAY - timedelta(hours=1))
    assert going(run) == {}


def test_forcing_stays_unless_days_are_given_and_as_long_as_a_replay_needs_it(run):
    days = [NEWEST - timedelta(days=n) for n in range(100)]
    for day in days:
        put(run.workspace.forcing(day))
    filled(chain_of(run))
    assert "forcing" not in going(run)
    few = Run(run.settings.model_copy(update={"forcing_days": 50}), run.readers)
    assert going(few)["forcing"] == {run.workspace.forcing(day) for day in days[51:]}
    # The window begins with the day after the state that is kept two days before the newest.
    fewest = Run(run.settings.model_copy(update={"forcing_days": 1}), run.readers)
    assert going(fewest)["forcing"] == {run.workspace.forcing(day) for day in days[2:]}
    # Without states the spin-up needs it all.
    run.workspace.chains.rename(run.workspace.chains.with_name("elsewhere"))
    assert "forcing" not in going(fewest)


def test_retrievals_go_with_the_forcing_of_the_days_that_know_them(run, tmp_path):
    card = tmp_path / "informed.json"
    save_checkpoint(card, informed_of(run.checkpoint.card, lag_days=2, window_days=3))
    changes = {"checkpoint": card, "forcing_days": 50}
    run = Run(run.settings.model_copy(update=changes), run.readers)
    days = [NEWEST - timedelta(days=n) for n in range(100)]
    for day in days:
        put(run.workspace.forcing(day))
        put(run.workspace.retrieval(day - timedelta(days=2)))
    filled(chain_of(run))
    gone = going(run)
    assert gone["forcing"] == {run.workspace.forcing(day) for day in days[51:]}
    # The first day whose forcing is kept may know of the fourth day before it.
    assert gone["retrievals"] == {run.workspace.retrieval(day) for day in days[55:]} | {
        run.workspace.retrieval(days[-1] - timedelta(days=n)) for n in (1, 2)
    }
    everlasting = run.settings.model_copy(update={"forcing_days": None})
    assert "retrievals" not in going(Run(everlasting, run.readers))


def test_a_granule_of_smap_goes_when_its_retrievals_are_stored(run):
    day = date(2016, 4, 1)
    folder = run.settings.work / "granules" / "SPL3SMP_E.006"
    path = put(folder / f"SMAP_L3_SM_P_E_{day:%Y%m%d}_R19240_001.h5")
    put(run.workspace.forcing(NEWEST))
    assert "granules" not in going(run)
    put(run.workspace.retrieval(day))
    assert going(run)["granules"] == {path}


def test_old_chains_go_whole_and_the_one_in_use_never(run):
    in_use = filled(chain_of(run))
    others = [
        filled(chain_of(run, **{name: "d" * 64}))
        for name in ("checkpoint_sha256", "mask_sha256", "processing_version")
    ]
    assert "old chains" not in going(run)
    age(run.workspace.chains, LATER - timedelta(days=91))
    plan = prune.plan(run, LATER)
    (total,) = [total for total in prune.totals(plan) if total.kind == "old chains"]
    assert total == prune.Total("old chains", 3, total.size, date(2016, 2, 25), NEWEST)
    # Snapshots of a chain that goes are not counted twice.
    assert {item.path.parent for item in plan if item.kind == "snapshots"} == {in_use.folder}
    assert len(prune.remove(plan)) == len(plan)
    assert not any(chain.folder.exists() for chain in others)
    assert [path.name for path in run.workspace.chains.iterdir()] == [in_use.folder.name]
    assert in_use.path(NEWEST).exists()


def test_what_stands_on_another_mask_is_forgotten_as_an_old_chain_is(run):
    for kind in ("forcing", "retrievals"):
        put(
            run.settings.work
            / kind
            / f"{run.workspace.label[:-8]}00000000"
            / "2016"
            / "20160601.nc"
        )
    assert going(run, TODAY) == {}
    gone = going(run, LATER)
    assert (len(gone["forcing"]), len(gone["retrievals"])) == (1, 1)


def test_statics_say_which_chain_is_in_use_once_they_are_stored(run):
    filled(chain_of(run), when=LATER - timedelta(days=100))
    assert "old chains" not in going(run, LATER)
    n = run.domain.n_cell
    flags = cell_fields.np.zeros(n, bool)
    fields = CellFields(run.domain.mask_sha256, None, {}, {}, flags, (), flags)
    cell_fields.write(run.workspace.statics, fields)
    assert "old chains" in going(run, LATER)
    chain = filled(chain_of(run, statics_sha256=fields.sha256), when=LATER - timedelta(days=100))
    assert chain.folder not in going(run, LATER)["old chains"]


def test_what_msm_does_not_know_stays_and_keeps_its_chain(run, caplog):
    chain = filled(chain_of(run, processing_version="0"), when=TODAY)
    put(chain.folder / "notes.txt")
    put(run.settings.work / "notes.txt")
    put(nldas(run, TODAY).with_name("mine.nc"))
    put(run.settings.work / "granules" / "mine" / "a.nc")
    put(run.workspace.forcing(NEWEST).with_name("20169999.nc"))
    put(run.workspace.forcing(NEWEST).with_name(".mine.1@here.tmp"))
    put(run.settings.work / "states" / "conus-00000000" / "chain.json")
    before = everything(run.settings.work)
    plan = prune.plan(run, LATER)
    assert "old chains" not in {item.kind for item in plan}
    assert "notes.txt in it is not a file of msm" in caplog.text
    prune.remove(plan)
    assert before - everything(run.settings.work) == {item.path for item in plan}
    assert not any("mine" in item.path.name for item in plan)


def dead_pid():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    return ended.pid


def test_what_dead_processes_left_goes_and_what_living_ones_write_stays(run):
    chain = filled(chain_of(run), days=3)
    pid, living = dead_pid(), os.getppid()
    left = [
        put(chain.folder / f".20160602.h5.{pid}@here.tmp"),
        put(chain.folder / "records" / f".20160602.json.{pid}@here.tmp"),
        put(run.workspace.forcing(NEWEST).with_name(f".20160603.nc.{pid}@here.tmp")),
        put(run.workspace.retrieval(NEWEST).with_name(f".20160603.nc.{pid}@here.tmp")),
        put(run.workspace.statics.with_name(f".{run.workspace.statics.name}.{pid}@here.tmp")),
        put(nldas(run, TODAY).parent / f".incoming-{pid}" / "part").parent,
    ]
    age(run.settings.work, TODAY - timedelta(days=1))
    for path in left:
        put(Path(str(path).replace(str(pid), str(living))), TODAY - timedelta(days=1))
    assert going(run)["left-over files"] == set(left)
    age(run.settings.work, TODAY - timedelta(hours=1))
    assert going(run) == {}


def test_a_link_out_of_the_work_folder_is_never_followed(run, tmp_path):
    outside = tmp_path / "outside"
    files = [put(outside / "20150101.nc"), put(outside / "20150101.h5"), put(outside / "x.nc")]
    granules = nldas(run, TODAY).parent
    granules.parent.mkdir(parents=True)
    granules.symlink_to(outside)
    put(outside / nldas(run, datetime(2016, 4, 1, 5, tzinfo=UTC)).name)
    for day in (NEWEST, date(2016, 4, 1)):
        put(run.workspace.forcing(day))
    forcing = run.settings.work / "forcing" / run.workspace.label
    (forcing / "2015").symlink_to(outside)
    chain = filled(chain_of(run))
    chain.path(date(2016, 3, 3)).unlink()
    chain.path(date(2016, 3, 3)).symlink_to(files[1])
    old = filled(chain_of(run, processing_version="0"), when=TODAY)
    (old.folder / "records" / "20150101.json").symlink_to(files[2])
    settings = run.settings.model_copy(update={"forcing_days": 1})
    before = everything(outside)
    prune.remove(prune.plan(Run(settings, run.readers), LATER))
    assert everything(outside) == before
    assert chain.path(date(2016, 3, 3)).is_symlink()
    assert old.folder.exists()


def test_what_was_written_since_the_plan_stays(run, caplog):
    chain = filled(chain_of(run))
    plan = prune.plan(run, TODAY)
    chosen = next(item for item in plan if item.kind == "snapshots")
    chosen.path.write_bytes(b"another state")
    (other,) = [item for item in plan if item.path == chain.path(NEWEST - timedelta(days=20))]
    other.path.unlink()
    gone = prune.remove(plan)
    assert len(gone) == len(plan) - 2
    assert chosen.path.exists()
    assert f"{chosen.path} has changed since" in caplog.text


def test_a_prune_that_is_killed_is_finished_by_the_next(run):
    """Killed in the middle of an old chain: what is left is no chain, and goes."""
    old = filled(chain_of(run, processing_version="0"), days=5, when=LATER - timedelta(days=91))
    (item,) = prune.plan(run, LATER)
    script = f"""
        import os, shutil, signal
        from datetime import date
        from pathlib import Path
        from msm.operations import prune
        shutil.rmtree = lambda path: os.kill(os.getpid(), signal.SIGKILL)
        item = prune.Item("old chains", Path({str(item.path)!r}), None, None, 0, {item.written})
        prune.remove([item])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == -9
    assert not old.folder.exists()
    assert list(run.workspace.chains.glob("*/chain.json")) == []
    (left,) = prune.plan(run, LATER)
    assert left.kind == "left-over files"
    prune.remove([left])
    assert everything(run.workspace.chains) == set()


def test_a_day_is_made_again_in_one_step_after_a_prune(settings, readers):
    """The real thing: days are made, pruned beside, and made again as they were."""
    settings = settings.model_copy(update={"spin_up_days": 0})
    run = Run(settings, readers)
    first = {day: daily(run, day, NOW) for day in DAYS}
    archive = everything(settings.archive)
    age(settings.work, TODAY - timedelta(days=1))
    pruned = Run(settings.model_copy(update={"state_days": 1}), readers)
    gone = prune.remove(prune.plan(pruned, TODAY))
    assert [(item.kind, item.first) for item in gone] == [
        ("snapshots", DAYS[0]),
        ("predictions", DAYS[0]),
    ]
    assert everything(settings.archive) == archive
    (newest,) = settings.work.glob("states/*/*/20160603-prediction.nc")
    newest.unlink()
    steps = []
    for day in (DAYS[-1], DAYS[0]):
        again = daily(pruned, day, NOW, lambda *told: steps.append(told))
        assert (again.sha256, again.changed) == (first[day].sha256, False)
    assert [total for _, _, total in steps] == [1, 1]


def test_a_run_does_not_mind_a_prune_beside_it(settings, readers, tmp_path):
    """Not even one that takes it for long dead, after each of its days."""
    alone = daily(Run(settings, readers), DAYS[-1], NOW)
    beside = settings.model_copy(update={"work": tmp_path / "b", "archive": tmp_path / "c"})
    run = Run(beside.model_copy(update={"state_days": 1}), readers)
    told = []

    def progress(*_):
        told.append(len(prune.remove(prune.plan(run, LATER))))

    assert daily(run, DAYS[-1], NOW, progress).fingerprint == alone.fingerprint
    assert len(told) == 3
