"""Outcomes of a fuzz run, by case and by product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Report:
    """Outcomes of the cases of one kind."""

    kind: str
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Number of cases by product, mutation and outcome."""
    contained: list[str] = field(default_factory=list)
    """Cases that crashed a reader process, without other effects."""
    failures: list[str] = field(default_factory=list)

    def add(self, case: str, product: str, mutation: str, outcome: str, wrong: str | None) -> None:
        """Count one case; `wrong` describes its failure."""
        self.outcomes[product, mutation, "failed" if wrong else outcome] += 1
        label = f"{self.kind} {case} ({product}, {mutation})"
        if outcome == "contained":
            self.contained.append(label)
        if wrong:
            self.failures.append(f"{label} {wrong}")

    def table(self, by: int) -> str:
        """Return the outcomes as a table, by product (0) or by mutation (1)."""
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
    """Return the outcomes of several kinds as Markdown."""
    parts = []
    for report in reports:
        parts += [report.table(by) for by in (0, 1)]
        parts += ["\n".join(report.contained)] if report.contained else []
        parts += ["\n".join(report.failures)] if report.failures else []
    return "\n\n".join(parts)
