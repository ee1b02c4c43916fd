"""The services of deploy/compose.yaml, and a free port."""

import socket
from typing import Any

import pytest
import yaml

from tests.archive.conftest import domain, make_map  # noqa: F401 - fixtures
from tests.conftest import ROOT

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def services() -> Services:
    """Services of compose.yaml by name, without values that come from the environment."""
    services: Services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for service in services.values():
        stated = service.get("environment", {})
        service["environment"] = {k: v for k, v in stated.items() if "${" not in v}
    return services


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
