from datetime import UTC, date, datetime

import pytest

from msm.pipeline.gather import gather
from msm.pipeline.inputs import stored_statics
from msm.pipeline.run import open_run
from msm.settings import Settings

BOX = "box:38,39,-98.5,-97"
DAYS = [date(2016, 6, 1), date(2016, 6, 2), date(2016, 6, 3)]
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
            gather(run, DAYS[0], DAYS[-1])
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
