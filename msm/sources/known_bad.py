"""Granules that their provider offers although they are bad: the periods of `known_bad.toml`."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files

from pydantic import AwareDatetime

from msm.frozen import FrozenModel
from msm.products.product import Product
from msm.sources.granule import Granule

log = logging.getLogger(__name__)


class Period(FrozenModel):
    """Days on which a product's granules must not be used."""

    products: tuple[str, ...]
    """Ids, short name and version."""
    first: date
    last: date
    produced_before: AwareDatetime | None = None
    """Only productions before this time are bad; one without a production time is bad too."""
    reason: str
    source: str

    def applies_to(self, product_id: str, day: date, production: datetime | None) -> bool:
        """Return whether the period applies to a production of a product's granule of a day."""
        if product_id not in self.products or not self.first <= day <= self.last:
            return False
        repaired = self.produced_before and production and production >= self.produced_before
        return not repaired


class KnownBad(FrozenModel):
    """The content of `known_bad.toml`."""

    periods: tuple[Period, ...]


@lru_cache(maxsize=1)
def load_known_bad() -> KnownBad:
    """Load `known_bad.toml`."""
    text = files("msm.sources").joinpath("known_bad.toml").read_text(encoding="utf-8")
    return KnownBad.model_validate(tomllib.loads(text))


def drop_known_bad(product: Product, granules: Iterable[Granule]) -> list[Granule]:
    """Leave out granules that are known to be bad, and log each with the reason."""
    kept = []
    for granule in granules:
        why = known_fault(product, granule)
        if why:
            log.warning("%s is left out: %s.", granule.name, why)
        else:
            kept.append(granule)
    return kept


def known_fault(product: Product, granule: Granule) -> str | None:
    """Return why a granule is known to be bad; None where it is not."""
    if granule.time is None:
        return None
    day = granule.time.date()
    for period in load_known_bad().periods:
        if period.applies_to(product.id, day, granule.production):
            return period.reason
    return None
