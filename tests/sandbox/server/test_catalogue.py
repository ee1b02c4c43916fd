"""The catalogue lists granules; they can be revised, withheld, duplicated and altered."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from msm.errors import MsmError
from msm.sandbox.granules.granule import FileInfo, served_products
from msm.sandbox.server.catalogue import Catalogue, granule_record
from msm.sandbox.weather.synthetic import SyntheticWeather

DAY = datetime(2024, 5, 17, tzinfo=UTC)
HOUR = "NLDAS_FORA0125_H.A20240517.0300.020.nc"
SMAP = "SMAP_L3_SM_P_E_20240517_R19240_001.h5"


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(SyntheticWeather(1))


def listed(catalogue, short_name, begin, end):
    return [granule.name for granule in catalogue.within(served_products()[short_name], begin, end)]


def test_bounds_are_inclusive(catalogue):
    hours = listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))
    assert len(hours) == 25
    assert hours[0] == "NLDAS_FORA0125_H.A20240517.0000.020.nc"
    assert hours[-1] == "NLDAS_FORA0125_H.A20240518.0000.020.nc"
    days = listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(days=1))
    assert days == [SMAP, SMAP.replace("0517", "0518")]
    # A granule that overlaps the window is found as well.
    assert listed(catalogue, "SPL3SMP_E", DAY + timedelta(hours=20), DAY + timedelta(hours=21)) == [
        SMAP
    ]


def test_granules_exist_in_the_period_of_the_weather(catalogue):
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


class ThreeDays(SyntheticWeather):
    """Weather of three days."""

    first_day, last_day = date(2024, 5, 16), date(2024, 5, 18)


MIDDLE, END = "SMAP_L4_SM_gph_{}_Vv8011_001.h5", "GLDAS_NOAH025_3H.A{}.021.nc4"


@pytest.mark.parametrize(
    ("short_name", "form", "first", "last", "count"),
    [
        ("NLDAS_FORA0125_H", "NLDAS_FORA0125_H.A{}.020.nc", "0517.0000", "0518.0000", 25),
        ("NLDAS_NOAH0125_H", "NLDAS_NOAH0125_H.A{}.020.nc", "0517.0000", "0518.0000", 25),
        # The records of means state their interval: one more at either end touches the window.
        ("SPL4SMGP", MIDDLE, "0517T013000", "0518T013000", 9),
        ("SPL4SMAU", MIDDLE.replace("gph", "aup"), "0517T000000", "0518T000000", 9),
        ("GLDAS_NOAH025_3H", END, "0517.0300", "0518.0300", 9),
        ("GPM_3IMERGDF", "3B-DAY.MS.MRG.3IMERG.{}-S000000-E235959.V07B.nc4", "0517", "0518", 2),
        ("M2T1NXFLX", "MERRA2_400.tavg1_2d_flx_Nx.{}.nc4", "0517", "0518", 2),
    ],
)
def test_granules_of_a_day_are_listed(catalogue, short_name, form, first, last, count):
    found = listed(catalogue, short_name, DAY, DAY + timedelta(days=1))
    assert len(found) == count
    assert (found[0], found[-1]) == (form.format(f"2024{first}"), form.format(f"2024{last}"))


@pytest.mark.parametrize("short_name", list(served_products()))
def test_first_and_last_day_are_complete(short_name):
    product = served_products()[short_name]
    everything = {g.stamp for g in Catalogue(ThreeDays(1)).within(product, None, None)}
    first, last = ThreeDays.first_day, ThreeDays.last_day
    for day in (first, last):
        assert set(product.layout.stamps(day)) <= everything
    if product.layout.cadence == "half_orbit":
        assert len(everything) in (87, 88)
    elif product.layout.cadence != "static":
        assert min(everything) == min(product.layout.stamps(first))
        assert max(everything) == max(product.layout.stamps(last))


@pytest.mark.parametrize("short_name", list(served_products()))
def test_every_product_can_be_withheld_revised_duplicated_and_altered(catalogue, short_name):
    product = served_products()[short_name]
    day = (DAY, DAY + timedelta(days=1))

    def names():
        return listed(catalogue, short_name, *day)

    original = names()
    name = original[len(original) // 2]
    granule = catalogue.named(name)
    assert granule.name == name
    assert granule.begin <= day[1]
    assert granule.end >= day[0]
    due = timedelta(days=product.layout.latency.due_days)
    assert granule.produced == granule.stamp + due
    catalogue.withhold(name)
    assert names() == [other for other in original if other != name]
    assert catalogue.named(name) is None
    catalogue.restore(name)
    revised = catalogue.revise(name, changed=True, produced=None)
    assert (revised.name == name) == (not product.counted)
    assert catalogue.named(revised.name).content == 2
    catalogue.duplicate(revised.name)
    assert names().count(revised.name) == 2
    altered = catalogue.alter(revised.name, "unknown_version")
    assert altered.name in names()
    assert not product.layout.matches(altered.name)
    catalogue.reset()
    assert names() == original


def test_with_a_clock_granules_are_available_once_produced(catalogue):
    hour, wanted = HOUR, (DAY, DAY + timedelta(hours=23))
    produced = catalogue.named(hour).produced
    catalogue.clock = produced - timedelta(seconds=1)
    before = listed(catalogue, "NLDAS_FORA0125_H", *wanted)
    assert hour not in before
    assert catalogue.named(hour) is None
    catalogue.clock = produced
    assert listed(catalogue, "NLDAS_FORA0125_H", *wanted) == [*before, hour]
    assert catalogue.named(hour).name == hour
    # A granule can be withheld before it is produced.
    catalogue.clock = DAY
    catalogue.withhold(hour)
    catalogue.clock = produced
    assert catalogue.named(hour) is None
    catalogue.reset()
    assert catalogue.clock is None
    assert len(listed(catalogue, "NLDAS_FORA0125_H", *wanted)) == 24


def test_half_orbits_follow_one_another(catalogue):
    product = served_products()["SPL2SMP_NRT"]
    found = list(catalogue.within(product, DAY, DAY + timedelta(days=1)))
    assert 30 <= len(found) <= 31
    for before, after in pairwise(found):
        assert abs(after.begin - before.end) < timedelta(seconds=2)
    assert found[0].begin < DAY < found[0].end
    assert {granule.name[23] for granule in found} == {"A", "D"}
    # A name with the other direction or another number is unknown.
    one = next(granule.name for granule in found if "_D_" in granule.name)
    assert catalogue.named(one) is not None
    assert catalogue.named(one.replace("_D_", "_A_")) is None
    assert catalogue.named(one.replace("_N", "9_N")) is None


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        (HOUR, "2024-05-17T03:00:00.000Z", "2024-05-17T03:59:59.999Z"),
        (
            MIDDLE.format("20240517T013000"),
            "2024-05-17T00:00:00.000Z",
            "2024-05-17T02:59:59.999Z",
        ),
        (END.format("20240517.0000"), "2024-05-16T21:00:00.000Z", "2024-05-16T23:59:59.999Z"),
        (
            "MERRA2_400.tavg1_2d_flx_Nx.20240517.nc4",
            "2024-05-17T00:00:00.000Z",
            "2024-05-17T23:59:59.999Z",
        ),
    ],
)
def test_records_state_the_interval(catalogue, name, begin, end):
    record = granule_record(catalogue.named(name), FileInfo(1, "ab"), "https://127.0.0.1:1/data/")
    assert record["umm"]["TemporalExtent"]["RangeDateTime"] == {
        "BeginningDateTime": begin,
        "EndingDateTime": end,
    }


@pytest.mark.parametrize(
    ("name", "west", "north", "east", "south"),
    [
        (HOUR, -125.0, 53.0, -67.0, 25.0),
        (SMAP, -180.0, 85.0445, 180.0, -85.0445),
        (END.format("20240517.0000"), -180.0, 90.0, 180.0, -60.0),
        ("MERRA2_400.tavg1_2d_flx_Nx.20240517.nc4", -180.0, 90.0, 179.6875, -90.0),
    ],
)
def test_records_state_the_grids_outline(catalogue, name, west, north, east, south):
    record = granule_record(catalogue.named(name), FileInfo(1, "ab"), "https://127.0.0.1:1/data/")
    geometry = record["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]
    assert geometry["BoundingRectangles"] == [
        {
            "WestBoundingCoordinate": west,
            "NorthBoundingCoordinate": north,
            "EastBoundingCoordinate": east,
            "SouthBoundingCoordinate": south,
        }
    ]


def test_names_outside_the_catalogue_are_unknown(catalogue):
    assert catalogue.named(HOUR) is not None
    assert catalogue.named(HOUR.replace("2024", "2044")) is None
    assert catalogue.named(SMAP.replace("_001", "_002")) is None
    assert catalogue.named("README.txt") is None
    with pytest.raises(MsmError, match="no granule"):
        catalogue.withhold("README.txt")


def test_revision_of_a_counted_product_is_a_second_granule(catalogue):
    first = catalogue.named(SMAP)
    second = catalogue.revise(SMAP, changed=True, produced=None)
    assert second.name == SMAP.replace("_001", "_002")
    assert (second.content, second.revision) == (2, 1)
    assert second.produced > first.produced
    assert second.concept_id != first.concept_id
    assert listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(hours=1)) == [SMAP, second.name]
    third = catalogue.revise(SMAP, changed=True, produced=None)
    assert third.name == SMAP.replace("_001", "_003")


def test_revision_of_an_uncounted_product_keeps_name_and_id(catalogue):
    first = catalogue.named(HOUR)
    when = datetime(2024, 7, 1, tzinfo=UTC)
    second = catalogue.revise(HOUR, changed=True, produced=when)
    assert (second.name, second.concept_id) == (HOUR, first.concept_id)
    assert (second.content, second.revision, second.produced) == (2, 2, when)
    assert catalogue.named(HOUR) == second
    assert len(listed(catalogue, "NLDAS_FORA0125_H", DAY, DAY + timedelta(days=1))) == 25


def test_unchanged_revision_keeps_its_content(catalogue):
    touched = catalogue.revise(SMAP, changed=False, produced=None)
    assert (touched.name, touched.content, touched.revision) == (SMAP, 1, 2)
    assert listed(catalogue, "SPL3SMP_E", DAY, DAY + timedelta(hours=1)) == [SMAP]


def test_record_is_umm_g(catalogue):
    granule = catalogue.named(SMAP)
    record = granule_record(granule, FileInfo(2**20, "ab"), "https://127.0.0.1:1/data/")
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
