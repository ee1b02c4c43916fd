"""Fields on the cells of a domain, with what they were made from, and the file they are kept in.

A day's forcing, a day's retrievals and a domain's statics are of this kind. The files are written
once and read by replays and training, so that nothing is fetched again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import h5py
import netCDF4
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import ndimage

from msm.atomic_files import replacing
from msm.errors import MsmError
from msm.grid.domain import Domain
from msm.lineage import InputGranule
from msm.products import hdf5
from msm.read_once import read_once

FILL_REACH = 5
"""Cells from which a value is taken at most where a source has none: 45 km."""

FLAGS = ("filled", "lower_tier")
"""Conditions of each cell that are stored beside the fields."""


_INPUTS = TypeAdapter(tuple[InputGranule, ...])

DAMAGED = (OSError, RuntimeError, AttributeError, LookupError, ValueError)
"""What reading a file raises that is not what `write` wrote."""


@dataclass(frozen=True, eq=False)
class CellFields:
    """Named fields on the cells of one domain."""

    mask_sha256: str
    """`Domain.mask_sha256` of the cells."""
    day: date | None
    """UTC day of a forcing or of retrievals; None for statics."""
    fields: dict[str, NDArray[np.float32]]
    """By name, shape (n_cell,); NaN where no source reaches."""
    units: dict[str, str]
    filled: NDArray[np.bool_]
    """Cells whose values were taken from a neighbour, shape (n_cell,)."""
    inputs: tuple[InputGranule, ...]
    lower_tier: NDArray[np.bool_]
    """Cells with a value that is not from the best source, shape (n_cell,)."""
    origins: dict[str, str] = field(default_factory=dict)
    """Products that each forcing field comes from, in words."""
    awaited: tuple[str, ...] = ()
    """Better products that were not complete when the fields were made, by id."""

    @cached_property
    def sha256(self) -> str:
        """Hash of the values and flags: fields that are equal in them are the same."""
        digest = hashlib.sha256(self.mask_sha256.encode())
        for name in sorted(self.fields):
            digest.update(name.encode() + np.ascontiguousarray(self.fields[name]).tobytes())
        digest.update(self.filled.tobytes() + self.lower_tier.tobytes())
        return digest.hexdigest()

    def columns(self, names: Iterable[str], optional: Collection[str] = ()) -> NDArray[np.float32]:
        """Stack fields as columns, shape (n_cell, number of names).

        Parameters
        ----------
        names
            The fields, in the order of the columns.
        optional
            Those of them that may be absent, and then are NaN.

        Raises
        ------
        MsmError
            If another field is not there.
        """
        wanted = list(names)
        absent = [name for name in wanted if name not in (*self.fields, *optional)]
        if absent:
            raise MsmError(
                f"The checkpoint asks for {', '.join(absent)}, which no source at hand gives: "
                "use a checkpoint that does without, or add the source."
            )
        nowhere = np.full(self.filled.size, np.nan, np.float32)
        return np.stack([self.fields.get(name, nowhere) for name in wanted], axis=1)


def fill_from_neighbours(
    domain: Domain, fields: dict[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Give cells without a value the nearest cell's, at most `FILL_REACH` cells away.

    All fields of a cell come from the same neighbour, so that they stay consistent.

    Returns
    -------
    fields, filled
        The fields, NaN beyond the reach, and the cells that took a neighbour's values.
    """
    has_all = np.logical_and.reduce([np.isfinite(values) for values in fields.values()])
    if has_all.all():
        return fields, np.zeros(domain.n_cell, bool)
    if not has_all.any():
        return fields, ~has_all & False
    empty = ~domain.to_map(has_all, fill=False)
    distance, (row, col) = ndimage.distance_transform_edt(empty, return_indices=True)
    reached = domain.from_map(distance) <= FILL_REACH
    source = domain.from_map(row), domain.from_map(col)
    taken = {
        name: np.where(reached, domain.to_map(values)[source], np.float32(np.nan))
        for name, values in fields.items()
    }
    return taken, reached & ~has_all


def write(path: Path, cells: CellFields) -> None:
    """Write fields to a NetCDF file, complete or not at all."""
    with replacing(path) as new, netCDF4.Dataset(new, "w") as dataset:
        dataset.mask_sha256 = cells.mask_sha256
        dataset.day = cells.day.isoformat() if cells.day else ""
        dataset.content_sha256 = cells.sha256
        dataset.inputs = _INPUTS.dump_json(cells.inputs).decode()
        dataset.createDimension("cell", cells.filled.size)
        for name, values in cells.fields.items():
            variable = dataset.createVariable(
                name, "f4", ("cell",), compression="zlib", complevel=1, fill_value=np.nan
            )
            variable.units = cells.units[name]
            variable[:] = values
        dataset.origins = json.dumps(cells.origins)
        dataset.awaited = json.dumps(cells.awaited)
        for name in FLAGS:
            flag = dataset.createVariable(name, "u1", ("cell",), compression="zlib")
            flag[:] = getattr(cells, name)


@dataclass(frozen=True)
class Label:
    """What the file of a day's forcing says of its content."""

    sha256: str
    """`CellFields.sha256`."""
    inputs: tuple[InputGranule, ...]
    awaited: tuple[str, ...]


@read_once
def read_label(path: Path) -> Label:
    """Read what a file says of its content, and not the content.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    try:
        # Not by netCDF4, which takes in all variables first.
        with h5py.File(path) as file:
            stated = {name: hdf5.attribute(file, name, "") for name in ("inputs", "awaited")}
            return Label(
                hdf5.attribute(file, "content_sha256"),
                _INPUTS.validate_json(stated["inputs"]),
                tuple(json.loads(stated["awaited"])),
            )
    except DAMAGED as error:
        raise MsmError(f"{path} is damaged: remove it, and it is made anew.") from error


def read(path: Path, domain: Domain) -> CellFields:
    """Read fields back.

    Raises
    ------
    MsmError
        If the file is damaged or is not of this domain's cells.
    """
    try:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            names = [name for name in dataset.variables if name not in FLAGS]
            cells = CellFields(
                mask_sha256=dataset.mask_sha256,
                day=date.fromisoformat(dataset.day) if dataset.day else None,
                fields={name: dataset[name][:] for name in names},
                units={name: dataset[name].units for name in names},
                filled=dataset["filled"][:].astype(bool),
                inputs=_INPUTS.validate_json(dataset.inputs),
                lower_tier=dataset["lower_tier"][:].astype(bool),
                origins=json.loads(dataset.origins),
                awaited=tuple(json.loads(dataset.awaited)),
            )
            stated = dataset.content_sha256
    except DAMAGED as error:
        raise MsmError(f"{path} is damaged: remove it, and it is made anew.") from error
    if cells.sha256 != stated:
        raise MsmError(f"{path} does not hold what was written: remove it, and it is made anew.")
    if cells.mask_sha256 != domain.mask_sha256:
        raise MsmError(f"{path} is of another mask than domain {domain.name}: remove it.")
    return cells
