"""The granules of the sandbox: names, times, revisions, and UMM-G records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from msm.errors import MsmError
from msm.products.layout import Grid
from msm.sandbox.granules.alterations import ALTERATIONS, Alteration, altered_name
from msm.sandbox.granules.granule import FileInfo, ServedProduct, served_products
from msm.sandbox.weather.interface import Weather

STATIC_START = datetime(2015, 3, 31, tzinfo=UTC)
"""Start of the time range of static granules, which ends after the mission."""

UMM_G = {
    "URL": "https://cdn.earthdata.nasa.gov/umm/granule/v1.6.6",
    "Name": "UMM-G",
    "Version": "1.6.6",
}


@dataclass(frozen=True)
class ServedGranule:
    """One granule of the catalogue."""

    product: ServedProduct
    stamp: datetime
    """Time in its name."""
    counter: int
    """Counter in its name, if it has one."""
    content: int
    """Number of its values: 1 for those of the first production."""
    revision: int
    """Revision of its record."""
    produced: datetime
    """Production and revision time."""
    alteration: Alteration | None = None
    """How it differs from its layout."""
    copy: int = 1
    """2 for the second record of a file."""

    @property
    def name(self) -> str:
        """File name."""
        return altered_name(self.product.name(self.stamp, self.counter), self.alteration)

    @property
    def begin(self) -> datetime:
        """Start of its record's time range."""
        return self.stamp - self.product.lead

    @property
    def end(self) -> datetime:
        """End of its record's time range."""
        if self.product.layout.cadence == "static":
            return datetime(2100, 1, 1, tzinfo=UTC)
        return self.begin + self.product.step - timedelta(milliseconds=1)

    @property
    def concept_id(self) -> str:
        """CMR's id of the granule, the same for all its revisions."""
        key = self.name if self.copy == 1 else f"{self.name} {self.copy}"
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:5], "big")
        return f"G{number % 10**10:010d}-{self.product.layout.provider}"

    @property
    def path(self) -> str:
        """Path on the data host, relative to its root."""
        layout = self.product.layout
        return f"{layout.product}/{layout.version}/{self.stamp:%Y/%m/%d}/{self.name}"


class Catalogue:
    """The granules of all products in the period of a weather, less those withheld."""

    def __init__(self, weather: Weather) -> None:
        self.first_day, self.last_day = weather.first_day, weather.last_day
        self._revised: dict[tuple[str, datetime], tuple[ServedGranule, ...]] = {}
        self._withheld: set[str] = set()
        self._duplicated: set[str] = set()
        self.clock: datetime | None = None
        """Present time: later productions are not available yet. Without a clock all are."""

    def reset(self) -> None:
        """Drop all revisions, duplicates, withheld names and the clock."""
        self.clock = None
        self._revised.clear()
        self._withheld.clear()
        self._duplicated.clear()

    def within(
        self, product: ServedProduct, begin: datetime | None, end: datetime | None
    ) -> Iterator[ServedGranule]:
        """Yield a product's granules that overlap a time window, bounds included, in order."""
        for stamp in self._stamps(product, begin, end):
            for granule in self._at(product, stamp):
                if granule.name not in self._withheld and self._is_available(granule):
                    yield granule
                    if granule.name in self._duplicated:
                        yield replace(granule, copy=2)

    def named(self, name: str) -> ServedGranule | None:
        """Return the granule of a file name, None if it is not available."""
        granule = self._find(name)
        return granule if granule and self._is_available(granule) else None

    def _is_available(self, granule: ServedGranule) -> bool:
        return self.clock is None or granule.produced <= self.clock

    def _find(self, name: str) -> ServedGranule | None:
        if name in self._withheld:
            return None
        return next((granule for granule in self._same_time(name) if granule.name == name), None)

    def withhold(self, name: str) -> None:
        """Remove a granule from the catalogue and the data host."""
        self._withheld.add(self._known(name).name)

    def restore(self, name: str) -> None:
        """Make a withheld granule available again."""
        self._withheld.discard(name)

    def duplicate(self, name: str) -> None:
        """List a granule twice, under two concept ids."""
        self._duplicated.add(self._known(name).name)

    def alter(self, name: str, alteration: Alteration) -> ServedGranule:
        """Replace a granule by an altered one.

        Raises
        ------
        MsmError
            If the granule or the alteration does not exist.
        """
        if alteration not in ALTERATIONS:
            raise MsmError(f"There is no alteration {alteration!r}.")
        old = self._known(name)
        new = replace(old, alteration=alteration, revision=old.revision + 1)
        others = tuple(g for g in self._at(old.product, old.stamp) if g != old)
        self._revised[old.product.layout.product, old.stamp] = (*others, new)
        return new

    def revise(self, name: str, *, changed: bool, produced: datetime | None) -> ServedGranule:
        """Publish a granule again.

        Parameters
        ----------
        name
            File name of the granule.
        changed
            Whether the values are new. If so, a product with a counter in its names gets a second
            granule, and any other product a new file of the same name. If not, only the record
            changes.
        produced
            Production time, by default a day after the last.

        Raises
        ------
        MsmError
            If the granule does not exist.
        """
        old = self._known(name)
        others = self._at(old.product, old.stamp)
        produced = produced or max(granule.produced for granule in others) + timedelta(days=1)
        added = changed and old.product.counted
        new = replace(
            old,
            counter=max(granule.counter for granule in others) + 1 if added else old.counter,
            content=max(granule.content for granule in others) + 1 if changed else old.content,
            revision=1 if added else old.revision + 1,
            produced=produced,
        )
        kept = others if added else tuple(granule for granule in others if granule != old)
        self._revised[old.product.layout.product, old.stamp] = (*kept, new)
        return new

    def _known(self, name: str) -> ServedGranule:
        granule = self._find(name)
        if granule is None:
            raise MsmError(f"The sandbox has no granule {name!r}.")
        return granule

    def _same_time(self, name: str) -> tuple[ServedGranule, ...]:
        for granules in self._revised.values():
            if any(granule.name == name for granule in granules):
                return granules
        for product in served_products().values():
            if product.layout.matches(name):
                stamp = product.layout.time_of(name) or STATIC_START
                begin = stamp - product.lead
                if stamp in self._stamps(product, begin, begin):
                    return self._at(product, stamp)
        return ()

    def _at(self, product: ServedProduct, stamp: datetime) -> tuple[ServedGranule, ...]:
        due = timedelta(days=product.layout.latency.due_days)
        first = ServedGranule(product, stamp, 1, 1, 1, stamp + due)
        return self._revised.get((product.layout.product, stamp), (first,))

    def _stamps(
        self, product: ServedProduct, begin: datetime | None, end: datetime | None
    ) -> list[datetime]:
        if product.layout.cadence == "static":
            return [STATIC_START]
        numbers = product.numbers(self.first_day, self.last_day)
        low = numbers.start if begin is None else max(product.number_at(begin), numbers.start)
        stop = numbers.stop if end is None else min(product.number_at(end) + 1, numbers.stop)
        return [product.stamp(number) for number in range(low, stop)]


def granule_record(granule: ServedGranule, info: FileInfo, data_url: str) -> dict[str, Any]:
    """Return the record of a granule as CMR does, in UMM-G.

    Parameters
    ----------
    granule
        The granule.
    info
        Size and checksum of its file.
    data_url
        Root of the data host, with a trailing slash.
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
                        "Size": info.size / 2**20,
                        "SizeUnit": "MB",
                        "SizeInBytes": info.size,
                        "Format": "HDF5",
                        "Checksum": {"Value": info.sha256, "Algorithm": "SHA-256"},
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


def collection_record(product: ServedProduct) -> dict[str, Any]:
    """Return a product's collection as CMR does, in UMM-C, with the fields that clients read."""
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
    """Return the outline of a product's grid in UMM."""
    south, north, west, east = -85.0445, 85.0445, -180.0, 180.0
    if grid.kind == "latlon":
        lat, lon = grid.axes()
        half_lat, half_lon = (lat[1] - lat[0]) / 2, (lon[1] - lon[0]) / 2
        # A cell may extend beyond a pole or the date line.
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
