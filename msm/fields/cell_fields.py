"""Fields on the cells of a domain with their provenance, and the NetCDF file that stores them.

A day's forcing, a day's retrievals and a domain's static attributes are stored so.
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

from msm.atomic_files import replacing
from msm.errors import MsmError
from msm.grid.domain import Domain
from msm.lineage import InputGranule
from msm.products import hdf5
from msm.read_once import read_once

FLAGS = ("filled", "lower_tier")
"""Flags of each cell that are stored with the fields."""

_INPUTS = TypeAdapter(tuple[InputGranule, ...])

DAMAGED = (OSError, RuntimeError, AttributeError, LookupError, ValueError)
"""Errors that reading raises where a file is not as `write` wrote it."""


@dataclass(frozen=True, eq=False)
class CellFields:
    """Named fields on the cells of one domain."""

    mask_sha256: str
    """`Domain.mask_sha256` of the cells."""
    day: date | None
    """UTC day of forcing or retrievals; None for static attributes."""
    fields: dict[str, NDArray[np.float32]]
    """By name, shape (n_cell,); NaN where no source reaches."""
    units: dict[str, str]
    filled: NDArray[np.bool_]
    """Cells filled with the values of a neighbour, shape (n_cell,)."""
    inputs: tuple[InputGranule, ...]
    lower_tier: NDArray[np.bool_]
    """Cells with a value that is not from the best source, shape (n_cell,)."""
    origins: dict[str, str] = field(default_factory=dict)
    """Products that each forcing field comes from, as text."""
    awaited: tuple[str, ...] = ()
    """Preferred products that were incomplete when the fields were computed, by id."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the cells, values and flags."""
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
            Fields in the order of the columns.
        optional
            Fields that may be absent; their columns are NaN then.

        Raises
        ------
        MsmError
            If any other field is absent.
        """
        wanted = list(names)
        absent = [name for name in wanted if name not in (*self.fields, *optional)]
        if absent:
            raise MsmError(
                f"The checkpoint needs {', '.join(absent)}, which no available source has: "
                "use a checkpoint without it, or add the source."
            )
        missing = np.full(self.filled.size, np.nan, np.float32)
        return np.stack([self.fields.get(name, missing) for name in wanted], axis=1)


def write(path: Path, cells: CellFields) -> None:
    """Write fields to a NetCDF file, atomically."""
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
    """What a file states about its content."""

    sha256: str
    """`CellFields.sha256`."""
    inputs: tuple[InputGranule, ...]
    awaited: tuple[str, ...]


@read_once
def read_label(path: Path) -> Label:
    """Read what a file states about its content, without the values.

    Raises
    ------
    MsmError
        If the file is damaged.
    """
    try:
        # netCDF4 would read the metadata of all variables first.
        with h5py.File(path) as file:
            stated = {name: hdf5.attribute(file, name, "") for name in ("inputs", "awaited")}
            return Label(
                hdf5.attribute(file, "content_sha256"),
                _INPUTS.validate_json(stated["inputs"]),
                tuple(json.loads(stated["awaited"])),
            )
    except DAMAGED as error:
        raise MsmError(f"{path} is damaged: remove it; the next run creates it again.") from error


def read(path: Path, domain: Domain) -> CellFields:
    """Read stored fields.

    Raises
    ------
    MsmError
        If the file is damaged or belongs to other cells than the domain's.
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
        raise MsmError(f"{path} is damaged: remove it; the next run creates it again.") from error
    if cells.sha256 != stated:
        raise MsmError(
            f"{path} has changed since it was written: remove it; the next run creates it again."
        )
    if cells.mask_sha256 != domain.mask_sha256:
        raise MsmError(f"{path} has another mask than domain {domain.name}: remove it.")
    return cells
