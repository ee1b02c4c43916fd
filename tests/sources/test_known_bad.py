import logging
from datetime import UTC, date, datetime

import pytest

from msm.products.definitions import SPL3SMP_E_006, SPL4SMGP_008
from msm.products.registry import product
from msm.sources.granule import Granule
from msm.sources.known_bad import drop_known_bad, load_known_bad

LATE = datetime(2026, 9, 3, tzinfo=UTC)


def granule(day: date, production: datetime | None = None, name: str = "SMAP_L3") -> Granule:
    return Granule(
        product="SPL3SMP_E",
        version="006",
        name=f"{name}_{day:%Y%m%d}.h5",
        time=datetime(day.year, day.month, day.day, tzinfo=UTC),
        production=production,
    )


@pytest.mark.parametrize(
    ("day", "production", "good"),
    [
        (date(2026, 5, 13), None, True),
        (date(2026, 5, 14), datetime(2026, 5, 16, tzinfo=UTC), False),
        (date(2026, 7, 28), datetime(2026, 7, 31, 23, 59, tzinfo=UTC), False),
        (date(2026, 7, 28), None, False),
        (date(2026, 7, 28), datetime(2026, 8, 1, tzinfo=UTC), True),
        (date(2026, 5, 14), LATE, True),
        (date(2026, 7, 29), datetime(2026, 7, 31, tzinfo=UTC), True),
        (date(2019, 6, 19), LATE, False),
        (date(2022, 9, 20), None, False),
        (date(2022, 9, 21), None, True),
    ],
)
def test_bad_days_and_productions_are_dropped(day, production, good):
    offered = [granule(day, production)]
    assert drop_known_bad(SPL3SMP_E_006, offered) == (offered if good else [])


def test_dropped_granules_are_logged_with_the_reason(caplog):
    with caplog.at_level(logging.WARNING):
        day = date(2026, 6, 1)
        drop_known_bad(SPL3SMP_E_006, [granule(day), granule(day, LATE, "new")])
    assert caplog.messages == [
        "SMAP_L3_20260601.h5 is left out: its geolocation is wrong until the provider "
        "reprocesses it."
    ]


def test_other_products_and_static_granules_are_kept():
    """The land model's analysis rests mostly on its own weather; static granules have no day."""
    offered = [granule(date(2026, 6, 1))]
    assert drop_known_bad(SPL4SMGP_008, offered) == offered
    static = [Granule("SPL3SMP_E", "006", "static.h5", None)]
    assert drop_known_bad(SPL3SMP_E_006, static) == static


def test_known_bad_list_names_registered_products():
    for period in load_known_bad().periods:
        assert period.first <= period.last
        for product_id in period.products:
            assert product(*product_id.split(" ")).id == product_id
