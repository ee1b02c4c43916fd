"""Each record, label and STAC item is read once in a run, and each published file hashed once."""

import hashlib
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import h5py
import pytest

from msm.operations.daily import daily
from msm.operations.scheduled_run import scheduled_run
from msm.pipeline.run import Run
from msm.settings import Settings
from tests.site_fixture import BOX, DAYS

NOW = datetime(2016, 6, 8, 12, tzinfo=UTC)
SMALL_FILES = ("records/*.json", "forcing/*/*/*.nc", "MSM-*[0-9].json")
"""The chain's records, the forcing whose labels are read, and the STAC items."""


class Reads:
    """Counts how often each version of a file is opened, and how often its bytes are hashed."""

    def __init__(self, monkeypatch):
        self.opened, self.hashed = Counter(), Counter()
        read, open_hdf5, digest = Path.open, h5py.File.__init__, hashlib.file_digest

        def open_path(path, mode="r", *arguments, **named):
            if "r" in mode:
                self.opened[self.version(path)] += 1
            return read(path, mode, *arguments, **named)

        def open_file(file, name, *arguments, **named):
            if isinstance(name, str | Path):
                self.opened[self.version(Path(name))] += 1
            return open_hdf5(file, name, *arguments, **named)

        def file_digest(file, *arguments, **named):
            self.hashed[self.version(Path(file.name))] += 1
            return digest(file, *arguments, **named)

        monkeypatch.setattr(Path, "open", open_path)
        monkeypatch.setattr(h5py.File, "__init__", open_file)
        monkeypatch.setattr(hashlib, "file_digest", file_digest)

    @staticmethod
    def version(path):
        return path, path.stat().st_ino if path.exists() else None

    def of(self, pattern):
        """Count the readings of the files that match, by version."""
        return {
            version: number for version, number in self.opened.items() if version[0].match(pattern)
        }


@pytest.fixture(scope="module")
def published(sandbox, readers, tmp_path_factory):
    """A site with all days but the last published, and one with all of them, without SMAP."""
    sandbox.reset()
    folder = tmp_path_factory.mktemp("published")
    smap = [f"SMAP_L3_SM_P_E_{day:%Y%m%d}_R19240_001.h5" for day in DAYS]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        for granule in smap:
            sandbox.withhold(granule)
        run = site(folder / "two", sandbox, readers)
        for day in DAYS[:-1]:
            daily(run, day, NOW)
        shutil.copytree(folder / "two", folder / "three")
        daily(site(folder / "three", sandbox, readers), DAYS[-1], NOW)
        for granule in smap:
            sandbox.restore(granule)
    return folder


def site(folder, sandbox, readers):
    settings = Settings(
        work=folder / "work",
        archive=folder / "archive",
        domain=BOX,
        cmr_url=sandbox.cmr_url,
        edl_host=sandbox.edl_host,
        window_days=3,
        deep_days=3,
        spin_up_days=2,
        readers=1,
    )
    return Run(settings, readers)


@pytest.fixture
def copy(published, fresh_sandbox, readers, tmp_path, monkeypatch):
    """`copy(name)`: a site whose files this process has not read yet."""
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)

    def make(name):
        shutil.copytree(published / name, tmp_path / name)
        return site(tmp_path / name, fresh_sandbox, readers)

    return make


@pytest.mark.parametrize(
    ("name", "new", "assessed"),
    [("three", 0, 3), ("two", 1, 3)],
    ids=["comparisons added", "one new day"],
)
def test_a_scheduled_run_reads_each_file_once(copy, monkeypatch, name, new, assessed):
    run = copy(name)
    reads = Reads(monkeypatch)
    report = scheduled_run(run, NOW)
    assert len(report.published) == new
    assert len(report.run.assessed) == assessed
    check(reads)


def test_a_run_with_nothing_to_do_reads_each_file_once_and_hashes_none(copy, monkeypatch):
    run = copy("three")
    scheduled_run(run, NOW)
    shutil.copytree(run.settings.work.parent, copied := run.settings.work.parent.with_name("again"))
    fresh = Run(
        run.settings.model_copy(
            update={"work": copied / "work", "archive": copied / "archive"},
        ),
        run.readers,
    )
    reads = Reads(monkeypatch)
    report = scheduled_run(fresh, NOW)
    assert (report.published, report.run.assessed) == ([], [])
    check(reads)
    assert not [version for version in reads.hashed if version[0].suffix == ".nc"]


def test_one_day_by_its_date_reads_each_file_once(copy, monkeypatch):
    run = copy("two")
    reads = Reads(monkeypatch)
    assert daily(run, DAYS[-1], NOW).changed
    check(reads)


def check(reads):
    """Check that files of each kind were read, and each version once."""
    for pattern in SMALL_FILES:
        found = reads.of(pattern)
        assert set(found.values()) == {1}, pattern
    assert {n for version, n in reads.hashed.items() if version[0].suffix == ".nc"} <= {1}
