"""Which granules the sandbox has: their names, times, revisions, and UMM-G records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msm.errors import MsmError
from msm.products.layout import Grid
from msm.sandbox.granules.alterations import ALTERATIONS, Alteration, altered_name
from msm.sandbox.granules.granule import Facts, Product, products
from msm.sandbox.weather.interface import Weather

STATIC_START = datetime(2015, 3, 31, tzinfo=UTC)
"""Time that static granules are filed under; they hold for the rest of the mission."""

UMM_G = {
    "URL": "https://cdn.earthdata.nasa.gov/umm/granule/v1.6.6",
    "Name": "UMM-G",
    "Version": "1.6.6",
}


@dataclass(frozen=True)
class Granule:
    """One granule as the catalogue has it."""

    product: Product
    stamp: datetime
    """Its own time."""
    counter: int
    """Counter in its name, where it has one."""
    content: int
    """Which values it has: 1 for the first production's."""
    revision: int
    """Revision of its record."""
    produced: datetime
    """Production and revision time."""
    alteration: Alteration | None = None
    """What is not as its layout says."""
    copy: int = 1
    """2 for the second record of the same file."""

    @property
    def name(self) -> str:
        """File name."""
        return altered_name(self.product.name(self.stamp, self.counter), self.alteration)

    @property
    def begin(self) -> datetime:
        """Start of the time it is filed under."""
        return self.stamp - self.product.lead

    @property
    def end(self) -> datetime:
        """End of the time it is filed under."""
        if self.product.layout.cadence == "static":
            return datetime(2100, 1, 1, tzinfo=UTC)
        return self.begin + self.product.step - timedelta(milliseconds=1)

    @property
    def concept_id(self) -> str:
        """CMR's id of the granule, the same for all its revisions."""
        what = self.name if self.copy == 1 else f"{self.name} {self.copy}"
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:5], "big")
        return f"G{number % 10**10:010d}-{self.product.layout.provider}"

    @property
    def path(self) -> str:
        """Where the data host has it, below its root."""
        layout = self.product.layout
        return f"{layout.product}/{layout.version}/{self.stamp:%Y/%m/%d}/{self.name}"


class Catalogue:
    """The granules of all products, as weather, revisions and withheld names give them."""

    def __init__(self, weather: Weather) -> None:
        self.first_day, self.last_day = weather.first_day, weather.last_day
        self._revised: dict[tuple[str, datetime], tuple[Granule, ...]] = {}
        self._withheld: set[str] = set()
        self._duplicated: set[str] = set()
        self.clock: datetime | None = None
        """Moment that it is: what was produced later is not there yet. All is where there is none.
        """

    def reset(self) -> None:
        """Forget all revisions and the clock, and give out everything again."""
        self.clock = None
        self._revised.clear()
        self._withheld.clear()
        self._duplicated.clear()

    def within(
        self, product: Product, begin: datetime | None, end: datetime | None
    ) -> Iterator[Granule]:
        """Yield a product's granules that touch a time window, bounds included, in order."""
        for stamp in self._stamps(product, begin, end):
            for granule in self._at(product, stamp):
                if granule.name not in self._withheld and self._is_there(granule):
                    yield granule
                    if granule.name in self._duplicated:
                        yield replace(granule, copy=2)

    def named(self, name: str) -> Granule | None:
        """Return the granule of a file name, None where there is none to be had."""
        granule = self._find(name)
        return granule if granule and self._is_there(granule) else None

    def _is_there(self, granule: Granule) -> bool:
        return self.clock is None or granule.produced <= self.clock

    def _find(self, name: str) -> Granule | None:
        if name in self._withheld:
            return None
        return next((granule for granule in self._same_time(name) if granule.name == name), None)

    def withhold(self, name: str) -> None:
        """Take a granule out of the catalogue and off the data host."""
        self._withheld.add(self._known(name).name)

    def restore(self, name: str) -> None:
        """Give a withheld granule out again."""
        self._withheld.discard(name)

    def duplicate(self, name: str) -> None:
        """List a granule twice, under two concept ids."""
        self._duplicated.add(self._known(name).name)

    def alter(self, name: str, alteration: Alteration) -> Granule:
        """Put an altered granule in the place of a right one.

        Raises
        ------
        MsmError
            If there is no such granule or no such alteration.
        """
        if alteration not in ALTERATIONS:
            raise MsmError(f"There is no alteration {alteration!r}.")
        old = self._known(name)
        new = replace(old, alteration=alteration, revision=old.revision + 1)
        others = tuple(g for g in self._at(old.product, old.stamp) if g != old)
        self._revised[old.product.layout.product, old.stamp] = (*others, new)
        return new

    def revise(self, name: str, *, changed: bool, produced: datetime | None) -> Granule:
        """Publish a granule again.

        Parameters
        ----------
        name
            File name of the granule.
        changed
            Whether the values are new. Then a product that counts its productions gets a granule
            of a new name beside the old; another gets a new file of the same name. Otherwise only
            the record is touched.
        produced
            Production time, by default a day after the last.

        Raises
        ------
        MsmError
            If there is no such granule.
        """
        old = self._known(name)
        others = self._at(old.product, old.stamp)
        produced = produced or max(granule.produced for granule in others) + timedelta(days=1)
        beside = changed and old.product.counted
        new = replace(
            old,
            counter=max(granule.counter for granule in others) + 1 if beside else old.counter,
            content=max(granule.content for granule in others) + 1 if changed else old.content,
            revision=1 if beside else old.revision + 1,
            produced=produced,
        )
        kept = others if beside else tuple(granule for granule in others if granule != old)
        self._revised[old.product.layout.product, old.stamp] = (*kept, new)
        return new

    def _known(self, name: str) -> Granule:
        granule = self._find(name)
        if granule is None:
            raise MsmError(f"The sandbox has no granule {name!r}.")
        return granule

    def _same_time(self, name: str) -> tuple[Granule, ...]:
        for granules in self._revised.values():
            if any(granule.name == name for granule in granules):
                return granules
        for product in products().values():
            if product.layout.matches(name):
                stamp = product.layout.time_of(name) or STATIC_START
                begin = stamp - product.lead
                if stamp in self._stamps(product, begin, begin):
                    return self._at(product, stamp)
        return ()

    def _at(self, product: Product, stamp: datetime) -> tuple[Granule, ...]:
        due = timedelta(days=product.layout.latency.due_days)
        first = Granule(product, stamp, 1, 1, 1, stamp + due)
        return self._revised.get((product.layout.product, stamp), (first,))

    def _stamps(
        self, product: Product, begin: datetime | None, end: datetime | None
    ) -> list[datetime]:
        if product.layout.cadence == "static":
            return [STATIC_START]
        numbers = product.numbers(self.first_day, self.last_day)
        low = numbers.start if begin is None else max(product.number_at(begin), numbers.start)
        stop = numbers.stop if end is None else min(product.number_at(end) + 1, numbers.stop)
        return [product.stamp(number) for number in range(low, stop)]


def granule_record(granule: Granule, facts: Facts, data_url: str) -> dict[str, Any]:
    """Describe a granule as CMR does, in UMM-G.

    Parameters
    ----------
    granule
        The granule.
    facts
        Size and checksum of its file.
    data_url
        Root of the data host, with a slash at its end.
    """
    layout = granule.product.layout
    name, url = granule.name, data_url + granule.path
    identifier = {"IdentifierType": "ProducerGranuleId", "Identifier": name}
    return {
        "meta": {
            "concept-type": "granule",
            "concept-id": granule.concept_id,
            "revision-id": granule.revision,
            "native-id": name,
            "collection-concept-id": granule.product.collection,
            "provider-id": layout.provider,
            "format": "application/vnd.nasa.cmr.umm+json",
            "revision-date": _iso(granule.produced),
        },
        "umm": {
            "GranuleUR": name,
            "CollectionReference": {"ShortName": layout.product, "Version": layout.version},
            "RelatedUrls": [
                {"URL": url, "Type": "GET DATA", "MimeType": "application/x-hdf5"},
                {
                    "URL": f"s3://msm-sandbox/{granule.path}",
                    "Type": "GET DATA VIA DIRECT ACCESS",
                },
            ],
            "DataGranule": {
                "DayNightFlag": "Unspecified",
                "ProductionDateTime": _iso(granule.produced),
                "Identifiers": [identifier],
                "ArchiveAndDistributionInformation": [
                    {
                        "Name": name,
                        "Size": facts.size / 2**20,
                        "SizeUnit": "MB",
                        "SizeInBytes": facts.size,
                        "Format": "HDF5",
                        "Checksum": {"Value": facts.sha256, "Algorithm": "SHA-256"},
                    }
                ],
            },
            "TemporalExtent": {
                "RangeDateTime": {
                    "BeginningDateTime": _iso(granule.begin),
                    "EndingDateTime": _iso(granule.end),
                }
            },
            "SpatialExtent": {
                "HorizontalSpatialDomain": {"Geometry": {"BoundingRectangles": [_box(layout.grid)]}}
            },
            "ProviderDates": [
                {"Date": _iso(granule.produced), "Type": "Insert"},
                {"Date": _iso(granule.produced), "Type": "Update"},
            ],
            "MetadataSpecification": UMM_G,
        },
    }


def collection_record(product: Product) -> dict[str, Any]:
    """Describe a product's collection as CMR does, in UMM-C, as far as clients look at it."""
    layout = product.layout
    umm: dict[str, Any] = {
        "ShortName": layout.product,
        "Version": layout.version,
        "EntryTitle": layout.title,
        "Abstract": f"{layout.title}, simulated by the msm sandbox.",
        "DataCenters": [{"ShortName": layout.provider, "Roles": ["ARCHIVER"]}],
        "CollectionProgress": "ACTIVE",
    }
    if layout.doi:
        umm["DOI"] = {"DOI": layout.doi}
    return {
        "meta": {
            "concept-type": "collection",
            "concept-id": product.collection,
            "native-id": layout.id,
            "provider-id": layout.provider,
            "revision-id": 1,
            "revision-date": _iso(STATIC_START),
        },
        "umm": umm,
    }


def _box(grid: Grid) -> dict[str, float]:
    """Describe the outline of a product's grid as UMM does."""
    south, north, west, east = -85.0445, 85.0445, -180.0, 180.0
    if grid.kind == "latlon":
        lat, lon = grid.axes()
        half_lat, half_lon = (lat[1] - lat[0]) / 2, (lon[1] - lon[0]) / 2
        # At a pole and at the date line a cell may reach beyond.
        south, north = max(lat[0] - half_lat, -90.0), min(lat[-1] + half_lat, 90.0)
        west, east = max(lon[0] - half_lon, -180.0), min(lon[-1] + half_lon, 180.0)
    return {
        "WestBoundingCoordinate": float(west),
        "NorthBoundingCoordinate": float(north),
        "EastBoundingCoordinate": float(east),
        "SouthBoundingCoordinate": float(south),
    }


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
