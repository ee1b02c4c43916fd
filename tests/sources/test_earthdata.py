"""The unmodified earthaccess client against the sandbox on loopback.

What Earthdata may do to a download or a search is in tests/faults/test_table.py.
"""

import hashlib
import logging
from dataclasses import replace
from datetime import UTC, datetime

import earthaccess
import pytest

from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import SPL3SMP_E_006 as SMAP
from msm.products.definitions import SPL4SMLM_008 as CONSTANTS
from msm.products.registry import product
from msm.sandbox.faults import Fault
from msm.sources.earthdata import Earthdata, EarthdataError, LoginError
from msm.sources.granule import newest

DAY = datetime(2016, 4, 1, tzinfo=UTC)
HOUR_1 = "NLDAS_FORA0125_H.A20160401.0100.020.nc"


@pytest.fixture
def earthdata(settings, readers):
    return Earthdata(settings, readers)


def downloads(sandbox):
    # A range request is the preflight.
    return [
        r["path"] for r in sandbox.requests() if r["path"].startswith("/data/") and "range" not in r
    ]


def test_granules_are_found_and_fetched(earthdata, settings, hours):
    granules = earthdata.search(NLDAS, *hours)
    assert [g.time.hour for g in granules] == [0, 1, 2]
    assert all(g.size and g.checksum and g.production for g in granules)
    fetched = earthdata.fetch(NLDAS, granules)
    assert fetched.refused == {}
    folder = settings.work / "granules" / "NLDAS_FORA0125_H.2.0"
    assert sorted(p.name for p in folder.iterdir()) == [g.name for g in granules]
    for file in fetched.files:
        assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
        assert file.size == file.granule.size


def test_search_makes_two_requests_for_any_window(earthdata, fresh_sandbox):
    assert [g.time.day for g in earthdata.search(SMAP, DAY, DAY)] == [1]
    before = len(fresh_sandbox.requests())
    # The bounds of the window are inclusive, and of the granules' own times.
    found = earthdata.search(SMAP, DAY, DAY.replace(day=4))
    assert [g.time.day for g in found] == [1, 2, 3, 4]
    assert len(fresh_sandbox.requests()) - before == 2


@pytest.mark.parametrize(
    ("short_name", "version", "count"),
    [
        ("NLDAS_FORA0125_H", "2.0", 25),
        ("NLDAS_NOAH0125_H", "2.0", 25),
        ("SPL4SMGP", "008", 8),
        ("SPL4SMAU", "008", 9),
        # Their records state the three hours before the time in the name.
        ("GLDAS_NOAH025_3H", "2.1", 9),
        ("GLDAS_NOAH025_3H_EP", "2.1", 9),
        ("GPM_3IMERGDE", "07", 2),
        ("GPM_3IMERGDL", "07", 2),
        ("GPM_3IMERGDF", "07", 2),
        ("M2T1NXSLV", "5.12.4", 2),
        ("M2T1NXFLX", "5.12.4", 2),
        ("M2T1NXRAD", "5.12.4", 2),
    ],
)
def test_window_of_a_day_has_every_granule_of_the_day(earthdata, short_name, version, count):
    known = product(short_name, version)
    found = {g.time for g in earthdata.search(known, DAY, DAY.replace(day=2))}
    assert len(found) == count
    assert set(known.layout.stamps(DAY.date())) <= found


def test_half_orbits_of_a_day(earthdata):
    found = earthdata.search(product("SPL2SMP_NRT", "107"), DAY, DAY.replace(day=2))
    assert len(found) in (29, 30)
    assert all(DAY <= g.time <= DAY.replace(day=2) for g in found)


def test_static_product_has_no_time(earthdata):
    (granule,) = earthdata.search(CONSTANTS, DAY, DAY)
    assert granule.time is None
    assert granule.release.startswith("Vv")


@pytest.mark.fault("corrupt cached granule")
def test_only_invalid_cached_files_are_fetched_again(earthdata, fresh_sandbox, hours):
    granules = earthdata.search(NLDAS, *hours)
    first = earthdata.fetch(NLDAS, granules).files
    assert len(downloads(fresh_sandbox)) == 3
    assert earthdata.fetch(NLDAS, granules).files == first
    assert len(downloads(fresh_sandbox)) == 3
    first[1].path.write_bytes(first[1].path.read_bytes()[:-100])
    assert earthdata.fetch(NLDAS, granules).files == first
    assert len(downloads(fresh_sandbox)) == 4


@pytest.mark.parametrize(("of_product", "of_settings"), [(1, 8), (8, 1)])
def test_product_and_settings_limit_simultaneous_downloads(
    settings, readers, hours, monkeypatch, of_product, of_settings
):
    source = Earthdata(settings.model_copy(update={"connections": of_settings}), readers)
    product = replace(NLDAS, layout=NLDAS.layout.model_copy(update={"connections": of_product}))
    running, most = [], []
    get = earthaccess.Store.get

    def counted(store, records, *arguments, **options):
        running.append(records)
        most.append(len(running))
        try:
            return get(store, records, *arguments, **options)
        finally:
            running.remove(records)

    monkeypatch.setattr(earthaccess.Store, "get", counted)
    source.fetch(product, source.search(product, *hours))
    assert most == [1, 1, 1]


def test_invalid_file_is_refused_by_name_and_leaves_nothing(
    earthdata, fresh_sandbox, settings, hours
):
    granules = earthdata.search(NLDAS, *hours)
    fresh_sandbox.fault(Fault(match=rf"/data/.*{HOUR_1}", behaviour="corrupt"))
    fetched = earthdata.fetch(NLDAS, granules)
    assert [f.granule.time.hour for f in fetched.files] == [0, 2]
    assert list(fetched.refused) == [HOUR_1]
    assert fetched.refused[HOUR_1].startswith(f"{HOUR_1} does not have the ")
    folder = settings.work / "granules" / "NLDAS_FORA0125_H.2.0"
    assert sorted(p.name for p in folder.iterdir()) == [
        g.name for g in granules if g.name != HOUR_1
    ]
    fresh_sandbox.reset()
    assert earthdata.fetch(NLDAS, granules).refused == {}


def test_revised_granule_has_a_new_name(earthdata, fresh_sandbox):
    (first,) = earthdata.search(SMAP, DAY, DAY)
    revised = fresh_sandbox.revise(first.name)
    chosen, superseded = newest(earthdata.search(SMAP, DAY, DAY))
    assert [g.name for g in chosen] == [revised]
    assert [g.name for g in superseded] == [first.name]


PASSWORD = {
    "EARTHDATA_TOKEN": "",
    "EARTHDATA_USERNAME": "sandbox",
    "EARTHDATA_PASSWORD": "sandbox",
}


def set_environment(monkeypatch, values):
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"EARTHDATA_TOKEN": "planted-secret"}, "refuses the token"),
        (PASSWORD | {"EARTHDATA_PASSWORD": "planted-secret"}, "refuses the user or password"),
        ({"EARTHDATA_TOKEN": ""}, "no Earthdata credentials: set EARTHDATA_TOKEN"),
    ],
    ids=["token", "password", "none"],
)
def test_refused_credentials_are_reported_and_not_shown(
    settings, readers, hours, monkeypatch, caplog, tmp_path, environment, message
):
    caplog.set_level(logging.DEBUG)
    set_environment(monkeypatch, environment | {"NETRC": str(tmp_path / "none")})
    with pytest.raises(LoginError, match=message) as refusal:
        Earthdata(settings, readers).search(NLDAS, *hours)
    assert "planted-secret" not in str(refusal.value) + caplog.text


def test_unreachable_login_host_is_reported(settings, readers, hours):
    unreachable = settings.model_copy(update={"edl_host": "127.0.0.1:9"})
    with pytest.raises(EarthdataError, match=r"does not answer .*MSM_EDL_HOST"):
        Earthdata(unreachable, readers).search(NLDAS, *hours)


def test_expired_token_is_renewed_from_user_and_password(
    settings, readers, fresh_sandbox, hours, monkeypatch
):
    """An empty token does not take precedence over them."""
    set_environment(monkeypatch, PASSWORD)
    earthdata = Earthdata(settings, readers)
    granules = earthdata.search(NLDAS, *hours)
    assert len(granules) == 3
    fresh_sandbox.fault(Fault(match="/data/", behaviour="unauthorized", times=2))
    assert len(earthdata.fetch(NLDAS, granules).files) == 3


def test_new_token_in_the_environment_is_used(settings, readers, fresh_sandbox, hours, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "old")
    earthdata = Earthdata(settings, readers)
    with pytest.raises(LoginError):
        earthdata.search(NLDAS, *hours)
    monkeypatch.setenv("EARTHDATA_TOKEN", fresh_sandbox.token)
    assert len(earthdata.search(NLDAS, *hours)) == 3


def test_netrc_logs_in_and_does_not_replace_the_token(
    settings, readers, hours, monkeypatch, tmp_path, fresh_sandbox
):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {settings.edl_host} login sandbox password sandbox\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("EARTHDATA_TOKEN")
    earthdata = Earthdata(settings, readers)
    granules = earthdata.search(NLDAS, *hours)
    # For a line on the data host, requests would send Basic instead of the token.
    netrc.write_text("machine 127.0.0.1 login nobody password nothing\n")
    assert len(earthdata.fetch(NLDAS, granules).files) == 3
