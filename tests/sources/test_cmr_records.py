from copy import deepcopy
from datetime import UTC, datetime

import pytest

from msm.products.definitions import NLDAS_FORA0125_H_2_0 as NLDAS
from msm.sandbox.granules.granule import FileInfo, served_products
from msm.sandbox.server.catalogue import Catalogue, granule_record
from msm.sandbox.weather.synthetic import SyntheticWeather
from msm.sources.cmr_records import RecordError, granule_of, offered

START, END = datetime(2016, 4, 1, 0, tzinfo=UTC), datetime(2016, 4, 1, 1, tzinfo=UTC)
NAME = "NLDAS_FORA0125_H.A20160401.0000.020.nc"


@pytest.fixture
def records():
    nldas = served_products()["NLDAS_FORA0125_H"]
    listed = Catalogue(SyntheticWeather(1)).within(nldas, START, END)
    return [granule_record(g, FileInfo(1000, "ab" * 32), "https://127.0.0.1/data/") for g in listed]


def test_record_is_converted_to_a_granule(records):
    granule = granule_of(NLDAS, records[0])
    assert (granule.name, granule.time) == (NAME, START)
    assert (granule.size, granule.checksum) == (1000, ("sha256", "ab" * 32))
    assert granule.production == datetime(2016, 4, 5, tzinfo=UTC)
    # earthaccess receives only the parts that the download needs.
    assert granule.record.data_links() == [records[0]["umm"]["RelatedUrls"][0]["URL"]]


def test_unreadable_record_is_left_out_and_logged(records, caplog):
    del records[0]["umm"]["RelatedUrls"]
    assert [g.time for g in offered(NLDAS, records)] == [END]
    assert f"record of {NAME} for NLDAS_FORA0125_H 2.0 cannot be read" in caplog.text
    assert "umm.RelatedUrls: Field required" in caplog.text


def test_only_unreadable_records_are_an_error(records):
    for record in records:
        record["meta"] = []
    with pytest.raises(RecordError, match="None of the 2 records of NLDAS_FORA0125_H"):
        offered(NLDAS, records)
    assert offered(NLDAS, []) == []


@pytest.mark.parametrize(
    "link",
    [
        f"http://host/{NAME}",
        f"file:///{NAME}",
        f"https://[/{NAME}",
        f"https:///{NAME}",
        f"https://host:port/{NAME}",
        f"https://host/{NAME}/..",
        f"https://host/{NAME}?token=1",
        f"https://host/..\\{NAME}",
        "https://host/NLDAS_FORA0125_H.A٢٠١٦٠٤٠١.0000.020.nc",
    ],
)
def test_link_to_no_file_of_the_product_is_ignored(records, link):
    records[0]["umm"]["RelatedUrls"][0]["URL"] = link
    assert granule_of(NLDAS, records[0]) is None


@pytest.mark.parametrize(
    ("produced", "read"),
    [
        ("2016-04-05T00:00:00", datetime(2016, 4, 5, tzinfo=UTC)),
        ("2016-04-05T02:00:00+02:00", datetime(2016, 4, 5, tzinfo=UTC)),
        (None, None),
    ],
)
def test_production_time_is_utc(records, produced, read):
    records[0]["umm"]["DataGranule"]["ProductionDateTime"] = produced
    assert granule_of(NLDAS, records[0]).production == read


@pytest.mark.parametrize("produced", ["yesterday", "9999-12-31T23:59:59-12:00"])
def test_impossible_time_makes_a_record_unreadable(records, produced):
    records[0]["umm"]["DataGranule"]["ProductionDateTime"] = produced
    with pytest.raises(RecordError, match=f"{NAME} .* has an impossible time"):
        granule_of(NLDAS, records[0])


def test_name_with_an_impossible_day_is_ignored_and_logged(records, caplog):
    link = records[0]["umm"]["RelatedUrls"][0]
    link["URL"] = link["URL"].replace("A20160401", "A20160231")
    assert granule_of(NLDAS, records[0]) is None
    assert "which is not one of its files" in caplog.text


def test_newest_record_of_a_file_counts(records):
    again = deepcopy(records[0])
    again["meta"]["revision-id"] = 2
    assert [g.revision for g in offered(NLDAS, [again, *records[:1]])] == [2]
