"""Which product gives which forcing variable of a day: the order of `tiers.toml`, applied."""

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
    """Part of the world, degrees."""

    south: float
    north: float
    west: float
    east: float

    def holds(self, domain: Domain) -> NDArray[np.bool_]:
        """Tell which cells have their centre inside, shape (n_cell,)."""
        return (
            (domain.lat >= self.south)
            & (domain.lat <= self.north)
            & (domain.lon >= self.west)
            & (domain.lon <= self.east)
        )


class Tier(FrozenModel):
    """What one product is good for as a source of forcing."""

    product: str
    version: str
    inside: Box | None = None
    """The product serves only domains that lie in this box."""
    cells: Box | None = None
    """The product serves only the cells in this box."""
    first: date
    """First whole UTC day of the version."""
    last: date | None = None
    """Last whole UTC day, of a version that has ended."""
    good_for: str

    @property
    def source(self) -> Product:
        """The product."""
        return known_product(self.product, self.version)

    def serves(self, domain: Domain) -> bool:
        """Tell whether a domain may be made from this product."""
        return self.inside is None or bool(self.inside.holds(domain).all())

    def covers(self, day: date) -> bool:
        """Tell whether the version has a day, once it has come."""
        return self.first <= day and (self.last is None or day <= self.last)

    def reaches(self, domain: Domain) -> NDArray[np.bool_]:
        """Tell which cells the product has values for, shape (n_cell,)."""
        return np.ones(domain.n_cell, bool) if self.cells is None else self.cells.holds(domain)


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
        """Name the product's field that is taken for a variable: itself, or its stand-in."""
        known = tier.source.forcing
        return variable if variable in known else self.stand_in[variable]


@lru_cache(maxsize=1)
def load_tiers() -> Tiers:
    """Load `tiers.toml`."""
    text = files("msm.sources").joinpath("tiers.toml").read_text(encoding="utf-8")
    return Tiers.model_validate(tomllib.loads(text))


@dataclass(frozen=True, eq=False)
class Share:
    """What one product gives to one variable of a day."""

    variable: str
    """Canonical name."""
    field: str
    """The product's field: the variable itself, or its stand-in."""
    product: Product
    cells: NDArray[np.bool_]
    """Cells that take it, shape (n_cell,)."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Where a day's forcing comes from."""

    shares: tuple[Share, ...]
    lower_tier: NDArray[np.bool_]
    """Cells with a required variable from a stand-in, or not from the best product."""
    awaited: tuple[str, ...]
    """Better products that are not complete for the day, by id."""

    @property
    def products(self) -> tuple[Product, ...]:
        """The products to read, each once."""
        return tuple({share.product.id: share.product for share in self.shares}.values())


class NoSourceError(LookupError):
    """Cells are left without a source of a required variable."""

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
        Tells whether a product is whole for the day; asked in the order of preference, and only
        of products that are needed.

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
        lacking = []
        for tier in tiers.of(variable, domain):
            cells = left & tier.reaches(domain)
            if not tier.covers(day) or not cells.any():
                continue
            product = tier.source
            if not complete(product):
                lacking.append(product)
                waiting |= cells
                continue
            field = tiers.gives(tier, variable)
            shares.append(Share(variable, field, product, cells))
            lower |= cells & (waiting | (field != variable))
            left &= ~cells
            if not left.any():
                break
        if left.any():
            raise NoSourceError(variable, lacking)
        awaited += [product.id for product in lacking if product.id not in awaited]
    used = {share.product.id for share in shares}
    for variable in tiers.optional:
        for tier in tiers.of(variable, domain):
            if tier.source.id in used:
                field = tiers.gives(tier, variable)
                shares.append(Share(variable, field, tier.source, tier.reaches(domain)))
                break
    return Choice(tuple(shares), lower, tuple(awaited))


def best_sources(domain: Domain) -> tuple[Product, ...]:
    """List the first living product of each required variable, each once."""
    tiers = load_tiers()
    firsts = (
        next(tier for tier in tiers.of(variable, domain) if tier.last is None)
        for variable in tiers.required
    )
    return tuple({tier.source.id: tier.source for tier in firsts}.values())


def sources(domain: Domain) -> tuple[Product, ...]:
    """List every living product that may serve a domain, each once."""
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
    """Return the time from the beginning of a day until its best sources are due."""
    return timedelta(
        days=1 + max(product.layout.latency.due_days for product in best_sources(domain))
    )
