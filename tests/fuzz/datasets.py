"""Choosing and replacing variables of a granule."""

from __future__ import annotations

from random import Random
from typing import Any

import h5py

from tests.fuzz.bases import Subject

OF_NETCDF = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_Netcdf4Dimid"}
"""Attributes that link variables and dimensions."""


def a_variable(file: h5py.File, subject: Subject, chance: Random) -> h5py.Dataset:
    return file[chance.choice(subject.layout.variables).path]


def axis_paths(subject: Subject) -> list[str]:
    grid, stamp = subject.layout.grid, subject.layout.stamp
    paths = [*grid.axis_paths, grid.row_index, grid.col_index, stamp and stamp.variable]
    return [path for path in paths if path]


def any_variable(file: h5py.File, subject: Subject, chance: Random) -> h5py.Dataset:
    paths = [v.path for v in subject.layout.variables] + axis_paths(subject)
    return file[chance.choice(paths)]


def replace(stored: h5py.Dataset, values: Any = None, **created: Any) -> h5py.Dataset:
    """Replace a dataset by another one with the same attributes."""
    parent, name = stored.parent, stored.name.rpartition("/")[2]
    kept = {k: v for k, v in stored.attrs.items() if k not in OF_NETCDF}
    del parent[name]
    new = parent.create_dataset(name, data=values, **created)
    new.attrs.update(kept)
    return new


def set_attribute(holder: Any, name: str, value: Any) -> None:
    if name in holder.attrs:
        del holder.attrs[name]
    holder.attrs[name] = value
