"""Sources of a day's forcing, by the order of preference in `tiers.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from msm.frozen import FrozenModel
from msm.grid.domain import Domain
from msm.products.product import Product
from msm.products.registry import product as known_product


class Box(NamedTuple):
    """A region, degrees."""

    south: float
    north: float
    west: float
    east: float

    def contains(self, domain: Domain) -> NDArray[np.bool_]:
        """Return which cells have their centre inside, shape (n_cell,)."""
        return (
            (domain.lat >= self.south)
            & (domain.lat <= self.north)
            & (domain.lon >= self.west)
            & (domain.lon <= self.east)
        )


class Tier(FrozenModel):
    """One product as a source of forcing."""

    product: str
    version: str
    inside: Box | None = None
    """Region that a domain must lie in for the product to serve it."""
    cells: Box | None = None
    """Region of the cells that the product serves."""
    first: date
    """First complete UTC day of the version."""
    last: date | None = None
    """Last complete UTC day of a version that has ended."""
    good_for: str

    @property
    def source(self) -> Product:
        """The product."""
        return known_product(self.product, self.version)

    def serves(self, domain: Domain) -> bool:
        """Return whether the product serves a domain."""
        return self.inside is None or bool(self.inside.contains(domain).all())

    def covers(self, day: date) -> bool:
        """Return whether a day lies in the period of the version."""
        return self.first <= day and (self.last is None or day <= self.last)

    def reaches(self, domain: Domain) -> NDArray[np.bool_]:
        """Return which cells the product has values for, shape (n_cell,)."""
        return np.ones(domain.n_cell, bool) if self.cells is None else self.cells.contains(domain)


class Tiers(FrozenModel):
    """The content of `tiers.toml`."""

    stand_in: dict[str, str]
    products: dict[str, Tier]
    required: dict[str, tuple[str, ...]]
    optional: dict[str, tuple[str, ...]]

    def of(self, variable: str, domain: Domain) -> list[Tier]:
        """List the products of a variable that serve a domain, best first."""
        ordered = self.required.get(variable) or self.optional[variable]
        return [tier for key in ordered if (tier := self.products[key]).serves(domain)]

    def gives(self, tier: Tier, variable: str) -> str:
        """Return the product's field that is used for a variable: itself, or its stand-in."""
        return variable if variable in tier.source.forcing else self.stand_in[variable]


@lru_cache(maxsize=1)
def load_tiers() -> Tiers:
    """Load `tiers.toml`."""
    text = files("msm.sources").joinpath("tiers.toml").read_text(encoding="utf-8")
    return Tiers.model_validate(tomllib.loads(text))


@dataclass(frozen=True, eq=False)
class Share:
    """The part of one variable of a day that one product supplies."""

    variable: str
    """Canonical name."""
    field: str
    """The product's field: the variable itself, or its stand-in."""
    product: Product
    cells: NDArray[np.bool_]
    """Cells that use it, shape (n_cell,)."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The sources of a day's forcing."""

    shares: tuple[Share, ...]
    lower_tier: NDArray[np.bool_]
    """Cells with a required variable from a stand-in or not from the best product."""
    awaited: tuple[str, ...]
    """Preferred products that are incomplete for the day, by id."""

    @property
    def products(self) -> tuple[Product, ...]:
        """The products to read, each once."""
        return tuple({share.product.id: share.product for share in self.shares}.values())


class NoSourceError(LookupError):
    """Some cells have no source of a required variable."""

    def __init__(self, variable: str, tried: Iterable[Product]) -> None:
        super().__init__(variable)
        self.variable, self.tried = variable, tuple(tried)


def choose(domain: Domain, day: date, complete: Callable[[Product], bool]) -> Choice:
    """Choose the best complete product for each variable and cell of a day.

    Parameters
    ----------
    domain
        The cells.
    day
        UTC day.
    complete
        Returns whether a product is complete for the day. It is called in order of preference, and
        only for products that are needed.

    Raises
    ------
    NoSourceError
        If a required variable has no complete product for some cell.
    """
    tiers = load_tiers()
    shares: list[Share] = []
    lower = np.zeros(domain.n_cell, bool)
    awaited: list[str] = []
    for variable in tiers.required:
        left = np.ones(domain.n_cell, bool)
        waiting = np.zeros(domain.n_cell, bool)
        incomplete = []
        for tier in tiers.of(variable, domain):
            cells = left & tier.reaches(domain)
            if not tier.covers(day) or not cells.any():
                continue
            product = tier.source
            if not complete(product):
                incomplete.append(product)
                waiting |= cells
                continue
            field = tiers.gives(tier, variable)
            shares.append(Share(variable, field, product, cells))
            lower |= cells & (waiting | (field != variable))
            left &= ~cells
            if not left.any():
                break
        if left.any():
            raise NoSourceError(variable, incomplete)
        awaited += [product.id for product in incomplete if product.id not in awaited]
    used = {share.product.id for share in shares}
    for variable in tiers.optional:
        for tier in tiers.of(variable, domain):
            if tier.source.id in used:
                field = tiers.gives(tier, variable)
                shares.append(Share(variable, field, tier.source, tier.reaches(domain)))
                break
    return Choice(tuple(shares), lower, tuple(awaited))


def best_sources(domain: Domain) -> tuple[Product, ...]:
    """List the most preferred current product of each required variable, each once."""
    tiers = load_tiers()
    firsts = (
        next(tier for tier in tiers.of(variable, domain) if tier.last is None)
        for variable in tiers.required
    )
    return tuple({tier.source.id: tier.source for tier in firsts}.values())


def sources(domain: Domain) -> tuple[Product, ...]:
    """List the current products that serve a domain, each once."""
    return tuple(
        tier.source
        for tier in load_tiers().products.values()
        if tier.last is None and tier.serves(domain)
    )


def due_day(domain: Domain, moment: datetime) -> date:
    """Return the newest UTC day whose best sources are due at a moment (UTC)."""
    return (moment - _due_after(domain)).date()


def due_moment(domain: Domain, day: date) -> datetime:
    """Return the moment (UTC) from which the best sources of a UTC day are due."""
    return datetime.combine(day, time(), UTC) + _due_after(domain)


def _due_after(domain: Domain) -> timedelta:
    """Return the time from the start of a day until its best sources are due."""
    return timedelta(
        days=1 + max(product.layout.latency.due_days for product in best_sources(domain))
    )
