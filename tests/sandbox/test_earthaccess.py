"""The unmodified earthaccess client logs in to the sandbox, searches it and downloads from it."""

import hashlib
import time

import earthaccess
import pytest
from earthaccess.system import System

from msm.sandbox.faults import Fault

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture
def system(fresh_sandbox):
    return System(
        cmr_base_url=fresh_sandbox.cmr_url,
        status_url=fresh_sandbox.url,
        status_api_url=f"{fresh_sandbox.url}/api/v1/statuses",
        edl_hostname=fresh_sandbox.edl_host,
    )


@pytest.fixture
def client(fresh_sandbox, system, monkeypatch):
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    # earthaccess keeps its login in the module.
    earthaccess.__auth__.authenticated = False
    assert earthaccess.login("environment", system=system).authenticated
    yield earthaccess
    earthaccess.__auth__.authenticated = False


def archived(granule):
    return granule["umm"]["DataGranule"]["ArchiveAndDistributionInformation"][0]


def test_day_of_forcing_is_downloaded(client, tmp_path):
    start = time.perf_counter()
    found = client.search_data(
        short_name="NLDAS_FORA0125_H",
        version="2.0",
        temporal=("2024-05-17T00:00:00Z", "2024-05-18T00:00:00Z"),
    )
    assert len(found) == 25
    files = client.download(found, str(tmp_path), show_progress=False)
    assert len(files) == 25
    for granule, file in zip(found, files, strict=True):
        assert file.name == archived(granule)["Name"]
        body = file.read_bytes()
        assert len(body) == archived(granule)["SizeInBytes"]
        assert hashlib.sha256(body).hexdigest() == archived(granule)["Checksum"]["Value"]
    assert time.perf_counter() - start < 60


def test_daily_and_static_products_are_downloaded(client, tmp_path):
    for query in (
        {"short_name": "SPL3SMP_E", "version": "006", "temporal": ("2024-05-17", "2024-05-17")},
        {"short_name": "SPL3SMP", "version": "009", "temporal": ("2024-05-17", "2024-05-17")},
        {"short_name": "SPL4SMLM", "version": "008"},
    ):
        (granule,) = client.search_data(**query)
        (file,) = client.download([granule], str(tmp_path), show_progress=False)
        assert (
            hashlib.sha256(file.read_bytes()).hexdigest()
            == (archived(granule)["Checksum"]["Value"])
        )


def test_search_is_limited_by_count(client):
    found = client.search_data(
        short_name="SPL3SMP",
        version="009",
        temporal=("2024-05-01T00:00:00Z", "2024-05-12T00:00:00Z"),
        count=3,
    )
    assert [granule["meta"]["native-id"][13:21] for granule in found] == [
        "20240501",
        "20240502",
        "20240503",
    ]


def test_new_granule_is_found_by_revision_date(client, fresh_sandbox):
    fresh_sandbox.revise("SMAP_L3_SM_P_20240517_R19240_001.h5")
    found = client.search_data(
        short_name="SPL3SMP",
        version="009",
        temporal=("2024-05-17T00:00:00Z", "2024-05-17T12:00:00Z"),
        revision_date=("2024-05-19T12:00:00Z", "2024-05-21T00:00:00Z"),
    )
    assert [granule["meta"]["native-id"] for granule in found] == [
        "SMAP_L3_SM_P_20240517_R19240_002.h5"
    ]


def test_short_outage_is_survived(client, fresh_sandbox, tmp_path):
    (granule,) = client.search_data(
        short_name="SPL3SMP", version="009", temporal=("2024-05-17", "2024-05-17")
    )
    fresh_sandbox.fault(Fault(match="/data/", behaviour="unavailable", times=1))
    (file,) = client.download([granule], str(tmp_path), show_progress=False)
    assert file.stat().st_size == archived(granule)["SizeInBytes"]


def test_status_and_collections_are_returned(client, system):
    assert client.status(system)["Earthdata Login"] == "OK"
    (collection,) = client.search_datasets(short_name="SPL3SMP_E", version="006")
    assert collection["meta"]["provider-id"] == "NSIDC_CPRD"
