"""The unmodified earthaccess client against the sandbox on loopback."""

import hashlib
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime

import earthaccess
import pytest

from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.products.definitions import SPL4SMLM_008 as CONSTANTS
from msm.products.registry import product
from msm.products.smap_l3 import SPL3SMP_E_006 as SMAP
from msm.sandbox.faults import Fault
from msm.sources.earthdata import Earthdata, EarthdataError, LoginError
from msm.sources.granule import newest

DAY = datetime(2016, 4, 1, tzinfo=UTC)
HOUR_1 = "NLDAS_FORA0125_H.A20160401.0100.020.nc"


@pytest.fixture
def earthdata(settings, readers):
    return Earthdata(settings, readers)


def downloads(sandbox):
    # One byte of one file is the knock at the data host's door.
    return [
        r["path"] for r in sandbox.requests() if r["path"].startswith("/data/") and "range" not in r
    ]


def test_search_and_fetch(earthdata, settings, hours):
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


def test_a_search_costs_two_requests_whatever_its_window(earthdata, fresh_sandbox):
    earthdata.search(SMAP, DAY, DAY)
    before = len(fresh_sandbox.requests())
    assert len(earthdata.search(SMAP, DAY, DAY.replace(day=4))) == 4
    assert len(fresh_sandbox.requests()) - before == 2


def test_the_bounds_of_the_window_are_the_granules_own_times(earthdata):
    found = earthdata.search(SMAP, DAY, DAY.replace(day=3))
    assert [g.time.day for g in found] == [1, 2, 3]


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
def test_a_days_window_holds_every_stamp_of_the_day(earthdata, short_name, version, count):
    known = product(short_name, version)
    found = {g.time for g in earthdata.search(known, DAY, DAY.replace(day=2))}
    assert len(found) == count
    assert set(known.layout.stamps(DAY.date())) <= found


def test_half_orbits_of_a_day(earthdata):
    found = earthdata.search(product("SPL2SMP_NRT", "107"), DAY, DAY.replace(day=2))
    assert len(found) in (29, 30)
    assert all(DAY <= g.time <= DAY.replace(day=2) for g in found)


def test_a_static_product_has_no_time(earthdata):
    (granule,) = earthdata.search(CONSTANTS, DAY, DAY)
    assert granule.time is None
    assert granule.release.startswith("Vv")


def test_what_is_good_is_not_fetched_again(earthdata, fresh_sandbox, hours):
    granules = earthdata.search(NLDAS, *hours)
    earthdata.fetch(NLDAS, granules)
    assert len(downloads(fresh_sandbox)) == 3
    again = earthdata.fetch(NLDAS, granules)
    assert len(again.files) == 3
    assert len(downloads(fresh_sandbox)) == 3


@pytest.mark.parametrize(("of_product", "of_settings"), [(1, 8), (8, 1)])
def test_a_product_and_the_settings_limit_downloads_at_a_time(
    settings, readers, hours, monkeypatch, of_product, of_settings
):
    source = Earthdata(settings.model_copy(update={"connections": of_settings}), readers)
    product = replace(NLDAS, layout=NLDAS.layout.model_copy(update={"connections": of_product}))
    at_work, most = [], []
    get = earthaccess.Store.get

    def counted(store, records, *given, **named):
        at_work.append(records)
        most.append(len(at_work))
        try:
            return get(store, records, *given, **named)
        finally:
            at_work.remove(records)

    monkeypatch.setattr(earthaccess.Store, "get", counted)
    source.fetch(product, source.search(product, *hours))
    assert most == [1, 1, 1]


@pytest.mark.fault("corrupt cached granule")
def test_a_cached_file_that_went_bad_is_replaced(earthdata, fresh_sandbox, hours):
    granules = earthdata.search(NLDAS, *hours)
    first = earthdata.fetch(NLDAS, granules).files[1]
    first.path.write_bytes(first.path.read_bytes()[:-100])
    again = earthdata.fetch(NLDAS, granules)
    assert len(downloads(fresh_sandbox)) == 4
    assert again.files[1].sha256 == first.sha256


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("html_200", "came as a web page, not as data: log in to Earthdata with a browser"),
        ("truncated", "could not be downloaded"),
        ("truncated_silently", "bytes where its record states"),
        ("corrupt", "does not have the .* checksum that its record states"),
        ("stall", "could not be downloaded"),
    ],
)
def test_a_bad_body_is_named_and_the_rest_is_kept(
    readers, fresh_sandbox, settings, hours, behaviour, said
):
    earthdata = Earthdata(settings.model_copy(update={"timeout_seconds": 1}), readers)
    granules = earthdata.search(NLDAS, *hours)
    fresh_sandbox.fault(Fault(match=rf"/data/.*{HOUR_1}", behaviour=behaviour))
    fetched = earthdata.fetch(NLDAS, granules)
    assert [f.granule.time.hour for f in fetched.files] == [0, 2]
    assert list(fetched.refused) == [HOUR_1]
    assert re.search(said, fetched.refused[HOUR_1])
    assert HOUR_1 in fetched.refused[HOUR_1]
    # Nothing of it stays behind, and the next run heals it.
    folder = settings.work / "granules" / "NLDAS_FORA0125_H.2.0"
    assert sorted(p.name for p in folder.iterdir()) == [
        g.name for g in granules if g.name != HOUR_1
    ]
    fresh_sandbox.reset()
    assert earthdata.fetch(NLDAS, granules).refused == {}


def test_a_server_that_fails_for_a_moment_is_asked_again(earthdata, fresh_sandbox, hours):
    granules = earthdata.search(NLDAS, *hours)
    fresh_sandbox.fault(Fault(match="/data/", behaviour="unavailable", times=2))
    assert earthdata.fetch(NLDAS, granules).refused == {}
    fresh_sandbox.fault(Fault(match="granules.umm_json", behaviour="unavailable", times=2))
    assert len(earthdata.search(NLDAS, *hours)) == 3


def test_a_catalogue_that_stays_down_is_told(earthdata, fresh_sandbox, hours, monkeypatch):
    monkeypatch.setattr("urllib3.util.Retry.get_backoff_time", lambda retry: 0.0)
    earthdata.search(NLDAS, *hours)
    fresh_sandbox.fault(Fault(match="granules.umm_json", behaviour="unavailable"))
    with pytest.raises(EarthdataError, match=r"catalogue fails .*run again later"):
        earthdata.search(NLDAS, *hours)


def test_a_granule_is_revised_under_a_new_name(earthdata, fresh_sandbox):
    (first,) = earthdata.search(SMAP, DAY, DAY)
    revised = fresh_sandbox.revise(first.name)
    chosen, superseded = newest(earthdata.search(SMAP, DAY, DAY))
    assert [g.name for g in chosen] == [revised]
    assert [g.name for g in superseded] == [first.name]


def test_a_wrong_token_is_told_and_never_shown(settings, readers, hours, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("EARTHDATA_TOKEN", "planted-secret")
    with pytest.raises(LoginError) as refusal:
        Earthdata(settings, readers).search(NLDAS, *hours)
    assert "refuses the token" in str(refusal.value)
    assert "planted-secret" not in str(refusal.value) + caplog.text


def test_a_token_that_dies_is_renewed_from_user_and_password(
    settings, readers, fresh_sandbox, hours, monkeypatch
):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("EARTHDATA_USERNAME", "sandbox")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "sandbox")
    earthdata = Earthdata(settings, readers)
    granules = earthdata.search(NLDAS, *hours)
    fresh_sandbox.fault(Fault(match="/data/", behaviour="unauthorized", times=2))
    assert len(earthdata.fetch(NLDAS, granules).files) == 3


def test_a_new_token_is_taken_up(settings, readers, fresh_sandbox, hours, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "old")
    earthdata = Earthdata(settings, readers)
    with pytest.raises(LoginError):
        earthdata.search(NLDAS, *hours)
    monkeypatch.setenv("EARTHDATA_TOKEN", fresh_sandbox.token)
    assert len(earthdata.search(NLDAS, *hours)) == 3


def test_an_empty_token_does_not_hide_user_and_password(settings, readers, hours, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "")
    monkeypatch.setenv("EARTHDATA_USERNAME", "sandbox")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "sandbox")
    assert len(Earthdata(settings, readers).search(NLDAS, *hours)) == 3


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
    # A line for the data host would make requests send Basic in place of the token.
    netrc.write_text("machine 127.0.0.1 login nobody password nothing\n")
    assert len(earthdata.fetch(NLDAS, granules).files) == 3


def test_no_credentials_are_told(settings, readers, hours, monkeypatch, tmp_path):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(LoginError, match="no Earthdata credentials: set EARTHDATA_TOKEN"):
        Earthdata(settings, readers).search(NLDAS, *hours)


def test_a_wrong_password_is_told(settings, readers, hours, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("EARTHDATA_USERNAME", "sandbox")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "planted-secret")
    with pytest.raises(LoginError, match="refuses the user or password") as refusal:
        Earthdata(settings, readers).search(NLDAS, *hours)
    assert "planted-secret" not in str(refusal.value)


def test_a_host_that_does_not_answer_is_told(settings, readers, hours):
    away = settings.model_copy(update={"edl_host": "127.0.0.1:9"})
    with pytest.raises(EarthdataError, match=r"does not answer .*MSM_EDL_HOST"):
        Earthdata(away, readers).search(NLDAS, *hours)
