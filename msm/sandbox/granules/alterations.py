"""Complete granules that differ from their layout, as after a change or an error of a provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from msm.products.layout import Layout
from msm.sandbox.weather.interface import Fields

Alteration = Literal["changed_grid", "renamed_variable", "empty_field", "unknown_version"]
"""How a granule differs from its layout; its record states the right size and checksum.

changed_grid: the axes, the number of rows, or the row of each cell. renamed_variable: the first
required variable. empty_field: the first required variable holds fill only. unknown_version: the
name has the form of an unknown version.
"""

ALTERATIONS: tuple[Alteration, ...] = get_args(Alteration)


def altered_name(name: str, alteration: Alteration | None) -> str:
    """Return a granule's file name after an alteration."""
    if alteration != "unknown_version":
        return name
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.v2.{suffix}"


def alter(layout: Layout, fields: Fields, alteration: Alteration) -> tuple[Layout, Fields]:
    """Return the altered layout and fields that a granule is written from."""
    change: dict[Alteration, Callable[[Layout, Fields], tuple[Layout, Fields]]] = {
        "changed_grid": _changed_grid,
        "renamed_variable": _renamed_variable,
        "empty_field": _empty_field,
    }
    return change[alteration](layout, fields) if alteration in change else (layout, fields)


def _changed_grid(layout: Layout, fields: Fields) -> tuple[Layout, Fields]:
    grid = layout.grid
    if grid.row_index is not None:
        return layout, {**fields, "row": fields["row"] + np.uint16(grid.rows)}
    if grid.lat_first is not None and grid.lat_step is not None:
        changed = grid.model_copy(update={"lat_first": grid.lat_first + grid.lat_step / 2})
    else:
        changed = grid.model_copy(update={"rows": grid.rows + 1})
    # Fields of the old grid do not fit the new one.
    return layout.model_copy(update={"grid": changed}), {}


def _renamed_variable(layout: Layout, fields: Fields) -> tuple[Layout, Fields]:
    first = _first_required(layout)
    variables = tuple(
        v.model_copy(update={"path": f"{v.path}_new"}) if v.name == first else v
        for v in layout.variables
    )
    return layout.model_copy(update={"variables": variables}), fields


def _empty_field(layout: Layout, fields: Fields) -> tuple[Layout, Fields]:
    first = _first_required(layout)
    return layout, {**fields, first: np.full_like(fields[first], np.nan)}


def _first_required(layout: Layout) -> str:
    return next(v.name for v in layout.variables if v.required)
