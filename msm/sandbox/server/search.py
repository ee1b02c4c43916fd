"""CMR's searches of the sandbox's catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from multidict import MultiMapping

from msm.errors import MsmError
from msm.sandbox.granules.granule import ServedProduct, served_products
from msm.sandbox.server.catalogue import Catalogue, ServedGranule

MAX_PAGE = 2000
"""CMR's largest page."""

Span = tuple[datetime | None, datetime | None]

_BY_PRODUCT = {"short_name", "version", "provider", "collection_concept_id", "concept_id"}
_BY_NAME = {"readable_granule_name", "producer_granule_id", "granule_ur", "native_id"}
_BY_TIME = {"temporal", "revision_date"}
_PAGING = {"page_size", "pretty", "sort_key"}
# Every granule of the sandbox can be downloaded; locations are ignored.
_ALWAYS_TRUE = {"downloadable", "online_only", "bounding_box", "point", "polygon", "has_granules"}
_KNOWN = _BY_PRODUCT | _BY_NAME | _BY_TIME | _PAGING | _ALWAYS_TRUE


class SearchError(MsmError):
    """A search that CMR refuses."""


@dataclass(frozen=True)
class Search:
    """The parameters of a search."""

    values: dict[str, tuple[str, ...]]
    """Values by parameter; a granule matches any of several values."""

    @classmethod
    def parse(cls, query: MultiMapping[str]) -> Search:
        """Read a query string.

        Raises
        ------
        SearchError
            If a parameter is unknown; CMR refuses it, too.
        """
        values: dict[str, tuple[str, ...]] = {}
        for key, value in query.items():
            name = key.removesuffix("[]")
            if name.startswith("options["):
                continue
            if name not in _KNOWN:
                raise SearchError(f"Parameter [{name}] was not recognized.")
            values[name] = (*values.get(name, ()), value)
        return cls(values)

    @property
    def page_size(self) -> int:
        """Records on a page.

        Raises
        ------
        SearchError
            If it is not a number from 0 to 2000.
        """
        (text,) = self.values.get("page_size", ("10",))[-1:]
        if not text.isdigit() or int(text) > MAX_PAGE:
            raise SearchError(f"page_size must be a number between 0 and {MAX_PAGE}")
        return int(text)

    def collections(self) -> list[ServedProduct]:
        """Return the products that match."""
        return [product for product in served_products().values() if self._wants(product)]

    def granules(self, catalogue: Catalogue) -> list[ServedGranule]:
        """Return the granules that match, ordered by time and name.

        Raises
        ------
        SearchError
            If a time window cannot be read.
        """
        spans = [_span(text) for text in self.values.get("temporal", (",",))]
        revised = [_span(text) for text in self.values.get("revision_date", ())]
        ids = {text for text in self.values.get("concept_id", ()) if text.startswith("G")}
        names = [pattern for key in _BY_NAME for pattern in self.values.get(key, ())]
        # Windows may overlap: a granule counts once.
        matching = {
            (granule.begin, granule.name, granule.copy): granule
            for product in self.collections()
            for span in spans
            for granule in catalogue.within(product, *span)
            if (not revised or any(_inside(granule.produced, span) for span in revised))
            and (not ids or granule.concept_id in ids)
            and (not names or any(fnmatchcase(granule.name, pattern) for pattern in names))
        }
        return [matching[key] for key in sorted(matching)]

    def _wants(self, product: ServedProduct) -> bool:
        layout = product.layout
        collections = [text for text in self._either_id() if text.startswith("C")]
        return all(
            (
                self._is_any("short_name", layout.product),
                self._is_any("version", layout.version),
                self._is_any("provider", layout.provider),
                not collections or product.collection in collections,
            )
        )

    def _either_id(self) -> Iterable[str]:
        yield from self.values.get("collection_concept_id", ())
        yield from self.values.get("concept_id", ())

    def _is_any(self, key: str, value: str) -> bool:
        return key not in self.values or value in self.values[key]


def _span(text: str) -> Span:
    begin, _, end = text.partition(",")
    return _time(begin), _time(end)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SearchError(f"temporal [{text}] is not a valid date-time.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _inside(time: datetime, span: Span) -> bool:
    begin, end = span
    return (begin is None or time >= begin) and (end is None or time <= end)
