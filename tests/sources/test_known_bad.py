import logging
from datetime import UTC, date, datetime

import pytest

from msm.products.definitions import SPL4SMGP_008
from msm.products.registry import product
from msm.products.smap_l3 import SPL3SMP_E_006
from msm.sources.granule import Granule
from msm.sources.known_bad import load_known_bad, sound

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
def test_days_and_productions_of_a_known_fault(day, production, good):
    offered = [granule(day, production)]
    assert sound(SPL3SMP_E_006, offered) == (offered if good else [])


def test_what_is_left_out_is_told(caplog):
    with caplog.at_level(logging.WARNING):
        sound(SPL3SMP_E_006, [granule(date(2026, 6, 1)), granule(date(2026, 6, 1), LATE, "new")])
    (told,) = caplog.messages
    assert told == (
        "SMAP_L3_20260601.h5 is left out: its geolocation is wrong until the provider makes it"
        " anew."
    )


def test_other_products_are_not_meant():
    """The land model's analysis leans on its own weather; static granules have no day."""
    offered = [granule(date(2026, 6, 1))]
    assert sound(SPL4SMGP_008, offered) == offered
    timeless = [Granule("SPL3SMP_E", "006", "static.h5", None)]
    assert sound(SPL3SMP_E_006, timeless) == timeless


def test_the_list_names_products_that_msm_knows():
    for period in load_known_bad().periods:
        assert period.first <= period.last
        for product_id in period.products:
            assert product(*product_id.split(" ")).id == product_id
