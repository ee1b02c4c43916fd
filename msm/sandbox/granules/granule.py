"""The products that the sandbox serves, and their granules, produced from weather."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msm.grid.domain import land_fraction
from msm.products.layout import STEP, Layout, load_layout
from msm.sandbox.granules.alterations import Alteration, alter
from msm.sandbox.granules.half_orbits import (
    FIRST_BEGIN,
    HALF_ORBIT,
    LETTER,
    half_orbit,
    half_orbit_fields,
)
from msm.sandbox.granules.intervals import granule_fields
from msm.sandbox.granules.window import EASE_GRIDS, centres
from msm.sandbox.granules.writer import CLOCK, write_granule
from msm.sandbox.weather.interface import Fields, Weather

REVISED = {
    "precipitation",
    "soil_moisture",
    "soil_moisture_am",
    "soil_moisture_pm",
    "soil_moisture_surface",
    "soil_moisture_0_10cm",
}
"""Variables that change by one percent with each new content of a granule.

In a granule without any of them the first variable changes.
"""

START = datetime(2000, 1, 1, tzinfo=UTC)
"""Midnight from which granules at fixed times are counted."""


@dataclass(frozen=True)
class ServedProduct:
    """A product that the sandbox serves, with granules at equal steps of time."""

    layout: Layout
    fields: Callable[[Weather, Layout, datetime], Fields]
    """Computes a granule's fields from weather, by the layout's variable names."""
    collection: str
    """Concept id of the collection."""
    release: str = ""
    """Release in the granules' names, where they have one."""
    clock: str = CLOCK
    """Units of the time variable, as `write_granule` takes them."""
    lead: timedelta = timedelta(0)
    """How long before a granule's own time its record begins."""

    @property
    def counted(self) -> bool:
        """Whether a new production gets a new name, with a higher counter."""
        return "{counter}" in self.layout.file_name

    @property
    def step(self) -> timedelta:
        """Time from one granule to the next."""
        return STEP.get(self.layout.cadence, HALF_ORBIT)

    @property
    def _origin(self) -> datetime:
        if self.layout.cadence == "half_orbit":
            return FIRST_BEGIN
        return START + timedelta(minutes=self.layout.first_minutes)

    def stamp(self, number: int) -> datetime:
        """Return the time of a granule by its number, to the second, as in its name."""
        exact = self._origin + number * self.step
        return (exact + timedelta(microseconds=999_999)).replace(microsecond=0)

    def number_at(self, time: datetime) -> int:
        """Return the number of the granule whose record holds a time."""
        return (time + self.lead - self._origin) // self.step

    def numbers(self, first: date, last: date) -> range:
        """Return the numbers of the granules that the days from `first` to `last` use."""
        stamps = self.layout.stamps(first)[:1] + self.layout.stamps(last)[-1:]
        if not stamps:
            # Half-orbits that begin on these days.
            until = midnight(last + timedelta(days=1))
            return range(self.number_at(midnight(first)) + 1, self.number_at(until) + 1)
        return range(
            self.number_at(stamps[0] - self.lead), self.number_at(stamps[1] - self.lead) + 1
        )

    def name(self, stamp: datetime, counter: int) -> str:
        """Return the file name of the granule of a time."""
        number, half, _ = half_orbit(stamp)
        return self.layout.file_name.format(
            time=stamp,
            end=stamp + self.step - timedelta(seconds=1),
            minute=60 * stamp.hour + stamp.minute,
            orbit=number,
            half=LETTER[half],
            release=self.release,
            counter=f"{counter:03d}",
        )


def midnight(day: date) -> datetime:
    """Return the moment at which a UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class FileInfo(NamedTuple):
    """Size and checksum of a file, as its record states them."""

    size: int
    """Bytes."""
    sha256: str


def _hourly(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    return granule_fields(weather, layout, stamp, *centres(layout.grid, weather.extent))


def _retrievals(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    fields = {}
    for half in ("am", "pm"):
        found = weather.satellite(stamp.date(), EASE_GRIDS[layout.grid.kind], half)
        fields.update({f"{name}_{half}": field for name, field in found.items()})
    return fields


def _half_orbit(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    return half_orbit_fields(weather, stamp)


def _land(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    fraction = land_fraction().astype(np.float32) / np.float32(100)
    return {**weather.soil(EASE_GRIDS[layout.grid.kind]), "land_fraction": fraction}


SMAP_L4 = "seconds since 2000-01-01 11:58:55.816"
GLDAS = " minutes since 2000-01-01 03:00:00"
IMERG = "days since 1980-01-06 00:00:00"
MERRA2 = "minutes since {first:%Y-%m-%d %H:%M:%S}"
"""Clocks of the providers: SMAP L4, GLDAS and MERRA-2 as in real granules."""

THREE_HOURS = timedelta(hours=3)


@lru_cache(maxsize=1)
def served_products() -> dict[str, ServedProduct]:
    """Return the products served, by short name."""
    # The real concept id of NLDAS's forcing; those of the others were not available.
    nsidc, ges_disc = "C90000000{:02d}-NSIDC_CPRD", "C90000000{:02d}-GES_DISC"
    served = (
        ServedProduct(load_layout("nldas_fora0125_h_2.0"), _hourly, "C2033151148-GES_DISC"),
        ServedProduct(load_layout("nldas_noah0125_h_2.0"), _hourly, ges_disc.format(1)),
        ServedProduct(load_layout("spl3smp_e_006"), _retrievals, nsidc.format(2), "R19240"),
        ServedProduct(load_layout("spl3smp_009"), _retrievals, nsidc.format(3), "R19240"),
        ServedProduct(load_layout("spl4smlm_008"), _land, nsidc.format(4), "Vv8011"),
        ServedProduct(
            load_layout("spl4smgp_008"),
            _hourly,
            nsidc.format(5),
            "Vv8011",
            SMAP_L4,
            lead=THREE_HOURS / 2,
        ),
        ServedProduct(load_layout("spl4smau_008"), _hourly, nsidc.format(6), "Vv8011", SMAP_L4),
        ServedProduct(load_layout("spl2smp_nrt_107"), _half_orbit, nsidc.format(7), "N19241"),
        # GLDAS's records state the interval of its means, as its time bounds do.
        ServedProduct(
            load_layout("gldas_noah025_3h_2.1"),
            _hourly,
            ges_disc.format(8),
            clock=GLDAS,
            lead=THREE_HOURS,
        ),
        ServedProduct(
            load_layout("gldas_noah025_3h_ep_2.1"),
            _hourly,
            ges_disc.format(9),
            clock=GLDAS,
            lead=THREE_HOURS,
        ),
        ServedProduct(load_layout("gpm_3imergde_07"), _hourly, ges_disc.format(10), "V07C", IMERG),
        ServedProduct(load_layout("gpm_3imergdl_07"), _hourly, ges_disc.format(11), "V07C", IMERG),
        ServedProduct(load_layout("gpm_3imergdf_07"), _hourly, ges_disc.format(12), "V07B", IMERG),
        ServedProduct(load_layout("m2t1nxslv_5.12.4"), _hourly, ges_disc.format(13), "400", MERRA2),
        ServedProduct(load_layout("m2t1nxflx_5.12.4"), _hourly, ges_disc.format(14), "400", MERRA2),
        ServedProduct(load_layout("m2t1nxrad_5.12.4"), _hourly, ges_disc.format(15), "400", MERRA2),
    )
    return {product.layout.product: product for product in served}


def make_granule(
    weather: Weather,
    short_name: str,
    stamp: datetime,
    content: int,
    path: Path,
    alteration: Alteration | None = None,
) -> FileInfo:
    """Write one granule; equal arguments give equal bytes.

    Parameters
    ----------
    weather
        Source of the fields.
    short_name
        Product, a key of `served_products`.
    stamp
        Time of the granule.
    content
        1 for the first production; each further one has slightly different values.
    path
        Target, written under a temporary name and then renamed.
    alteration
        How the granule differs from the product's layout.

    Returns
    -------
    FileInfo
        Size and checksum of the file.
    """
    product = served_products()[short_name]
    layout = product.layout
    fields = _revised(layout, product.fields(weather, layout, stamp), content)
    if alteration is not None:
        layout, fields = alter(layout, fields, alteration)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    write_granule(part, layout, stamp, fields, weather.extent, product.clock)
    with part.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    part.rename(path)
    return FileInfo(path.stat().st_size, sha256)


def _revised(layout: Layout, fields: Fields, content: int) -> Fields:
    """Return fields with the values of a content."""
    names = [v.name for v in layout.variables if v.name in fields]
    revised = REVISED.intersection(names) or names[:1]
    return {
        name: field * (1 + 0.01 * (content - 1)) if name in revised else field
        for name, field in fields.items()
    }
