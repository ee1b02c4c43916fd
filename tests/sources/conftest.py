from datetime import UTC, datetime

import pytest

from msm.settings import Settings


@pytest.fixture
def settings(fresh_sandbox, tmp_path, monkeypatch):
    """Settings of an operator whose Earthdata is the sandbox, logged in by token."""
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return Settings(work=tmp_path / "work", archive=tmp_path / "archive", timeout_seconds=10)


@pytest.fixture
def hours():
    """Three hours of one day: enough to fetch."""
    return datetime(2016, 4, 1, 0, tzinfo=UTC), datetime(2016, 4, 1, 2, tzinfo=UTC)
