"""What several commands share: options, the screen and the progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

if TYPE_CHECKING:
    from msm.pipeline.run import Progress

screen = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Start = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="First UTC day.")]
End = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Last UTC day.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes on this machine; one a processor by default."),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a dask scheduler whose workers reach these folders.")
]
DomainOption = Annotated[
    str | None, typer.Option(help="conus, global or box:SOUTH,NORTH,WEST,EAST.")
]


def with_text_keys(document: dict[Any, Any]) -> dict[str, Any]:
    """Turn the keys of a document, at any depth, into text, as JSON needs it."""
    return {
        str(key): with_text_keys(value) if isinstance(value, dict) else value
        for key, value in document.items()
    }


class _Rate(ProgressColumn):
    """Days a minute."""

    def render(self, task: Task) -> Text:
        """Return the rate."""
        return Text(f"{60 * task.speed:.0f} a minute" if task.speed else "")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a bar from the first report on; nothing where the screen is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    with Bar(
        *columns,
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, visible=True)

        yield report
