"""Render the Markdown templates of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FIGURES = ("R", "R_anomaly", "RMSE", "ubRMSE", "bias", "KGE")
DECIMALS = {"RMSE": ".4f", "ubRMSE": ".4f", "bias": "+.4f"}
"""Format of a figure; three decimals where it is not listed."""

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown, not HTML
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the page of a template.

    Parameters
    ----------
    template
        Name of the template without its endings.
    values
        Variables of the template.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a value that is missing.
    """
    return ENVIRONMENT.get_template(f"{template}.md.j2").render(values)


def fmt(value: Any, spec: str) -> str:
    """Format a value; a dash for None."""
    return "-" if value is None else format(value, spec)


def columns(row: Mapping[str, Any], names: Sequence[str], spec: str) -> str:
    """Format some values of a mapping as the cells of a table row; a dash for a missing one."""
    return " | ".join(fmt(row.get(name), spec) for name in names)


def figures(row: Mapping[str, Any], names: Sequence[str] = FIGURES) -> str:
    """Format accuracy figures as the cells of a table row."""
    return " | ".join(fmt(row[name], DECIMALS.get(name, ".3f")) for name in names)


def each(values: Mapping[str, Any], pattern: str) -> str:
    """Format each key and value with a pattern of `str.format`, separated by commas."""
    return ", ".join(pattern.format(key, value) for key, value in values.items())


ENVIRONMENT.globals["FIGURES"] = FIGURES
ENVIRONMENT.filters |= {"fmt": fmt, "columns": columns, "figures": figures, "each": each}
