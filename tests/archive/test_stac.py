import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pystac
import pytest
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from msm.archive import stac, store
from msm.grid.domain import load_domain
from msm.grid.ease import M09, unproject

DAYS = [date(2016, 4, 1), date(2016, 4, 2), date(2016, 5, 1)]
OTHER = "box:35,37,-100,-97"


@pytest.fixture(scope="module")
def archive(tmp_path_factory, make_map) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for day in DAYS:
        store.publish(folder, make_map(day, seed=day.day))
    store.publish(folder, make_map(DAYS[0], on=load_domain(OTHER)))
    return folder


def test_the_catalogue_is_walked_by_pystac(archive, domain):
    root = pystac.Catalog.from_file(str(archive / "catalog.json"))
    assert [c.id for c in root.get_children()] == [
        stac.collection_id(OTHER),
        stac.collection_id(domain.name),
    ]
    collection = root.get_child(stac.collection_id(domain.name))
    assert [m.title for m in collection.get_children()] == [
        f"{domain.name}, 2016-04",
        f"{domain.name}, 2016-05",
    ]
    cube = collection.ext.cube
    assert cube.dimensions["x"].extent == pytest.approx(
        [domain.x[0] - M09.cell_size / 2, domain.x[-1] + M09.cell_size / 2], abs=1
    )
    assert set(cube.variables) == {
        "soil_moisture",
        "soil_moisture_uncertainty",
        "soil_moisture_aleatoric_uncertainty",
        "soil_moisture_epistemic_uncertainty",
        "quality_flag",
    }
    items = list(collection.get_items(recursive=True))
    assert [i.datetime for i in items] == [
        datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in DAYS
    ]
    for item in items:
        assert item.get_root() is root
        assert item.get_collection().id == collection.id
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href()).is_file()


def test_every_document_meets_the_stac_schema(archive):
    """Core schemas travel with pystac; those of extensions would need the network."""
    validator = JsonSchemaSTACValidator()
    kinds = {"Feature": "ITEM", "Catalog": "CATALOG", "Collection": "COLLECTION"}
    seen = set()
    for path in archive.rglob("*.json"):
        if path.name != "latest.json":
            document = json.loads(path.read_text())
            seen.add(document["type"])
            kind = pystac.STACObjectType[kinds[document["type"]]]
            validator.validate_core(document, kind, document["stac_version"])
    assert seen == set(kinds)


def test_all_links_are_relative_and_lead_somewhere(archive):
    for path in archive.rglob("*.json"):
        for link in json.loads(path.read_text()).get("links", []):
            assert link["href"].startswith("."), f"{path.name}: {link}"
            assert (path.parent / link["href"]).is_file(), f"{path.name}: {link}"


def test_an_item_holds_projection_checksum_and_lineage(archive, domain, make_map):
    record = store.read_item(archive, domain.name, DAYS[0])
    item = json.loads(record.item.read_text())
    data = item["assets"]["data"]
    digest = hashlib.sha256(record.path.read_bytes()).hexdigest()
    # Multihash: function sha2-256 (0x12), 32 bytes (0x20).
    assert data["file:checksum"] == "1220" + digest
    assert data["file:size"] == record.path.stat().st_size
    properties = item["properties"]
    assert properties["proj:code"] == "EPSG:6933"
    assert properties["proj:shape"] == list(domain.shape)
    size, _, left, _, height, top = properties["proj:transform"]
    assert (size, height) == (9008.055210146, -9008.055210146)
    assert left + size / 2 == pytest.approx(domain.x[0])
    assert top - size / 2 == pytest.approx(domain.y[0])
    lineage = make_map(DAYS[0], seed=1).lineage
    assert properties["msm:fingerprint"] == lineage.fingerprint
    assert len(properties["msm:lineage"]["inputs"]) == 24
    west, south, east, north = item["bbox"]
    assert west < domain.lon.min() < domain.lon.max() < east
    assert south < domain.lat.min() < domain.lat.max() < north


def test_a_day_within_a_month_rewrites_little(tmp_path, make_map):
    store.publish(tmp_path, make_map(DAYS[0]))
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*.json")}
    store.publish(tmp_path, make_map(DAYS[1], seed=1))
    rewritten = {path for path, inode in before.items() if path.stat().st_ino != inode}
    month = tmp_path / "box_41N_47N_90W_84W" / "2016" / "04"
    assert rewritten == {month / "catalog.json", month.parents[1] / "latest.json"}


def test_the_global_domain_spans_the_globe():
    lat, lon = unproject(M09.x_edges[[0, -1]], M09.y_edges[[-1, 0]])
    assert lon.tolist() == pytest.approx([-180, 180])
    assert lat.tolist() == pytest.approx([-85.0445664, 85.0445664])
