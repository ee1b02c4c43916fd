"""compose.yaml and prefect.yaml agree with their schemas, each other and the documentation."""

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    WorkPoolConfig,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from pydantic import BaseModel

from msm.settings import Settings
from tests.conftest import ROOT
from tests.deploy.conftest import Services

BIN = Path(sys.executable).parent
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text()
PREFECT = yaml.safe_load((ROOT / "deploy" / "prefect.yaml").read_text())
OPERATIONS = ROOT / "docs" / "operations"
IMAGE = (ROOT / "Dockerfile").read_text()
OF_MSM = {"server", "deploy", "worker"}


def test_compose_is_valid() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [*command, ROOT / "deploy" / "compose.yaml"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_variables_of_the_environment_are_documented() -> None:
    found = dict(re.findall(r"\$\{(\w+)(:[?-])?", COMPOSE))
    required = {name for name, how in found.items() if how != ":-"}
    assert required == {"EARTHDATA_TOKEN", "POSTGRES_PASSWORD"}
    page = (OPERATIONS / "install.md").read_text()
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
    assert documented.keys() == found.keys()
    assert {name for name, default in documented.items() if default == "required"} == required
    settings = re.findall(r"^ +MSM_(\w+):", COMPOSE, re.MULTILINE)
    assert {name.lower() for name in settings} <= set(Settings.model_fields)


def test_secrets_come_from_the_environment_and_are_ignored_by_git_and_the_image() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    secret = re.compile("TOKEN|PASSWORD|SECRET|KEY|WEBHOOK")
    secrets = {
        (name, variable): value
        for name, service in services.items()
        for variable, value in service.get("environment", {}).items()
        if secret.search(variable)
    }
    # Each service has only the secrets that it needs.
    assert secrets.keys() == {
        ("database", "POSTGRES_PASSWORD"),
        ("server", "PREFECT_SERVER_DATABASE_PASSWORD"),
        ("worker", "EARTHDATA_TOKEN"),
    }
    assert all(re.fullmatch(r"\$\{\w+:\?[^}]+\}", value) for value in secrets.values())
    for name in (".gitignore", ".dockerignore"):
        ignored = (ROOT / name).read_text().split()
        assert {".env", "**/.env"} & set(ignored), name
        assert {"/deploy/msm.env", "**/*.env"} & set(ignored), name


def test_services_run_without_privileges(services: Services) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].partition(":")[0] not in ("root", "0"), name
        assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "devices"}
        assert re.search(r":\d+(\.\d+)+(-\w+)?$", service["image"]), name
        if name != "deploy":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_only_the_archive_is_public_and_prefect_listens_on_loopback(services: Services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "archive": ["${ARCHIVE_PORT:-80}:8080"],
        "server": ["127.0.0.1:4200:4200"],
    }
    networks = yaml.safe_load(COMPOSE)["networks"]
    assert networks[services["database"]["networks"][0]] == {"internal": True}
    others = [name for name in services if "networks" not in services[name]]
    assert sorted(others) == ["archive", "deploy", "worker"]


def test_written_files_are_in_volumes_and_nginx_cannot_write(services: Services) -> None:
    mounts = {
        name: [mount.split(":") for mount in service.get("volumes", [])]
        for name, service in services.items()
    }
    volumes = yaml.safe_load(COMPOSE)["volumes"]
    used = {source for mounted in mounts.values() for source, *_ in mounted}
    assert used - {"./nginx"} == volumes.keys()
    assert all(how == "ro" for _, _, how in mounts["archive"])
    of_worker = services["worker"]["environment"]
    places = {path: source for source, path in mounts["worker"]}
    assert places[of_worker["MSM_ARCHIVE"]] == "archive"
    assert places[str(Path(of_worker["MSM_WORK"]).parent)] == "data"
    served = {path: source for source, path, _ in mounts["archive"]}
    assert served[services["archive"]["environment"]["ARCHIVE_ROOT"]] == "archive"
    # A new volume inherits the owner of its folder in the image.
    assert re.search(r"install -d -o msm -g msm /data /data/archive$", IMAGE, re.MULTILINE)


def test_services_of_msm_use_its_image_and_user(services: Services) -> None:
    (user,) = re.findall(r"^USER (\w+)$", IMAGE, re.MULTILINE)
    assert user not in ("root", "0")
    for name in OF_MSM:
        assert services[name]["image"] == f"msm:{version('msm')}"
        assert services[name]["build"] == ".."
        assert services[name]["user"] == f"{user}:{user}"
    assert services["deploy"]["working_dir"] == "/opt/msm"


@pytest.mark.parametrize("name", ["server", "worker"])
def test_commands_are_valid_options_of_prefect(services: Services, name: str) -> None:
    assert services[name]["entrypoint"] == ["prefect"]
    command = services[name]["command"]
    usage = subprocess.run(
        [BIN / "prefect", *command[:2], "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = [word for word in command if word.startswith("--")]
    assert [option for option in options if option not in usage] == []


def test_worker_and_deployments_use_the_same_pool(services: Services) -> None:
    (script,) = services["deploy"]["command"]
    command = services["worker"]["command"]
    pools = {command[command.index("--pool") + 1]}
    pools |= {deployment["work_pool"]["name"] for deployment in PREFECT["deployments"]}
    pools |= set(re.findall(r"work-pool \w+ (\S+)", script))
    assert pools == {"msm"}
    assert re.findall(r"--prefect-file (\S+)", script) == ["deploy/prefect.yaml"]


def test_deployments_have_only_names_that_prefect_knows() -> None:
    """Prefect ignores unknown names, for example misspelt ones."""
    PrefectYamlModel.model_validate(PREFECT)
    known(PREFECT, PrefectYamlModel)
    for deployment in PREFECT["deployments"]:
        known(deployment, DeploymentConfig)
        known(deployment["work_pool"], WorkPoolConfig)
        known(deployment["concurrency_limit"], ConcurrencyLimitSpec)
        ConcurrencyLimitStrategy(deployment["concurrency_limit"]["collision_strategy"])


def known(document: dict[str, Any], model: type[BaseModel]) -> None:
    assert document.keys() - model.model_fields.keys() == set()


def test_the_deployments_are_of_flows_that_take_their_parameters() -> None:
    page = (OPERATIONS / "prefect.md").read_text()
    for deployment in PREFECT["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(import_module(module), name)
        assert isinstance(flow, Flow)
        assert deployment["parameters"].keys() <= flow.parameters.properties.keys()
        assert f"`{flow.name}/{deployment['name']}`" in page
