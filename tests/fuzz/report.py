"""What came of a fuzz, case by case and by product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Report:
    """What came of a number of cases of one kind."""

    kind: str
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How often a product, met by a mutation, had an outcome."""
    contained: list[str] = field(default_factory=list)
    """Cases that took a reading process down, and nothing else."""
    failures: list[str] = field(default_factory=list)

    def add(self, case: str, product: str, mutation: str, outcome: str, wrong: str | None) -> None:
        """Count one case; `wrong` tells what should not have been."""
        self.outcomes[product, mutation, "failed" if wrong else outcome] += 1
        told = f"{self.kind} {case} ({product}, {mutation})"
        if outcome == "contained":
            self.contained.append(told)
        if wrong:
            self.failures.append(f"{told} {wrong}")

    def table(self, by: int) -> str:
        """Write the outcomes as a table, by product (0) or by mutation (1)."""
        kinds = sorted({outcome for *_, outcome in self.outcomes})
        rows = sorted({key[by] for key in self.outcomes})
        counts: Counter[tuple[str, str]] = Counter()
        for key, count in self.outcomes.items():
            counts[key[by], key[2]] += count
            counts["all", key[2]] += count
        lines = [(self.kind, "cases", *kinds), ("---", *["---:"] * (len(kinds) + 1))]
        for row in (*rows, "all"):
            held = [counts[row, kind] for kind in kinds]
            lines.append((row, str(sum(held)), *(str(count) for count in held)))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text(reports: Iterable[Report]) -> str:
    """Write what came of several kinds, to be pasted into a report."""
    parts = []
    for report in reports:
        parts += [report.table(by) for by in (0, 1)]
        parts += ["\n".join(report.contained)] if report.contained else []
        parts += ["\n".join(report.failures)] if report.failures else []
    return "\n\n".join(parts)
