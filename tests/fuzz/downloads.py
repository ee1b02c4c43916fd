"""Granules changed in transfer: a changed file never enters the cache undetected."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from msm.products.layout import STEP
from msm.products.product import GranuleError
from msm.products.reader_pool import Readers
from msm.products.registry import product
from msm.sandbox.faults import Fault
from msm.sandbox.process import Sandbox
from msm.sandbox.server.misbehaviour import LOGIN_PAGE
from msm.sources.earthdata import Earthdata
from msm.sources.granule import Fetched, Granule, GranuleFile
from tests.fuzz import oracle
from tests.fuzz.bases import DAY, Subject
from tests.fuzz.report import Report

FETCHED = (
    ("NLDAS_FORA0125_H", "2.0"),
    ("GLDAS_NOAH025_3H", "2.1"),
    ("GPM_3IMERGDL", "07"),
    ("M2T1NXFLX", "5.12.4"),
    ("SPL3SMP", "009"),
    ("SPL2SMP_NRT", "107"),
)
"""Products with small granules, of every kind of name and time."""


@dataclass(frozen=True)
class Sent:
    """A granule with its valid content."""

    subject: Subject
    granule: Granule
    content: bytes


def _flipped(content: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 64))):
        # Half of the flips hit the structure, which is a small part of a large granule.
        end = len(changed) if chance.random() < 0.5 else 4096
        changed[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _page(content: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    return chance.choice((LOGIN_PAGE, "\n\n" + LOGIN_PAGE.lower(), "Access denied.")).encode()


def _mixed(content: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    cut = chance.randrange(len(content))
    return content[:cut] + chance.choice(others)[cut:]


TRANSFERS: dict[str, Callable[[bytes, Sequence[bytes], Random], bytes]] = {
    "cut": lambda content, others, chance: content[: chance.randrange(len(content))],
    "bits flipped": _flipped,
    "extra bytes": lambda content, others, chance: (
        content + chance.randbytes(chance.randrange(1, 4096))
    ),
    "web page": _page,
    "another granule": lambda content, others, chance: chance.choice(others),
    "two granules mixed": _mixed,
    "empty": lambda content, others, chance: b"",
    "right": lambda content, others, chance: content,
}
RECORDS = {
    "size and checksum": lambda granule: granule,
    "size": lambda granule: replace(granule, checksum=None),
    "neither": lambda granule: replace(granule, checksum=None, size=None),
}


def fuzz_downloads(
    earthdata: Earthdata, readers: Readers, sandbox: Sandbox, cases: range, seed: int
) -> Report:
    """Fetch granules from a data host that sends changed bytes."""
    report = Report("download")
    sandbox.reset()
    sent = [one for name, version in FETCHED for one in _sent(earthdata, name, version)]
    for number in cases:
        chance = Random(f"download {seed} {number}")
        one = sent[number % len(sent)]
        others = [other.content for other in sent if other is not one]
        transfer, record = chance.choice([*TRANSFERS]), chance.choice([*RECORDS])
        body = TRANSFERS[transfer](one.content, others, chance)
        sandbox.reset()
        encoded = base64.b64encode(body).decode()
        sandbox.fault(Fault(match="^/data/", behaviour="bytes", body=encoded))
        one.subject.path.unlink(missing_ok=True)
        fetched = earthdata.fetch(one.subject.product, [RECORDS[record](one.granule)])
        outcome, wrong = _outcome(readers, one, fetched, checked=record == "size and checksum")
        if transfer == "right" and outcome != "same":
            wrong = "is valid and was refused"
        case = f"{seed} {number}"
        report.add(
            case, one.subject.product.id, f"{transfer}, record with {record}", outcome, wrong
        )
    return report


def _sent(earthdata: Earthdata, name: str, version: str) -> list[Sent]:
    """Fetch two valid granules."""
    known = product(name, version)
    grid = known.layout.grid
    step = STEP.get(known.layout.cadence, timedelta(hours=1))
    found = earthdata.search(known, DAY, DAY + step)[:2]
    files = earthdata.fetch(known, found).files
    return [
        Sent(
            Subject(known, f.path, f.granule.time, (slice(0, grid.rows), slice(0, grid.cols))),
            f.granule,
            f.path.read_bytes(),
        )
        for f in files
    ]


def _outcome(
    readers: Readers, one: Sent, fetched: Fetched, *, checked: bool
) -> tuple[str, str | None]:
    """Return the outcome of a download, and what is wrong with it."""
    path = one.subject.path
    left = [p.name for p in path.parent.glob(".incoming-*")]
    if left:
        return "refused", f"leaves {left[0]}"
    if not fetched.files:
        if path.exists():
            return "refused", "is in the cache though refused"
        explained = one.granule.name in fetched.refused
        return "refused", None if explained else "is refused without a sentence"
    (file,) = fetched.files
    return _accepted(readers, one, file, checked=checked)


def _accepted(
    readers: Readers, one: Sent, file: GranuleFile, *, checked: bool
) -> tuple[str, str | None]:
    if file.path.read_bytes() == one.content:
        return "same", None
    if checked:
        return "other bytes", "is in the cache under a checksum that is not its own"
    try:
        reading = readers.submit(one.subject.product, file.path).result()
    except GranuleError as error:
        contained = "takes down" in str(error)
        return "contained" if contained else "refused when read", None
    # Without a checksum changed values go undetected; the reading must equal the file.
    return "other bytes", oracle.wrong(one.subject, file.path, reading)
