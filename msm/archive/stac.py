"""STAC documents: an item for each file, a catalogue for each month, a collection for each domain.

Every document is a pure function of the files below it and has relative links. So an archive may be
copied, moved or served from anywhere, and a missing document can be built again.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension

from msm.archive.assessment import SUFFIX, Assessment
from msm.archive.attributes import LICENSE, REFERENCE, VALIDITY
from msm.archive.layers import LAYERS
from msm.archive.naming import PRODUCT, PRODUCT_VERSION, day_of, domain_label
from msm.archive.netcdf import Header
from msm.grid.ease import EPSG, M09, project

NETCDF = "application/netcdf"
DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"

Document = dict[str, Any]
"""A STAC document, ready for JSON."""


def multihash(sha256: str) -> str:
    """Return a SHA-256 in the form of the file extension: multihash sha2-256, 32 bytes."""
    return f"1220{sha256}"


def item(
    header: Header,
    data: tuple[str, int],
    picture: tuple[str, int],
    assessment: Assessment | None = None,
) -> Document:
    """Describe one published file.

    Parameters
    ----------
    header
        Its header.
    data, picture
        SHA-256 and size in bytes of the NetCDF file and of the quick look.
    assessment
        The quality of the map, where it is assessed.

    Returns
    -------
    dict
        A STAC 1.1 item; its properties `msm:*` carry the lineage.
    """
    start = datetime.combine(header.day, time(), UTC)
    west, south, east, north = header.bbox
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    left, _, _, top = header.bounds
    lineage = header.lineage
    document = pystac.Item(
        id=header.stem,
        geometry={"type": "Polygon", "coordinates": [ring]},
        bbox=list(header.bbox),
        datetime=start + timedelta(hours=12),
        start_datetime=start,
        end_datetime=start + timedelta(days=1),
        collection=collection_id(header.domain),
        properties={
            "title": header.title,
            "created": f"{header.created:%Y-%m-%dT%H:%M:%SZ}",
            "msm:domain": header.domain,
            "msm:product_version": header.product_version,
            "msm:revision": header.revision.number,
            "msm:replaces": header.revision.replaces,
            "msm:status": lineage.status,
            "msm:fingerprint": lineage.fingerprint,
            "msm:lineage": lineage.model_dump(
                mode="json", exclude={"status", "fingerprint"}, exclude_none=True
            ),
        },
    )
    ProjectionExtension.ext(document, add_if_missing=True).apply(
        code=f"EPSG:{EPSG}",
        shape=list(header.shape),
        bbox=list(header.bounds),
        transform=[M09.cell_size, 0.0, left, 0.0, -M09.cell_size, top],
    )
    for key, suffix, media_type, role, (sha256, size) in (
        ("data", ".nc", NETCDF, "data", data),
        ("quicklook", ".png", pystac.MediaType.PNG, "overview", picture),
    ):
        asset = pystac.Asset(f"./{header.stem}{suffix}", media_type=media_type, roles=[role])
        document.add_asset(key, asset)
        FileExtension.ext(asset, add_if_missing=True).apply(checksum=multihash(sha256), size=size)
    if assessment is not None:
        quality = assessment.model_dump(mode="json", exclude={"day", "sha256"}, exclude_none=True)
        document.properties["msm:quality"] = quality
        href = f"./{header.stem}{SUFFIX}"
        kind = pystac.MediaType.JSON
        document.add_asset("quality", pystac.Asset(href, media_type=kind, roles=["metadata"]))
    for relation, href in (
        ("root", "../../../catalog.json"),
        ("parent", "./catalog.json"),
        ("collection", "../../collection.json"),
    ):
        document.add_link(pystac.Link(relation, href, pystac.MediaType.JSON))
    return _plain(document)


def month(domain_name: str, year: str, month_number: str, stems: list[str]) -> Document:
    """Return the catalogue of one month, which links to the items with these file stems."""
    label = domain_label(domain_name)
    catalog = pystac.Catalog(
        id=f"{PRODUCT}-{label}-{year}-{month_number}",
        title=f"{domain_name}, {year}-{month_number}",
        description=f"Daily surface soil moisture, {domain_name}, {year}-{month_number}.",
    )
    _link(catalog, "root", "../../../catalog.json")
    _link(catalog, "parent", "../../collection.json")
    for stem in sorted(stems):
        _link(catalog, "item", f"./{stem}.json", str(day_of(stem)))
    return _plain(catalog)


def collection(
    domain_name: str, bbox: tuple[float, float, float, float], first: datetime, months: list[str]
) -> Document:
    """Return the collection of a domain.

    It changes only when a month or an earlier first day is added: it does not list days, and its
    temporal extent has no end.

    Parameters
    ----------
    domain_name
        Name of the domain.
    bbox
        West, south, east, north, degrees.
    first
        Start of the first day, UTC.
    months
        The published months, as `YYYY/MM`.
    """
    document = pystac.Collection(
        id=collection_id(domain_name),
        title=f"Daily surface soil moisture, EASE-2 9 km, {domain_name}",
        description=(
            "Volumetric soil moisture of the top 5 cm (m3 m-3), mean of each UTC day, from an "
            "LSTM network trained jointly on satellite retrievals and in-situ measurements. "
            f"{VALIDITY}\n\nMethod: {REFERENCE}"
        ),
        license=LICENSE,
        keywords=["soil moisture", "hydrology", "EASE-2", "LSTM", "NLDAS", "SMAP"],
        extent=pystac.Extent(
            pystac.SpatialExtent([list(bbox)]), pystac.TemporalExtent([[first, None]])
        ),
        providers=[pystac.Provider("msm", roles=[pystac.ProviderRole.PRODUCER])],
        summaries=pystac.Summaries({"msm:product_version": [PRODUCT_VERSION]}),
    )
    document.stac_extensions.append(DATACUBE)
    document.extra_fields.update(_cube(bbox, first))
    _link(document, "root", "../catalog.json")
    _link(document, "parent", "../catalog.json")
    _link(document, "latest", "./latest.json", "the newest day")
    for path in sorted(months):
        _link(document, "child", f"./{path}/catalog.json", path.replace("/", "-"))
    return _plain(document)


def root(labels: list[str]) -> Document:
    """Return the catalogue of an archive, which links to the collections of its domains."""
    catalog = pystac.Catalog(
        id=PRODUCT,
        title="Daily surface soil moisture, EASE-2 9 km",
        description="One collection for each domain that is published.",
    )
    _link(catalog, "root", "./catalog.json")
    for label in sorted(labels):
        _link(catalog, "child", f"./{label}/collection.json", label)
    return _plain(catalog)


def _cube(bbox: tuple[float, float, float, float], first: datetime) -> Document:
    """Describe the stack of all days with the datacube extension."""
    west, south, east, north = bbox
    xs, ys = project([south, north], [west, east])
    dimensions: Document = {
        "time": {"type": "temporal", "extent": [f"{first:%Y-%m-%dT%H:%M:%SZ}", None], "step": "P1D"}
    }
    for name, ends in (("y", ys), ("x", xs)):
        dimensions[name] = {
            "type": "spatial",
            "axis": name,
            "extent": [round(float(end), 4) for end in ends],
            "step": M09.cell_size,
            "reference_system": EPSG,
        }
    variables = {
        layer.name: {
            "type": "data",
            "dimensions": ["time", "y", "x"],
            "description": layer.long_name,
            "unit": layer.units,
        }
        for layer in LAYERS
    }
    return {"cube:dimensions": dimensions, "cube:variables": variables}


def collection_id(domain_name: str) -> str:
    """Return the id of a domain's collection."""
    return f"{PRODUCT}-{domain_label(domain_name)}"


def sha256_of(document: Document, asset: str) -> str:
    """Return the SHA-256 that an item states for one of its assets, `data` or `quicklook`."""
    checksum: str = document["assets"][asset]["file:checksum"]
    return checksum.removeprefix(multihash(""))


def item_paths(folder: Path) -> list[Path]:
    """List the items in a month's folder, by day."""
    return sorted(p for p in folder.glob(f"{PRODUCT}-*.json") if day_of(p.stem) is not None)


def _link(owner: pystac.Catalog, relation: str, href: str, title: str | None = None) -> None:
    kind = pystac.MediaType.GEOJSON if relation == "item" else pystac.MediaType.JSON
    owner.add_link(pystac.Link(relation, href, kind, title))


def _plain(document: pystac.STACObject) -> Document:
    """Return the JSON form with the links unchanged, without those that pystac adds."""
    plain = document.to_dict(include_self_link=False, transform_hrefs=False)
    plain["links"] = [link for link in plain["links"] if isinstance(link["href"], str)]
    return plain
