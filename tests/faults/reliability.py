"""The faults of files, disks, processes, clocks and servers, with msm's response and message.

`make pages` writes docs/reliability.md from them and from the faults of Earthdata
(`tests.faults.table`). The marker of a test names the fault that it causes,
`@pytest.mark.fault("the clock set back")`. Its fixture `sentence` is the expected message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.faults import table

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """One fault and what comes of it."""

    fault: str
    does: str
    """What msm does, and what the next run does."""
    says: str = ""
    """The sentence, `...` where it differs from case to case; empty where there is none."""

    @property
    def sentence(self) -> str:
        """Regular expression of the sentence."""
        return table.expression(self.says)


NOT_WRITTEN = (
    "... could not be written (...): free space, repair the disk or grant write permission, and "
    "run the same command again. The previous content is unchanged."
)
STOPS = "stops with status 1; nothing half is left"

GROUPS = {
    "What comes late, or again": (
        Row(
            "an hour missing, then late",
            "makes the day from the next source, flagged and provisional; from the best one when "
            "the hour is there, and the days after it",
            "... is made from the next source, and provisional.",
        ),
        Row(
            "two productions of one granule",
            "takes the newest; the other stands in the lineage as superseded",
        ),
        Row(
            "a granule published again with other values",
            "makes its day anew, and the days after it that this changes",
        ),
        Row(
            "a day that no source has",
            "makes the days before it, and waits; the next run after it has come makes it and "
            "those after it",
        ),
        Row(
            "a day that never comes",
            "stops waiting and ends with status 1, every time, until the day is accepted as a gap",
            "...If it is lost for good, list ... with the reason under gaps in msm.toml.",
        ),
        Row("SMAP missing", "makes the map, and compares it when SMAP has come"),
    ),
    "Damaged files": (
        Row("corrupt cached granule", "fetches it again; the others are kept"),
        Row(
            "a granule that crashes the HDF5 library",
            "loses one reading process; refuses the granule, reads the others on, and takes the "
            "next source",
            "... ends the process that reads it (a crash of the HDF5 library, or more than ...): "
            "it is fetched again; if nothing changes, report it to the provider.",
        ),
        Row(
            "corrupt forcing",
            "makes it again, and goes on",
            "... is damaged, and is made again from its granules.",
        ),
        Row(
            "corrupt snapshot",
            "begins at the state before it, and goes on",
            "... The days from the newest state before it are run again; `msm backfill ... "
            "--replace all` makes it again.",
        ),
        Row(
            "corrupt record of a day",
            "runs the day again, and goes on",
            "... is refused because it is not the record of a day: remove it and advance the chain "
            "again from the newest day before it...",
        ),
        Row("corrupt catalogue", "makes `latest.json`, catalogues and checksums with the next map"),
        Row(
            "corrupt statics",
            "stops with status 1; the next run makes them of the same granules",
            "... is damaged: remove it; the next run creates it again.",
        ),
        Row(
            "corrupt prediction",
            "stops with status 1; the next run makes it again",
            "... is damaged: remove it; the next run creates it again.",
        ),
        Row(
            "corrupt root of a chain",
            "stops with status 1, rather than begin a year of memory anew without a word",
            "... does not describe a chain (...): restore it from a copy, or move the folder away "
            "to start the chain again.",
        ),
        Row(
            "corrupt note of the days",
            "stops with status 1; the next run makes it again",
            "... is damaged: remove it; the next run creates it again.",
        ),
        Row(
            "corrupt STAC item",
            "stops with status 1; publishing the day makes it again",
            "... is not a STAC item of msm (...): remove it and publish its day again.",
        ),
        Row(
            "corrupt assessment",
            "stops with status 1; publishing the day makes it again",
            "... is damaged: remove it; the next run creates it again.",
        ),
        Row(
            "corrupt published file",
            "`msm validate` finds it, ends with status 1, and `msm daily` publishes the day anew "
            "as the next revision",
            "... are not good: run msm daily for their days.",
        ),
    ),
    "Disks": (
        Row("disk full while downloading", f"{STOPS}, and no other source is tried", NOT_WRITTEN),
        Row("disk full while storing a day", STOPS, NOT_WRITTEN),
        Row("disk full while writing state", STOPS, NOT_WRITTEN),
        Row("disk full while publishing", f"{STOPS}; readers see what was there", NOT_WRITTEN),
        Row(
            "no space for the fields that are read",
            f"{STOPS}, and the granule is not blamed",
            "Fields could not be written to ... (...): free space there, or set TMPDIR to another "
            "folder.",
        ),
        Row("archive read-only", f"{STOPS}; the work is kept for the next run", NOT_WRITTEN),
        Row("work folder read-only", STOPS, NOT_WRITTEN),
    ),
    "Processes": (
        Row("kill -9 at every step", "the same command again gives the same file, byte for byte"),
        Row("kill -9 while downloading", "the same command again removes what was not checked yet"),
        Row("kill -9 of a backfill", "the same command again goes on at the last stored state"),
        Row("kill -9 of a worker", "another one does its work again"),
        Row("Ctrl-C", "publishes what is finished, and stores the last state"),
        Row(
            "two daily runs and a backfill at once",
            "none waits for another; one that comes second says so, and is run again",
            "Chain ... has another state on ... than when the run of ... began: another run has "
            "replaced it; run the same command again.",
        ),
        Row(
            "a second backfill",
            "is refused, and begins nothing",
            "Another backfill of ... is running in ...: wait for it, or stop it; this one "
            "continues from there.",
        ),
        Row(
            "two runs publish one day",
            "each map is whole; the second is the next revision, or nothing where it is the same",
        ),
    ),
    "Clocks": (
        Row("the clock set back", "makes nothing again, and takes no final map back"),
        Row(
            "the clock set forward",
            "waits for days that nobody offers; set right, it makes what is due and looks far back",
        ),
        Row("daylight saving time begins or ends", "the day has its 24 UTC hours"),
        Row("a leap day", "is a day between 28 February and 1 March"),
    ),
    "Servers": (
        Row(
            "Prefect server gone mid-run",
            "finishes the steps in hand; the flow fails, and the next run finds what is done",
        ),
        Row(
            "PostgreSQL restarted",
            "a run at work goes on, and its logs and states come once the database is back; the "
            "next run has its place",
        ),
        Row(
            "dask scheduler gone",
            "begins nothing",
            "The scheduler at ... does not answer (...): start it with `dask scheduler`, or leave "
            "--scheduler out for workers on this machine.",
        ),
        Row(
            "alerts cannot be sent",
            "logs what was to be told, without the address",
            "The webhook does not answer (...)",
        ),
    ),
}

ROWS = tuple(row for rows in GROUPS.values() for row in rows)


class Driver(NamedTuple):
    """A test that drives a fault."""

    fault: str
    file: Path
    """From the project's folder."""
    name: str
    says: bool
    """Whether it takes the sentence from the table."""


def drivers() -> Iterator[Driver]:
    """Find the tests that bear the marker of a fault."""
    for path in sorted((ROOT / "tests").glob("**/test_*.py")):
        for test in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(test, ast.FunctionDef):
                continue
            says = "sentence" in {argument.arg for argument in test.args.args}
            for decorator in test.decorator_list:
                for fault in _marked(decorator):
                    yield Driver(fault, path.relative_to(ROOT), test.name, says)


def _marked(decorator: ast.expr) -> Iterator[str]:
    """Read the names of faults in a decorator: a marker, or parameters with markers."""
    for node in ast.walk(decorator):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "pytest.mark.fault"
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def files() -> dict[str, list[Path]]:
    """Return the files of the tests of each fault, relative to the folder of the tests."""
    found: dict[str, list[Path]] = {}
    for driver in drivers():
        path = driver.file.relative_to("tests")
        if path not in found.setdefault(driver.fault, []):
            found[driver.fault].append(path)
    return found
