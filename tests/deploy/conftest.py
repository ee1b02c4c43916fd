"""What deploy/compose.yaml says, and a port to try it on."""

import socket
from typing import Any

import pytest
import yaml

from tests.archive.conftest import domain, make_map  # noqa: F401 - fixtures
from tests.conftest import ROOT

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def services() -> Services:
    """Service name -> what compose.yaml says of it, without what only the environment knows."""
    services: Services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for service in services.values():
        given = service.get("environment", {})
        service["environment"] = {k: v for k, v in given.items() if "${" not in v}
    return services


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
