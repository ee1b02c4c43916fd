"""What every test stands on: no foreign settings, no network past loopback, real files by name."""

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from msm.products.reader_pool import Readers

pytest_plugins = ["tests.prefect_fixture", "tests.sandbox_fixture", "tests.site_fixture"]

ROOT = Path(__file__).parent.parent
ON_CI = bool(os.environ.get("CI"))
FOREIGN = ("MSM_", "EARTHDATA_", "PREFECT_", "NETRC")
DEBIAN_PACKAGE = {
    "cdo": "cdo",
    "envsubst": "gettext-base",
    "gdalinfo": "gdal-bin",
    "gdallocationinfo": "gdal-bin",
    "make": "make",
    "ncdump": "netcdf-bin",
    "ncks": "nco",
    "ncra": "nco",
    "nginx": "nginx-light",
    "pg_ctl": "postgresql",
}
# Where Debian lays what is not for users to call.
ASIDE = ["/usr/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"))]

settings.register_profile("msm", derandomize=True, max_examples=40, deadline=None, database=None)
settings.load_profile("msm")


def pytest_configure(config: pytest.Config) -> None:
    """Take the developer's settings and secrets away, from child processes too.

    A home folder of its own hides ``~/.netrc``; a proxy that nobody serves holds the processes
    that tests start on loopback, as pytest-socket holds this one.
    """
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name != "MSM_REAL_DATA":
            del os.environ[name]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[name] = os.environ[name.lower()] = "http://127.0.0.1:9"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost,::1"
    home = tempfile.mkdtemp(prefix="msm-home-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ.update(
        HOME=home,
        HDF5_USE_FILE_LOCKING="FALSE",
        MPLBACKEND="agg",
        # The font cache outlives the home folder: it takes seconds to build.
        MPLCONFIGDIR=str(ROOT / ".pytest_cache" / "matplotlib"),
        DO_NOT_TRACK="1",
        PREFECT_HOME=str(Path(home) / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        # The server needs 17-20 s on two cores; by default Prefect gives up at 20.
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    )
    if hasattr(config, "workerinput"):
        # Test processes share the cores, so each computes in one thread.
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read real files, and begin with the files of long tests."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """On CI a skipped test fails: there everything that a test needs must be present."""
    report = yield
    if ON_CI and report.skipped and not hasattr(report, "wasxfail") and "gpu" not in item.keywords:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """On CI a file that skips itself as a whole fails as well."""
    report = yield
    if ON_CI and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, on CI only the marker gpu may: {reason}"


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    """Undo what a test or the code under test wrote into the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real files: ``MSM_REAL_DATA``, by default ``../shared/data`` beside the project."""
    folder = Path(os.environ.get("MSM_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}: set MSM_REAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """``tool("cdo")``: path of a program, or skip naming the Debian package that has it."""

    def find(program: str) -> str:
        path = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], *ASIDE]))
        if path is None:
            pytest.skip(
                f"{program} not found: install the Debian package {DEBIAN_PACKAGE[program]}"
            )
        return path

    return find


@pytest.fixture
def sentence(request: pytest.FixtureRequest) -> str:
    """Regular expression of what msm has to say of the fault that the test's marker names."""
    from tests.faults.reliability import ROWS

    marker = request.node.get_closest_marker("fault")
    return next(row.sentence for row in ROWS if row.fault == marker.args[0])


@pytest.fixture(scope="session")
def readers() -> Iterator["Readers"]:
    """One process that reads granules, for all tests."""
    from msm.products.reader_pool import Readers

    with Readers(1) as pool:
        yield pool
