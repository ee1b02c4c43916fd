"""Answers of the catalogue as they must not be."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msm.inputs.granule import Granule, newest
from msm.inputs.nldas import FORA0125_H_2_0 as NLDAS
from msm.sandbox.catalogue import Catalogue, granule_record
from msm.sandbox.granules import Facts, products
from msm.sandbox.synthetic import SyntheticWeather

START, END = datetime(2016, 4, 1, tzinfo=UTC), datetime(2016, 4, 1, 1, tzinfo=UTC)
TRAVERSAL = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "..",
    "NLDAS_FORA0125_H.A20160401.0000.020.nc/..",
    "https://x/NLDAS_FORA0125_H.A20160401.0000.020.nc/../../..%2f..%2fpasswd",
    "https://x/..\\NLDAS_FORA0125_H.A20160401.0000.020.nc",
    "https://[/NLDAS_FORA0125_H.A20160401.0000.020.nc",
    "http://x/NLDAS_FORA0125_H.A20160401.0000.020.nc",
    "file:///etc/NLDAS_FORA0125_H.A20160401.0000.020.nc",
    "https://x/NLDAS_FORA0125_H.A20169999.9999.020.nc",
    "https://x/NLDAS_FORA0125_H.A٢٠١٦٠٤٠١.0000.020.nc",
    "https://x/NLDAS_FORA0125_H.A20160401.0000.020.nc\x00.html",
)
DATES = ("", "yesterday", "2016-02-30T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01", "2016")
MANY_DIGITS = "many digits"
"""Stands for a number that Python does not write, though the wire may bring it."""
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    MANY_DIGITS,
    float("nan"),
    float("inf"),
    "",
    "ß\u202e\ud800"[:2],
    "x" * 10_000,
    [],
    {},
    [None],
    [[]],
    {"": None},
    *TRAVERSAL,
    *DATES,
)


def right_records() -> list[dict[str, Any]]:
    """Return the records of two hours."""
    catalogue = Catalogue(SyntheticWeather(1))
    listed = catalogue.within(products()["NLDAS_FORA0125_H"], START, END)
    facts = Facts(1000, "ab" * 32)
    return [granule_record(granule, facts, "https://127.0.0.1/data/") for granule in listed]


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = node.keys() if isinstance(node, dict) else range(len(node))
    places = [(*path, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            places += _places(node[key], (*path, key))
    return places


def answer(records: list[dict[str, Any]], seed: int, index: int) -> tuple[str, str]:
    """Return the body of case `index` of a seed, and what was done to it."""
    chance = random.Random(f"answer {seed} {index}")
    body: Any = {"hits": 2, "took": 1, "items": deepcopy(records)}
    if index % 25 == 0:
        text = json.dumps(body)
        cut = chance.randrange(len(text))
        return chance.choice((text[:cut], text[cut:], "", "null", "[]", "<html>")), "text"
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        # Most strikes hit the first record only: the second has to come through.
        root = body if chance.random() < 0.1 else body["items"][0]
        if not isinstance(root, dict) or not root:
            continue
        *way, last = chance.choice(_places(root))
        node = root
        for key in way:
            node = node[key]
        if chance.random() < 0.3:
            del node[last]
            done.append("missing")
        else:
            node[last] = chance.choice(VALUES)
            done.append("changed")
        if not isinstance(body.get("items"), list) or not body["items"]:
            break
    text = json.dumps(body).replace(json.dumps(MANY_DIGITS), "9" * 5000)
    return text, " ".join(sorted(set(done)))


def wrong(granules: list[Granule], folder: Path) -> str | None:
    """Return what is wrong with the granules that came of an answer."""
    for granule in granules:
        if not NLDAS.layout.matches(granule.name) or not granule.name.isascii():
            return f"has the name {granule.name!r}"
        if (folder / granule.name).resolve().parent != folder.resolve():
            return f"leads out of its folder: {granule.name!r}"
        if granule.time is None or not START <= granule.time <= END:
            return f"is of {granule.time}"
        if granule.size is not None and (type(granule.size) is not int or granule.size < 0):
            return f"has the size {granule.size!r}"
        (link,) = granule.record.data_links()
        if not link.startswith("https://") or link.rpartition("/")[2] != granule.name:
            return f"has the link {link!r}"
    chosen, superseded = newest(granules)
    return None if len(chosen) + len(superseded) == len(granules) else "loses granules"
