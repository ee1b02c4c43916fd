"""A simulated Earthdata for the tests of any package."""

from collections.abc import Iterator

import pytest

from msm.sandbox.process import Sandbox, start


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox with synthetic weather, one server per test process."""
    with start(tmp_path_factory.mktemp("sandbox"), "synthetic:1") as running:
        yield running


@pytest.fixture
def fresh_sandbox(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox without faults and revisions, for a test that adds some."""
    sandbox.reset()
    yield sandbox
    sandbox.reset()
