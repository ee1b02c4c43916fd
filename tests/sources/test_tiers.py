"""Choice of the product of each variable, cell and day."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msm.grid.domain import load_domain
from msm.sources.tiers import NoSourceError, best_sources, choose, due_day, load_tiers, sources

CONUS = load_domain("box:38,39,-98.5,-97")
AFRICA = load_domain("box:5,6,20,21")
NORTH = load_domain("box:59,61,20,30")
DAY = date(2016, 4, 1)
TIERS = load_tiers()
KEYS = list(TIERS.products)


def only(*keys):
    there = {TIERS.products[key].source.id for key in keys}
    return lambda product: product.id in there


def chosen(choice):
    """Return the pairs of variable and chosen product."""
    return {(share.variable, share.product.layout.product) for share in choice.shares}


def test_every_entry_names_a_product_with_the_variable_in_its_units():
    units = {
        "precipitation": "mm day-1",
        "air_temperature": "K",
        "specific_humidity": "kg kg-1",
        "shortwave_down": "W m-2",
        "longwave_down": "W m-2",
        "surface_pressure": "Pa",
        "wind_speed": "m s-1",
    }
    orders = TIERS.required | TIERS.optional
    assert set(orders) == set(units)
    for variable, order in orders.items():
        for key in order:
            tier = TIERS.products[key]
            field = TIERS.gives(tier, variable)
            assert field in tier.source.forcing
            assert tier.source.units(field) == units[variable]
            assert tier.source.layout.stamps(DAY)
    assert {key for order in orders.values() for key in order} == set(KEYS)


def test_nldas_is_best_over_conus_and_no_other_product_is_checked():
    checked = []

    def complete(product):
        checked.append(product.layout.product)
        return True

    choice = choose(CONUS, DAY, complete)
    assert set(checked) == {"NLDAS_FORA0125_H"}
    assert {product for _, product in chosen(choice)} == {"NLDAS_FORA0125_H"}
    assert {share.variable for share in choice.shares} == set(TIERS.required | TIERS.optional)
    assert not choice.lower_tier.any()
    assert choice.awaited == ()


def test_smap_l4_stands_in_for_late_nldas_with_flagged_quantities():
    choice = choose(CONUS, DAY, only("smap_l4"))
    fields = {share.variable: share.field for share in choice.shares}
    assert fields == {
        "precipitation": "precipitation",
        "air_temperature": "air_temperature_lowest_level",
        "specific_humidity": "specific_humidity_lowest_level",
        "shortwave_down": "shortwave_down",
        "surface_pressure": "surface_pressure",
        "wind_speed": "wind_speed_lowest_level",
    }
    assert choice.lower_tier.all()
    assert choice.awaited == ("NLDAS_FORA0125_H 2.0",)


def test_smap_l4_is_best_elsewhere_and_its_stand_ins_are_flagged():
    choice = choose(AFRICA, DAY, only(*KEYS))
    assert {product for _, product in chosen(choice)} == {"SPL4SMGP"}
    assert choice.awaited == ()
    assert choice.lower_tier.all()


def test_imerg_supplies_rain_up_to_60_degrees():
    choice = choose(NORTH, DAY, only("gldas", "imerg_late"))
    rain = {s.product.layout.product: s.cells for s in choice.shares if s.variable[0] == "p"}
    np.testing.assert_array_equal(rain["GPM_3IMERGDL"], NORTH.lat <= 60)
    np.testing.assert_array_equal(rain["GLDAS_NOAH025_3H"], NORTH.lat > 60)
    assert choice.awaited == ("SPL4SMGP 008",)


def test_gldas_is_best_before_smap():
    choice = choose(AFRICA, date(2015, 3, 30), only("gldas", "imerg_late"))
    assert choice.awaited == ()
    assert not choice.lower_tier.any()


def test_day_without_a_source_names_the_products_tried():
    with pytest.raises(NoSourceError) as error:
        choose(CONUS, DAY, only("imerg_late"))
    assert error.value.variable == "air_temperature"
    assert error.value.tried[0].id == "NLDAS_FORA0125_H 2.0"
    with pytest.raises(NoSourceError) as error:
        choose(CONUS, date(1970, 1, 1), only(*KEYS))
    assert error.value.tried == ()


@given(
    there=st.sets(st.sampled_from(KEYS)),
    day=st.dates(date(1985, 1, 1), date(2026, 1, 1)),
    domain=st.sampled_from([CONUS, AFRICA, NORTH]),
)
@settings(max_examples=60, deadline=None)
def test_every_cell_has_each_variable_once_from_the_best_complete_product(there, day, domain):
    complete = only(*there)
    try:
        choice = choose(domain, day, complete)
    except NoSourceError:
        return
    worse = np.zeros(domain.n_cell, bool)
    for variable in TIERS.required:
        shares = [share for share in choice.shares if share.variable == variable]
        assert (np.sum([share.cells for share in shares], axis=0) == 1).all()
        for share in shares:
            order = TIERS.of(variable, domain)
            place = next(n for n, tier in enumerate(order) if tier.source is share.product)
            for better in order[:place]:
                reached = share.cells & better.reaches(domain)
                assert not (reached.any() and better.covers(day) and complete(better.source))
                worse |= reached & better.covers(day)
            worse |= share.cells & (share.field != variable)
    np.testing.assert_array_equal(choice.lower_tier, worse)


@pytest.mark.parametrize(
    ("domain", "moment", "day"),
    [
        # NLDAS-2 is due four days after the end of its day, SPL4SMGP three.
        ("conus", datetime(2026, 11, 23, 14, 30, tzinfo=UTC), date(2026, 11, 18)),
        ("conus", datetime(2024, 3, 5, 0, 0, tzinfo=UTC), date(2024, 2, 29)),
        ("box:5,6,20,21", datetime(2026, 11, 23, 14, 30, tzinfo=UTC), date(2026, 11, 19)),
    ],
)
def test_newest_due_day(domain, moment, day):
    assert due_day(load_domain(domain), moment) == day


def test_sources_of_a_domain():
    assert [p.layout.product for p in best_sources(CONUS)] == ["NLDAS_FORA0125_H"]
    assert [p.layout.product for p in best_sources(AFRICA)] == ["SPL4SMGP"]
    assert [p.layout.product for p in sources(AFRICA)] == [
        TIERS.products[key].product for key in KEYS if key != "nldas"
    ]
    assert len(sources(CONUS)) == len(KEYS)
