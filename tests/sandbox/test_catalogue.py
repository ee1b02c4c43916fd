"""What the catalogue lists, and how granules are revised and withheld."""

from datetime import UTC, date, datetime, timedelta

import pytest

from msm.errors import MsmError
from msm.sandbox.catalogue import Catalogue, granule_record
from msm.sandbox.granules import Facts, products
from msm.sandbox.synthetic import SyntheticWeather

DAY = datetime(2024, 5, 17, tzinfo=UTC)
HOUR = "NLDAS_FORA0125_H.A20240517.0300.020.nc"
SMAP = "SMAP_L3_SM_P_E_20240517_R19240_001.h5"


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(SyntheticWeather(1))


def listed(catalogue, short_name, begin, end):
    return [granule.name for granule in catalogue.within(products()[short_name], begin, end)]


def test_bounds_are_inclusive(catalogue):
    hours = listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))
    assert len(hours) == 25
    assert hours[0] == "NLDAS_FORA0125_H.A20240517.0000.020.nc"
    assert hours[-1] == "NLDAS_FORA0125_H.A20240518.0000.020.nc"
    days = listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(days=1))
    assert days == [SMAP, SMAP.replace("0517", "0518")]
    # A granule that only ends inside the window is found as well.
    assert listed(catalogue, "SPL3SMP_E", DAY + timedelta(hours=20), DAY + timedelta(hours=21)) == [
        SMAP
    ]


def test_the_period_is_the_weathers(catalogue):
    first, last = SyntheticWeather.first_day, SyntheticWeather.last_day
    everything = listed(catalogue, "SPL3SMP", None, None)
    assert len(everything) == (last - first).days + 1
    hours = listed(catalogue, "NLDAS_FORA0125_H", datetime(2035, 12, 31, 22, tzinfo=UTC), None)
    assert [name[18:31] for name in hours] == ["20351231.2200", "20351231.2300", "20360101.0000"]
    assert listed(catalogue, "SPL3SMP", None, datetime(2015, 3, 30, tzinfo=UTC)) == []
    assert listed(catalogue, "SPL4SMLM", None, None) == [
        "SMAP_L4_SM_lmc_00000000T000000_Vv8011_001.h5"
    ]
    assert first == date(2015, 3, 31)


def test_names_outside_the_catalogue_are_unknown(catalogue):
    assert catalogue.named(HOUR) is not None
    assert catalogue.named(HOUR.replace("2024", "2044")) is None
    assert catalogue.named(SMAP.replace("_001", "_002")) is None
    assert catalogue.named("README.txt") is None
    with pytest.raises(MsmError, match="no granule"):
        catalogue.withhold("README.txt")


def test_a_withheld_granule_is_gone_until_restored(catalogue):
    catalogue.withhold(HOUR)
    assert catalogue.named(HOUR) is None
    assert len(listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))) == 24
    catalogue.restore(HOUR)
    assert len(listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))) == 25


def test_a_counted_product_gets_a_second_granule_beside_the_first(catalogue):
    first = catalogue.named(SMAP)
    second = catalogue.revise(SMAP, changed=True, produced=None)
    assert second.name == SMAP.replace("_001", "_002")
    assert (second.content, second.revision) == (2, 1)
    assert second.produced > first.produced
    assert second.concept_id != first.concept_id
    assert listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(hours=1)) == [SMAP, second.name]
    third = catalogue.revise(SMAP, changed=True, produced=None)
    assert third.name == SMAP.replace("_001", "_003")


def test_an_uncounted_product_keeps_its_name_and_id(catalogue):
    first = catalogue.named(HOUR)
    when = datetime(2024, 7, 1, tzinfo=UTC)
    second = catalogue.revise(HOUR, changed=True, produced=when)
    assert (second.name, second.concept_id) == (HOUR, first.concept_id)
    assert (second.content, second.revision, second.produced) == (2, 2, when)
    assert catalogue.named(HOUR) == second
    assert len(listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))) == 25


def test_a_touched_record_keeps_its_content(catalogue):
    touched = catalogue.revise(SMAP, changed=False, produced=None)
    assert (touched.name, touched.content, touched.revision) == (SMAP, 1, 2)
    assert listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(hours=1)) == [SMAP]


def test_reset_forgets(catalogue):
    catalogue.revise(SMAP, changed=True, produced=None)
    catalogue.withhold(HOUR)
    catalogue.reset()
    assert catalogue.named(SMAP.replace("_001", "_002")) is None
    assert catalogue.named(HOUR) is not None


def test_record_is_umm_g(catalogue):
    granule = catalogue.named(SMAP)
    record = granule_record(granule, Facts(2**20, "ab"), "https://127.0.0.1:1/data/")
    meta, umm = record["meta"], record["umm"]
    assert meta["provider-id"] == "NSIDC_CPRD"
    assert meta["concept-id"].endswith("-NSIDC_CPRD")
    assert (meta["native-id"], meta["revision-id"]) == (SMAP, 1)
    assert meta["revision-date"] == "2024-05-19T00:00:00.000Z"
    assert umm["GranuleUR"] == SMAP
    assert umm["CollectionReference"] == {"ShortName": "SPL3SMP_E", "Version": "006"}
    assert umm["RelatedUrls"][0] == {
        "URL": f"https://127.0.0.1:1/data/SPL3SMP_E/006/2024/05/17/{SMAP}",
        "Type": "GET DATA",
        "MimeType": "application/x-hdf5",
    }
    assert umm["TemporalExtent"]["RangeDateTime"] == {
        "BeginningDateTime": "2024-05-17T00:00:00.000Z",
        "EndingDateTime": "2024-05-17T23:59:59.999Z",
    }
    (archived,) = umm["DataGranule"]["ArchiveAndDistributionInformation"]
    assert (archived["SizeInBytes"], archived["Size"], archived["SizeUnit"]) == (2**20, 1.0, "MB")
    assert archived["Checksum"] == {"Value": "ab", "Algorithm": "SHA-256"}
