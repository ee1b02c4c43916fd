"""Invalid answers of the catalogue, for products of every kind of name and time."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from msm.products.product import Product
from msm.products.registry import product
from msm.sandbox.faults import Fault
from msm.sandbox.granules.granule import FileInfo, served_products
from msm.sandbox.process import Sandbox
from msm.sandbox.server.catalogue import Catalogue, granule_record
from msm.sandbox.weather.synthetic import SyntheticWeather
from msm.sources.earthdata import Earthdata, EarthdataError
from msm.sources.granule import Granule, newest
from tests.fuzz.bases import DAY
from tests.fuzz.report import Report

SEARCHED = (
    "NLDAS_FORA0125_H",
    "SPL4SMGP",
    "GLDAS_NOAH025_3H",
    "GPM_3IMERGDL",
    "M2T1NXSLV",
    "SPL3SMP_E",
    "SPL2SMP_NRT",
    "SPL4SMLM",
)
DATES = ("", "yesterday", "2016-02-30T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01", "2016")
MANY_DIGITS = "many digits"
"""Placeholder for a number that Python does not write but may receive."""
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, MANY_DIGITS, float("nan"), float("inf")),
    *("", "ß\u202e\ud800"[:2], "x" * 10_000, [], {}, [None], [[]], {"": None}),
    *DATES,
)


def links(name: str) -> tuple[str, ...]:
    """Return invalid names and addresses, derived from a valid name."""
    digits = name.translate({ord("0") + n: ord("٠") + n for n in range(10)})
    return (
        *("../../../../etc/passwd", "/etc/passwd", "..", f"{name}/.."),
        *(f"https://x/{name}/../../..%2f..%2fpasswd", f"https://x/..\\{name}", f"https://[/{name}"),
        *(f"http://x/{name}", f"file:///etc/{name}", f"https://x/{name}\x00.html"),
        *(f"https://x/{name.replace('2016', '9999')}", f"https://x/{name.replace('04', '99')}"),
        f"https://x/{digits}",
    )


@dataclass(frozen=True)
class Search:
    """A product with the valid records of two granules, or of its only one."""

    product: Product
    records: list[dict[str, Any]]
    start: datetime
    end: datetime


def valid_searches() -> list[Search]:
    """Return searches with their valid answers."""
    catalogue = Catalogue(SyntheticWeather(1))
    searches = []
    for served in (served_products()[name] for name in SEARCHED):
        granules = list(catalogue.within(served, DAY, DAY + timedelta(days=2)))[:2]
        info = FileInfo(1000, "ab" * 32)
        records = [granule_record(g, info, "https://127.0.0.1/data/") for g in granules]
        known = product(served.layout.product, served.layout.version)
        searches.append(Search(known, records, granules[0].stamp, granules[-1].stamp))
    return searches


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = node.keys() if isinstance(node, dict) else range(len(node))
    places = [(*path, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            places += _places(node[key], (*path, key))
    return places


def answer(records: list[dict[str, Any]], seed: int, number: int) -> tuple[str, str]:
    """Return the body of a case and its mutations."""
    chance = Random(f"answer {seed} {number}")
    body: Any = {"hits": len(records), "took": 1, "items": deepcopy(records)}
    if chance.random() < 0.04:
        text = json.dumps(body)
        cut = chance.randrange(len(text))
        return chance.choice((text[:cut], text[cut:], "", "null", "[]", "<html>")), "text"
    values = VALUES + links(records[0]["umm"]["GranuleUR"])
    mutations = set()
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        # Most mutations change the first record only: the second one must be accepted.
        root = body if chance.random() < 0.1 else body["items"][0]
        if not isinstance(root, dict) or not root:
            continue
        *way, last = chance.choice(_places(root))
        node = root
        for key in way:
            node = node[key]
        if chance.random() < 0.3:
            del node[last]
            mutations.add("missing")
        else:
            node[last] = chance.choice(values)
            mutations.add("changed")
        if not isinstance(body.get("items"), list) or not body["items"]:
            break
    text = json.dumps(body).replace(json.dumps(MANY_DIGITS), "9" * 5000)
    return text, " ".join(sorted(mutations)) or "nothing"


def fuzz_answers(
    earthdata: Earthdata, sandbox: Sandbox, folder: Path, cases: range, seed: int
) -> Report:
    """Search while the catalogue sends invalid answers."""
    report = Report("answer")
    searches = valid_searches()
    for number in cases:
        search = searches[number % len(searches)]
        body, mutation = answer(search.records, seed, number)
        sandbox.reset()
        sandbox.fault(Fault(match="granules.umm_json", behaviour="reply", body=body))
        try:
            found = earthdata.search(search.product, search.start, search.end)
        except EarthdataError:
            outcome, wrong = "refused", None
        else:
            outcome, wrong = f"{len(found)} granules", _wrong(found, search, folder)
        report.add(f"{seed} {number}", search.product.id, mutation, outcome, wrong)
    return report


def _wrong(granules: list[Granule], search: Search, folder: Path) -> str | None:
    """Return what is wrong with the granules of an answer, None if nothing is."""
    layout = search.product.layout
    for granule in granules:
        if not layout.matches(granule.name) or not granule.name.isascii():
            return f"has the name {granule.name!r}"
        if (folder / granule.name).resolve().parent != folder.resolve():
            return f"leads out of its folder: {granule.name!r}"
        if granule.time != layout.time_of(granule.name):
            return f"is of {granule.time}"
        if granule.time is not None and not search.start <= granule.time <= search.end:
            return f"is of {granule.time}"
        if granule.size is not None and (type(granule.size) is not int or granule.size < 0):
            return f"has the size {granule.size!r}"
        (link,) = granule.record.data_links()
        if not link.startswith("https://") or link.rpartition("/")[2] != granule.name:
            return f"has the link {link!r}"
    chosen, superseded = newest(granules)
    return None if len(chosen) + len(superseded) == len(granules) else "loses granules"
