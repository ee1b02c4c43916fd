import shutil
import sys
from datetime import UTC, date, datetime

import pytest

from msm.cli import main
from msm.operations.daily import daily
from msm.pipeline.day_sources import select_and_fetch
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run, open_run
from msm.settings import Settings
from tests.made_up import files

BOX = "box:38,39,-98.5,-97"
DAYS = [date(2016, 6, 1), date(2016, 6, 2), date(2016, 6, 3)]
MADE, NEXT = DAYS[1:]
"""The day that `run` has published, and the one after it."""
NOW = datetime(2016, 6, 20, tzinfo=UTC)


@pytest.fixture(scope="session")
def cache(sandbox, tmp_path_factory):
    """Folder of granules of three days and the statics, fetched once from the sandbox."""
    folder = tmp_path_factory.mktemp("mirror")
    settings = Settings(
        work=folder, domain=BOX, cmr_url=sandbox.cmr_url, edl_host=sandbox.edl_host, readers=1
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        with open_run(settings) as run:
            select_and_fetch(run, DAYS[0], DAYS[-1])
            stored_statics(run)
    return folder / "granules"


@pytest.fixture
def settings(tmp_path, cache):
    """Settings of a site that reads granules from a folder; the chain starts two days before."""
    return Settings(
        work=tmp_path / "work",
        archive=tmp_path / "archive",
        domain=BOX,
        mirror=cache,
        spin_up_days=2,
        readers=1,
    )


@pytest.fixture
def online(tmp_path, fresh_sandbox, monkeypatch):
    """Settings of a site that asks the sandbox's Earthdata."""
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return Settings(
        work=tmp_path / "online",
        archive=tmp_path / "online-archive",
        domain=BOX,
        spin_up_days=0,
        readers=1,
    )


@pytest.fixture(scope="session")
def made(cache, readers, tmp_path_factory):
    """Folder of a site with a day published, and what is published when the next day is too."""
    folder = tmp_path_factory.mktemp("made")
    settings = Settings(domain=BOX, mirror=cache, spin_up_days=1, readers=1)

    def make(name, day):
        folders = {"work": folder / name / "work", "archive": folder / name / "archive"}
        run = Run(settings.model_copy(update=folders), readers)
        daily(run, day, NOW)
        return files(run)

    make("before", MADE)
    shutil.copytree(folder / "before", folder / "after")
    return folder / "before", make("after", NEXT)


@pytest.fixture
def run(made, settings, readers):
    """A site with a day published."""
    shutil.copytree(made[0], settings.work.parent, dirs_exist_ok=True)
    return Run(settings.model_copy(update={"spin_up_days": 1}), readers)


@pytest.fixture
def online_run(run, fresh_sandbox, monkeypatch):
    """The same site, which asks the sandbox's Earthdata for what comes."""
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return Run(run.settings.model_copy(update={"mirror": None}), run.readers)


@pytest.fixture
def wanted(made):
    """What is published, fault or not, when the next day has been made too."""
    return made[1]


def environment(settings):
    """Return the variables that give a command the settings of a site."""
    given = settings.model_dump(include=settings.model_fields_set, exclude_none=True)
    return {f"MSM_{name.upper()}": str(value) for name, value in given.items()}


@pytest.fixture
def msm(monkeypatch, capsys, caplog):
    """`msm(settings, "daily", ...)`: give the command; its status, and all that it said."""

    def give(settings, *words):
        with monkeypatch.context() as patch:
            for name, value in environment(settings).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["msm", *map(str, words)])
            caplog.clear()
            try:
                main.main()
            except SystemExit as ended:
                status = ended.code or 0
        said = capsys.readouterr()
        return status, said.out + said.err + caplog.text

    return give


def left_over(run):
    """List what a run has begun and not finished."""
    return [
        path
        for folder in (run.settings.work, run.settings.archive)
        for path in folder.rglob(".*")
        if path.suffix == ".tmp" or path.name.startswith(".incoming")
    ]
