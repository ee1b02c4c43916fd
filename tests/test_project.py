"""The set-up keeps its promises: locks, container, citation, isolation of the tests."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pytest_socket import SocketConnectBlockedError

from tests.conftest import DEBIAN_PACKAGE, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# A documentation address (RFC 5737): nobody answers there.
ELSEWHERE = "192.0.2.1"


def lock_lines(name: str) -> list[str]:
    """Requirements of a lock file, one a line, without comments."""
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def locked(name: str) -> dict[str, Version]:
    """Package name -> version of a lock file."""
    pairs = [line.split("==") for line in lock_lines(name)]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


RUNTIME = locked("requirements.lock")
DEVELOPMENT = locked("requirements-dev.lock")


def pytest_in(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder under this project's conftest, in a process of its own."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", folder]
    inherited = {k: v for k, v in os.environ.items() if k != "CI" and "PYTEST" not in k}
    return subprocess.run(
        [*command, "-c", ROOT / "pyproject.toml", folder],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_holds_exact_public_versions(name: str) -> None:
    lines = lock_lines(name)
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert lines == sorted(lines, key=lambda line: line.upper())


def test_lock_pins_what_is_known_to_break() -> None:
    assert RUNTIME["torch"] == Version("2.13.0")
    assert RUNTIME["fastapi"] < Version("0.151")
    assert RUNTIME["sqlalchemy"] < Version("2.1")


def test_locks_do_not_overlap() -> None:
    assert RUNTIME.keys() & DEVELOPMENT.keys() == set()


def requirements_of(extra: str) -> list[Requirement]:
    """Requirements of an extra, with those of the extras of msm that it names."""
    found = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    own = [r for r in found if r.name == PROJECT["name"]]
    others = [r for r in found if r.name != PROJECT["name"]]
    return others + [r for each in own for name in each.extras for r in requirements_of(name)]


@pytest.mark.parametrize(
    ("wanted", "lock"),
    [
        ([Requirement(text) for text in PROJECT["dependencies"]], RUNTIME),
        (requirements_of("sandbox"), RUNTIME),
        (requirements_of("dev"), RUNTIME | DEVELOPMENT),
    ],
    ids=["runtime", "sandbox", "dev"],
)
def test_lock_satisfies_every_range(wanted: list[Requirement], lock: dict[str, Version]) -> None:
    wrong = [
        str(r)
        for r in wanted
        if lock.get(canonicalize_name(r.name), Version("0")) not in r.specifier
    ]
    missing = [r.name for r in wanted if canonicalize_name(r.name) not in lock]
    assert (missing, wrong) == ([], [])


SANDBOX = set(ROOT.glob("msm/sandbox/**/*.py"))
PACKAGES = {*ROOT.glob("msm/**/*.py"), *ROOT.glob("flows/**/*.py")} - SANDBOX


@pytest.mark.parametrize(
    ("paths", "requirements"),
    [
        (PACKAGES, PROJECT["dependencies"]),
        (SANDBOX, PROJECT["dependencies"] + EXTRAS["sandbox"]),
    ],
    ids=["msm", "sandbox"],
)
def test_everything_imported_is_declared(paths: set[Path], requirements: list[str]) -> None:
    imported: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                imported.add(node.module.split(".")[0])
    providers = packages_distributions()
    declared = {canonicalize_name(Requirement(text).name) for text in requirements}
    own = {"msm", "flows"} | sys.stdlib_module_names
    undeclared = {
        name
        for name in imported - own
        if not declared & {canonicalize_name(d) for d in providers.get(name, [])}
    }
    assert undeclared == set()


def test_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "")


def test_dockerfile_installs_with_the_commands_of_make(tool: Callable[[str], str]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    dry_run = [tool("make"), "--dry-run", "--always-make", "venv"]
    made = subprocess.run(
        dry_run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    commands = {part for line in made for part in line.split(" || ")}
    build_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[0]
    runs = re.findall(r"^RUN (.*)$", build_stage, flags=re.MULTILINE)
    assert len(runs) == 3
    assert [run for run in runs if run not in commands] == []


def test_dockerfile_lays_dependencies_below_the_source() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.index("-r requirements.lock") < text.index("COPY . .")


def test_ci_installs_what_tests_ask_for() -> None:
    script = (ROOT / ".ci" / "run").read_text().split()
    assert [package for package in set(DEBIAN_PACKAGE.values()) if package not in script] == []
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_citation_is_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    required = {"cff-version", "message", "title", "authors", "version", "license"}
    assert required <= citation.keys()
    assert citation["license"] == PROJECT["license"]
    assert all(reference["doi"] for reference in citation["references"])


def test_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == version
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^(## \[{version}\]|Towards {version}\.$)", changes, flags=re.MULTILINE)


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    private = re.compile(
        r"(?<![\w.:/])/(?:home|root|work|Users)/\w"
        r"|\b(?:pypi\.org|pythonhosted\.org|deb\.debian\.org|registry\.npmjs\.org|pytorch\.org/whl)"
    )
    found = []
    for name in filter(None, names.split("\0")):
        try:
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            continue  # removed but still in the index, or not text
        found += [f"{name}:{i}" for i, line in enumerate(lines, 1) if private.search(line)]
    assert found == []


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_loopback_is_open_and_the_rest_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection((ELSEWHERE, 80), timeout=2)


def test_child_processes_stay_on_loopback() -> None:
    code = f"import urllib.request; urllib.request.urlopen('https://{ELSEWHERE}/', timeout=20)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert child.returncode == 1
    assert "Connection refused" in child.stderr


def test_settings_of_the_developer_do_not_reach_the_tests(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine urs.earthdata.nasa.gov login a password b\n")
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_clean.py").write_text(
        "import os, pathlib\n"
        "def test_clean():\n"
        "    names = {'MSM_CMR_URL', 'EARTHDATA_TOKEN', 'NETRC', 'PREFECT_API_URL'}\n"
        "    assert names & os.environ.keys() == set()\n"
        "    assert not (pathlib.Path.home() / '.netrc').exists()\n"
    )
    result = pytest_in(
        tests,
        HOME=str(home),
        NETRC=str(home / ".netrc"),
        MSM_CMR_URL="https://127.0.0.1:1",
        EARTHDATA_TOKEN="leaked",
        PREFECT_API_URL="https://127.0.0.1:1/api",
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("marker", "ci", "returncode"), [("", "", 0), ("", "true", 1), ("@pytest.mark.gpu", "true", 0)]
)
def test_only_gpu_may_skip_on_ci(tmp_path: Path, marker: str, ci: str, returncode: int) -> None:
    (tmp_path / "test_skips.py").write_text(
        f"import pytest\n{marker}\ndef test_me():\n    pytest.skip('cdo not found')\n"
    )
    result = pytest_in(tmp_path, CI=ci)
    assert result.returncode == returncode, result.stdout
    if returncode:
        assert "test_me was skipped, on CI only the marker gpu may: " in result.stdout
        assert "cdo not found" in result.stdout


def test_missing_real_data_and_tools_skip_by_name(tmp_path: Path) -> None:
    (tmp_path / "test_needs.py").write_text(
        "def test_data(real_data):\n    pass\ndef test_cdo(tool):\n    tool('cdo')\n"
    )
    result = pytest_in(tmp_path, MSM_REAL_DATA="nowhere", PATH="")
    assert result.returncode == 0, result.stdout
    assert "real data not found in nowhere" in result.stdout
    assert "install the Debian package cdo" in result.stdout
