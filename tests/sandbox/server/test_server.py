"""The answers of the server to single requests."""

import hashlib
import time
from datetime import UTC, datetime

import pytest
import requests

from msm.errors import MsmError
from msm.sandbox.faults import Fault
from msm.sandbox.granules.alterations import ALTERATIONS
from msm.sandbox.granules.granule import make_granule
from msm.sandbox.weather.synthetic import SyntheticWeather

SMAP = "SMAP_L3_SM_P_20240517_R19240_001.h5"
SMAP_PATH = f"SPL3SMP/009/2024/05/17/{SMAP}"
DAY = "2024-05-17T00:00:00Z,2024-05-17T23:59:59Z"


@pytest.fixture
def session(fresh_sandbox):
    with requests.Session() as session:
        session.verify = str(fresh_sandbox.ca_file)
        session.headers["Authorization"] = f"Bearer {fresh_sandbox.token}"
        # Certificate settings of the environment take precedence over the session's.
        session.trust_env = False
        yield session


@pytest.fixture
def search(fresh_sandbox, session):
    def find(what="granules", headers=None, **query):
        return session.get(
            f"{fresh_sandbox.cmr_url}{what}.umm_json", params=query, headers=headers, timeout=60
        )

    return find


@pytest.fixture
def fetch(fresh_sandbox, session):
    def get(path=SMAP_PATH, timeout=60, **options):
        return session.get(fresh_sandbox.data_url + path, timeout=timeout, **options)

    return get


def test_hits_without_records(search):
    answer = search(**{"short_name": "NLDAS_FORA0125_H", "temporal[]": DAY, "page_size": 0})
    assert answer.headers["CMR-Hits"] == "24"
    assert answer.json()["items"] == []
    assert "CMR-Search-After" not in answer.headers


def test_search_answers_in_pages(search):
    query = {"short_name": "SPL3SMP", "temporal[]": "2024-05-01T00:00:00Z,2024-05-05T00:00:00Z"}
    names, after, pages = [], None, 0
    while pages == 0 or after:
        headers = {"cmr-search-after": after} if after else None
        answer = search(headers=headers, page_size=2, **query)
        names += [item["umm"]["GranuleUR"] for item in answer.json()["items"]]
        after, pages = answer.headers.get("CMR-Search-After"), pages + 1
    assert pages == 3
    assert names == [f"SMAP_L3_SM_P_2024050{day}_R19240_001.h5" for day in range(1, 6)]


def test_record_states_size_and_checksum_of_the_file(search, fetch):
    (item,) = search(**{"short_name": "SPL3SMP", "temporal[]": DAY}).json()["items"]
    (archived,) = item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"]
    body = fetch().content
    assert len(body) == archived["SizeInBytes"]
    assert hashlib.sha256(body).hexdigest() == archived["Checksum"]["Value"]
    assert body.startswith(b"\x89HDF\r\n\x1a\n")


def test_bytes_do_not_depend_on_the_process(fetch, tmp_path):
    stamp = datetime(2024, 5, 17, tzinfo=UTC)
    make_granule(SyntheticWeather(1), "SPL3SMP", stamp, 1, tmp_path / "here")
    assert fetch().content == (tmp_path / "here").read_bytes()


def test_granule_in_overlapping_windows_is_found_once(search):
    answer = search(**{"short_name": "NLDAS_FORA0125_H", "temporal[]": [DAY, DAY], "page_size": 0})
    assert answer.headers["CMR-Hits"] == "24"


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ({"short_name": "SPL3SMP", "version": "009"}, 1),
        ({"short_name": "SPL3SMP", "version": "008"}, 0),
        ({"short_name": "NO_SUCH_PRODUCT"}, 0),
        ({"provider": "NSIDC_CPRD", "short_name[]": ["SPL3SMP", "SPL3SMP_E", "SPL4SMLM"]}, 3),
        ({"concept_id": "C2033151148-GES_DISC"}, 24),
        ({"short_name": "SPL3SMP_E", "readable_granule_name": "*_R19240_*"}, 1),
        ({"short_name": "SPL3SMP", "revision_date[]": "2024-05-19T00:00:00Z,"}, 1),
        ({"short_name": "SPL3SMP", "revision_date[]": "2024-05-19T00:00:01Z,"}, 0),
    ],
    ids=str,
)
def test_search_finds_what_matches_all_parameters(search, query, hits):
    answer = search(page_size=0, **{"temporal[]": DAY}, **query)
    assert int(answer.headers["CMR-Hits"]) == hits


def test_granule_is_found_by_its_concept_id(search):
    query = {"short_name": "SPL3SMP", "temporal[]": DAY}
    (item,) = search(**query).json()["items"]
    again = search(concept_id=item["meta"]["concept-id"], **query).json()["items"]
    assert again == [item]


@pytest.mark.parametrize(
    "query", [{"shortname": "SPL3SMP"}, {"page_size": 2001}, {"temporal[]": "yesterday,today"}]
)
def test_wrong_searches_are_refused(search, query):
    answer = search(**query)
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_collections_are_found(search):
    answer = search("collections", short_name="NLDAS_FORA0125_H", version="2.0")
    (item,) = answer.json()["items"]
    assert item["meta"]["concept-id"] == "C2033151148-GES_DISC"
    assert item["umm"]["ShortName"] == "NLDAS_FORA0125_H"
    assert search("collections", page_size=20).headers["CMR-Hits"] == "16"


def test_login_asks_for_user_and_password(fresh_sandbox, session):
    url = f"https://{fresh_sandbox.edl_host}/api/users/find_or_create_token"
    del session.headers["Authorization"]
    refused = session.post(url, timeout=60)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert session.post(url, auth=("sandbox", "wrong"), timeout=60).status_code == 401
    granted = session.post(url, auth=("sandbox", "sandbox"), timeout=60).json()
    assert granted["access_token"] == fresh_sandbox.token
    assert {"token_type", "expiration_date"} <= granted.keys()


def test_wrong_token_is_refused(search, fetch, session):
    session.headers["Authorization"] = "Bearer stale"
    assert fetch().status_code == 401
    assert search(short_name="SPL3SMP").status_code == 401
    del session.headers["Authorization"]
    assert fetch().status_code == 401
    # A search needs no token.
    assert search(short_name="SPL3SMP", page_size=0).status_code == 200


def test_part_of_a_file_is_sent(fetch, fresh_sandbox, session):
    whole = fetch()
    part = fetch(headers={"Range": "bytes=8-15"})
    assert part.status_code == 206
    assert part.content == whole.content[8:16]
    head = session.head(fresh_sandbox.data_url + SMAP_PATH, timeout=60)
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Accept-Ranges"] == "bytes"


def test_unknown_path_is_not_found(fetch):
    assert fetch("SPL3SMP/009/2024/05/17/SMAP_L3_SM_P_20240518_R19240_001.h5").status_code == 404
    assert fetch("SPL3SMP/009/2024/05/17/../../../../ca.pem").status_code == 404


def test_withheld_granule_is_not_found(fresh_sandbox, search, fetch):
    fresh_sandbox.withhold(SMAP)
    assert search(**{"short_name": "SPL3SMP", "temporal[]": DAY}).json()["hits"] == 0
    assert fetch().status_code == 404
    fresh_sandbox.restore(SMAP)
    assert fetch().status_code == 200


def test_revised_granule_has_new_bytes(fresh_sandbox, search, fetch):
    when = datetime(2024, 8, 1, tzinfo=UTC)
    name = fresh_sandbox.revise(SMAP, produced=when)
    items = search(**{"short_name": "SPL3SMP", "temporal[]": DAY}).json()["items"]
    assert [item["umm"]["GranuleUR"] for item in items] == [SMAP, name]
    sums = {
        item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"][0]["Checksum"]["Value"]
        for item in items
    }
    assert len(sums) == 2
    assert items[1]["umm"]["DataGranule"]["ProductionDateTime"] == "2024-08-01T00:00:00.000Z"
    body = fetch(SMAP_PATH.replace(SMAP, name)).content
    assert hashlib.sha256(body).hexdigest() in sums


def test_touched_record_has_the_same_bytes(fresh_sandbox, search):
    query = {"short_name": "SPL3SMP", "temporal[]": DAY}
    (before,) = search(**query).json()["items"]
    assert fresh_sandbox.revise(SMAP, changed=False) == SMAP
    (after,) = search(**query).json()["items"]
    assert after["meta"]["revision-id"] == 2
    key = "ArchiveAndDistributionInformation"
    assert after["umm"]["DataGranule"][key] == before["umm"]["DataGranule"][key]


def test_requests_are_logged(fresh_sandbox, fetch):
    fetch()
    assert fresh_sandbox.requests() == [
        {"method": "GET", "path": f"/data/{SMAP_PATH}", "status": 200}
    ]


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"behaviour": "html_200"}, 200, "<!DOCTYPE html>"),
        ({"behaviour": "unauthorized"}, 401, "Access denied"),
        ({"behaviour": "eula"}, 403, "EULA"),
        ({"behaviour": "too_many", "seconds": 30}, 429, "Too Many Requests"),
    ],
    ids=lambda value: value["behaviour"] if isinstance(value, dict) else "",
)
def test_fault_of_one_answer(fresh_sandbox, fetch, fault, status, text):
    fresh_sandbox.fault(Fault(match="/data/SPL3SMP/", **fault))
    answer = fetch()
    assert answer.status_code == status
    assert text in answer.text
    assert answer.headers.get("Retry-After") == ("30" if status == 429 else None)


def test_fault_for_a_number_of_times(fresh_sandbox, fetch, search):
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="unavailable", times=2))
    assert [fetch().status_code for _ in range(3)] == [503, 503, 200]
    assert search(short_name="SPL3SMP", page_size=0).status_code == 200


def test_fault_in_a_search(fresh_sandbox, search):
    fresh_sandbox.fault(Fault(match="granules.umm_json.*SPL3SMP", behaviour="unavailable"))
    assert search(short_name="SPL3SMP").status_code == 503


def test_fault_truncated(fresh_sandbox, fetch):
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="truncated"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch()


def test_fault_truncated_silently(fresh_sandbox, fetch):
    whole = fetch().content
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="truncated_silently"))
    answer = fetch()
    assert answer.status_code == 200
    assert "Content-Length" not in answer.headers
    assert answer.content == whole[: len(whole) // 2]


def test_fault_corrupt(fresh_sandbox, fetch):
    whole = fetch().content
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="corrupt"))
    wrong = fetch().content
    assert len(wrong) == len(whole)
    assert wrong != whole


def test_fault_stall(fresh_sandbox, fetch):
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="stall", times=1))
    with pytest.raises(requests.exceptions.ConnectionError, match="timed out"):
        fetch(timeout=0.5)
    assert fetch().status_code == 200


def test_fault_slow(fresh_sandbox, fetch):
    whole = fetch().content
    fresh_sandbox.fault(Fault(match=SMAP, behaviour="slow", seconds=1))
    begun = time.monotonic()
    assert fetch().content == whole
    assert time.monotonic() - begun > 0.5


def test_fault_empty(fresh_sandbox, search):
    fresh_sandbox.fault(Fault(match="granules.umm_json", behaviour="empty"))
    answer = search(**{"short_name": "SPL3SMP", "temporal[]": DAY})
    assert (answer.headers["CMR-Hits"], answer.json()["items"]) == ("0", [])


def test_fault_reply(fresh_sandbox, search):
    fresh_sandbox.fault(Fault(match="granules.umm_json", behaviour="reply", body="[1"))
    assert search(short_name="SPL3SMP").text == "[1"


def test_fault_sign_in(fresh_sandbox, fetch, session):
    whole = fetch().content
    fresh_sandbox.fault(Fault(match="/data/", behaviour="sign_in"))
    # A token is dropped where the host changes; user and password pass, and set a cookie.
    refused = fetch()
    assert refused.status_code == 401
    assert "/oauth/authorize" in refused.url
    granted = session.get(refused.url, auth=("sandbox", "sandbox"), timeout=60)
    assert granted.content == whole
    assert fetch().content == whole


def test_granule_is_listed_twice(fresh_sandbox, search):
    fresh_sandbox.duplicate(SMAP)
    items = search(**{"short_name": "SPL3SMP", "temporal[]": DAY}).json()["items"]
    assert [item["umm"]["GranuleUR"] for item in items] == [SMAP, SMAP]
    assert len({item["meta"]["concept-id"] for item in items}) == 2


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_granule_is_complete_and_differs(fresh_sandbox, search, fetch, alteration):
    right = fetch().content
    name = fresh_sandbox.alter(SMAP, alteration)
    assert (name == SMAP) == (alteration != "unknown_version")
    (item,) = search(**{"short_name": "SPL3SMP", "temporal[]": DAY}).json()["items"]
    (archived,) = item["umm"]["DataGranule"]["ArchiveAndDistributionInformation"]
    body = fetch(SMAP_PATH.replace(SMAP, name)).content
    assert hashlib.sha256(body).hexdigest() == archived["Checksum"]["Value"]
    assert (body == right) == (alteration == "unknown_version")


def test_wrong_orders_are_refused(fresh_sandbox):
    with pytest.raises(MsmError, match="no granule 'nothing'"):
        fresh_sandbox.withhold("nothing")
    with pytest.raises(MsmError, match="no alteration 'other'"):
        fresh_sandbox.alter(SMAP, "other")
