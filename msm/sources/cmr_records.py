"""The parts of granule records (UMM-G 1.6) of Earthdata's catalogue (CMR) that msm reads.

Records come from the network: one that violates the format is unreadable, and a file name becomes
a path only where it has the form of its product.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from earthaccess.results import DataGranule
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from msm.errors import MsmError
from msm.products.product import Product
from msm.sources.granule import Granule

log = logging.getLogger(__name__)

ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256", "SHA256": "sha256", "SHA-512": "sha512"}
"""Checksum algorithms of UMM-G and their names in hashlib; others are not checked."""


class RecordError(MsmError):
    """A record of the catalogue cannot be read."""


class _Part(BaseModel):
    # A record has many more fields than msm reads, and new ones may be added.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Link(_Part):
    url: str = Field(alias="URL")
    type: str = Field(alias="Type")


class _Checksum(_Part):
    value: str = Field(alias="Value", pattern="^[0-9A-Fa-f]+$")
    algorithm: str = Field(alias="Algorithm")


class _Archived(_Part):
    name: str | None = Field(None, alias="Name")
    size: NonNegativeInt | None = Field(None, alias="SizeInBytes")
    checksum: _Checksum | None = Field(None, alias="Checksum")


class _Data(_Part):
    produced: str | None = Field(None, alias="ProductionDateTime")
    archived: list[_Archived] = Field([], alias="ArchiveAndDistributionInformation")


class _Umm(_Part):
    links: list[_Link] = Field(alias="RelatedUrls")
    data: _Data = Field(_Data(), alias="DataGranule")


class _Meta(_Part):
    concept_id: str = Field(alias="concept-id")
    provider: str = Field(alias="provider-id")
    native_id: str = Field(alias="native-id")
    revision: PositiveInt = Field(1, alias="revision-id")


class _Record(_Part):
    meta: _Meta
    umm: _Umm


def offered(product: Product, records: Sequence[Any]) -> list[Granule]:
    """Convert the records of a search to granules, by the newest record of each file name.

    A record that cannot be read, or that names no file of the product, is left out and logged.

    Raises
    ------
    RecordError
        If there are records and none can be read, as after a change of the catalogue.
    """
    granules: dict[str, Granule] = {}
    unreadable = []
    for record in records:
        try:
            granule = granule_of(product, record)
        except RecordError as error:
            log.warning("%s", error)
            unreadable.append(error)
            continue
        if granule is not None:
            known = granules.get(granule.name)
            if known is None or granule.rank > known.rank:
                granules[granule.name] = granule
    if unreadable and len(unreadable) == len(records):
        raise RecordError(
            f"None of the {len(records)} records of {product.id} can be read. The first: "
            f"{unreadable[0]}"
        )
    return list(granules.values())


def granule_of(product: Product, record: Any) -> Granule | None:
    """Convert a record to a granule; None where it names no file of the product.

    Raises
    ------
    RecordError
        If it violates UMM-G or contains an impossible value.
    """
    layout = product.layout
    try:
        read = _Record.model_validate(dict(record))
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"The catalogue's record of {_label(record)} for {product.id} cannot be read "
            f"({_first(error)}): it is left out; if nothing changes, report it to the provider."
        ) from None
    # earthaccess names the file by the part after the last slash.
    links = {
        link.url.rpartition("/")[2]: link.url
        for link in reversed(read.umm.links)
        if link.type == "GET DATA" and _is_usable(link.url)
    }
    name = next((name for name in reversed(links) if layout.matches(name)), None)
    if name is None:
        log.warning(
            "Earthdata offers %s for %s, which is not one of its files",
            read.meta.native_id[:200],
            product.id,
        )
        return None
    archived = read.umm.data.archived
    archive = next((a for a in archived if a.name == name), archived[0] if archived else None)
    checksum = archive.checksum if archive else None
    algorithm = ALGORITHMS.get(checksum.algorithm.upper()) if checksum else None
    try:
        time = layout.time_of(name)
        produced = _time(read.umm.data.produced)
    except (ValueError, OverflowError) as error:
        raise RecordError(
            f"The catalogue's record of {name} for {product.id} has an impossible time ({error}): "
            "it is left out; if nothing changes, report it to the provider."
        ) from None
    release, counter = layout.production_of(name)
    return Granule(
        product=layout.product,
        version=layout.version,
        name=name,
        time=time,
        size=archive.size if archive else None,
        checksum=(algorithm, checksum.value) if checksum and algorithm else None,
        production=produced,
        release=release,
        counter=counter,
        revision=read.meta.revision,
        record=_request(read.meta, links[name]),
    )


def _is_usable(url: str) -> bool:
    """Return whether a link is a valid https URL; http would send the token unencrypted."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _request(meta: _Meta, link: str) -> DataGranule:
    """Return the parts of a record that earthaccess needs to download one file."""
    return DataGranule(
        {
            "meta": {"concept-id": meta.concept_id, "provider-id": meta.provider},
            "umm": {
                "RelatedUrls": [{"URL": link, "Type": "GET DATA"}],
                "DataGranule": {"ArchiveAndDistributionInformation": []},
            },
        }
    )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _label(record: Any) -> str:
    """Return the name of an unreadable record, where it has one."""
    try:
        return str(record["meta"]["native-id"])[:200]
    except (TypeError, LookupError):
        return "an unnamed granule"


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return type(error).__name__
    first = error.errors(include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
