"""Write the generated pages of the documentation: `make pages`.

The values come from docs/results and docs/accuracy, which the benchmarks write, from the layout
files and the card of the shipped checkpoint, and from the fault tables of the tests.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import ACCURACY, DATA, RESULTS
from benchmarks.speed.scaling import predict
from docs_tools.accuracy import accuracy_page, checkpoint_page, read_all
from docs_tools.inputs import input_pages, real_files_page
from docs_tools.rendering import render
from msm.model.checkpoint import load_checkpoint
from tests.faults import table
from tests.faults.reliability import GROUPS, files

DOCS = Path("docs")
REAL_FILES = "inputs/real-files.md"


def pages() -> dict[str, str]:
    """Return all generated pages but the one on real files, by path below docs."""
    measured = read_all(RESULTS)
    faults = {"earthdata": table.ROWS, "groups": GROUPS, "tests": files()}
    return {
        "results.md": render("results", measured | {"training_rows": training_rows}),
        "scaling.md": render("scaling", measured | {"scaling": predict()}),
        "accuracy.md": accuracy_page(ACCURACY),
        "checkpoint.md": checkpoint_page(load_checkpoint(), ACCURACY),
        "reliability.md": render("reliability", faults),
        **{f"inputs/{name}": text for name, text in input_pages().items()},
    }


def training_rows(training: dict[str, dict[str, dict[str, object]]]) -> dict[str, object]:
    """Return the measured ways of training on the CPU, and on the GPU if there was one."""
    gpu = training.get("gpu", {})
    return {
        **training["cpu"],
        **{f"{name}, {training['gpu name']}": row for name, row in gpu.items()},
    }


def main() -> None:
    """Write the pages, and remove those of products that no longer exist."""
    written = pages() | {REAL_FILES: real_files_page(DATA / "granules")}
    for path in (DOCS / "inputs").glob("*.md"):
        if f"inputs/{path.name}" not in written:
            path.unlink()
    for name, text in written.items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
