"""Changes that a provider may make to a granule: a complete file that differs from its layout."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from tests.fuzz.bases import Subject
from tests.fuzz.datasets import a_variable, any_variable, axis_paths, replace
from tests.fuzz.statements import attribute, fill_attribute, header, packing, times


def fill_values(path: Path, subject: Subject, chance: Random) -> None:
    """Store another fill than stated."""
    with h5py.File(path, "a") as file:
        stored = a_variable(file, subject, chance)
        place = _place(stored, subject)
        values = stored[place]
        values[values == stored.attrs["_FillValue"]] = chance.choice((0, 999, 32767))
        stored[place] = values


def _place(stored: h5py.Dataset, subject: Subject) -> Any:
    """Return the part of a variable with values, since a complete grid is large."""
    grid = subject.layout.grid
    return subject.window if stored.shape == (grid.rows, grid.cols) else ...


def precision(path: Path, subject: Subject, chance: Random) -> None:
    """Store a variable in another type."""
    types = ("f8", "f2", ">f4", "i2", "u2", "i4", ">u2", "u8", "S4", "?", "c8")
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        dtype = np.dtype(chance.choice(types))
        with np.errstate(all="ignore"):
            if stored.size > 10**5:
                new = replace(stored, shape=stored.shape, dtype=dtype, chunks=stored.chunks)
            else:
                new = replace(stored, stored[...].astype(dtype))
        if "_FillValue" in new.attrs and dtype.kind in "fiu" and chance.random() < 0.5:
            with np.errstate(all="ignore"):
                new.attrs["_FillValue"] = new.attrs["_FillValue"].astype(dtype)


def transpose(path: Path, subject: Subject, chance: Random) -> None:
    """Exchange rows and columns of one variable or of all, sometimes on a square grid."""
    with h5py.File(path, "a") as file:
        variables = subject.layout.variables
        chosen = [chance.choice(variables)] if chance.random() < 0.5 else variables
        axes = [name for name in subject.layout.grid.axis_paths if name]
        square = bool(axes) and chance.random() < 0.5
        count = min((file[name].size for name in axes), default=0)
        for name in axes if square else ():
            replace(file[name], file[name][:count]).make_scale(name)
        for stored in (file[v.path] for v in chosen):
            if stored.size > 10**5:
                shape, chunks = stored.shape[::-1], stored.chunks[::-1]
                replace(stored, shape=shape, dtype=stored.dtype, chunks=chunks)
            elif stored.ndim > 1:
                values = stored[..., :count, :count] if square else stored[...]
                new = replace(stored, values.swapaxes(-1, -2))
                tied = subject.layout.variables[0].dims[:-3:-1] if axes else ()
                for place, name in enumerate(tied, start=new.ndim - 2):
                    axis = next(file[a] for a in axes if a.endswith(name))
                    if axis.is_scale and chance.random() < 0.9:
                        new.dims[place].attach_scale(axis)


def without_scale(path: Path, subject: Subject, chance: Random) -> None:
    """Remove an axis, the time, or the link of a variable to them."""
    with h5py.File(path, "a") as file:
        if chance.random() < 0.5 and axis_paths(subject):
            del file[chance.choice(axis_paths(subject))]
        else:
            stored = a_variable(file, subject, chance)
            if "DIMENSION_LIST" in stored.attrs:
                del stored.attrs["DIMENSION_LIST"]


def huge(path: Path, subject: Subject, chance: Random) -> None:
    """State a size of terabytes in a few bytes."""
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        shape = list(stored.shape)
        shape[chance.randrange(len(shape))] = chance.choice((2**20, 2**31, 2**40))
        replace(stored, shape=tuple(shape), dtype=stored.dtype, chunks=(1,) * len(shape))


def huge_chunk(path: Path, subject: Subject, chance: Random) -> None:
    """Pack a gigabyte of nothing into one chunk of a small variable."""
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        chunks = [1] * stored.ndim
        chunks[-1] = chance.choice((2**20, 2**27))
        if stored.ndim > 1:
            chunks[-2] = stored.shape[-2]
        if np.prod(chunks) * stored.dtype.itemsize < 2**32:
            most = (None,) * stored.ndim
            new = replace(
                stored,
                shape=stored.shape,
                dtype=stored.dtype,
                chunks=tuple(chunks),
                maxshape=most,
                compression="gzip",
            )
            # Unpacking allocates the chunk, whatever its content.
            new.id.write_direct_chunk((0,) * stored.ndim, PACKED)


PACKED = zlib.compress(b"")


def half_orbit(path: Path, subject: Subject, chance: Random) -> None:
    """List cells instead of a grid."""
    with h5py.File(path, "a") as file:
        for variable in subject.layout.variables:
            stored = file[variable.path]
            replace(stored, np.ones(chance.choice((1, 54)), stored.dtype))


def other_product(path: Path, subject: Subject, chance: Random) -> None:
    """Store another product under this one's name."""
    shutil.copyfile(chance.choice(subject.others), path)


def rename(path: Path, subject: Subject, chance: Random) -> None:
    """Rename a variable."""
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        stored.parent.move(stored.name, chance.choice((stored.name.lower() + "_", "x1", "Größe")))


def values(path: Path, subject: Subject, chance: Random) -> None:
    """Store an extreme value, possible or not."""
    strange = (np.nan, np.inf, -np.inf, 1e300, -1e300, 3e38, -1.0, 0.0)
    with h5py.File(path, "a") as file, np.errstate(all="ignore"):
        stored = any_variable(file, subject, chance)
        place = _place(stored, subject)
        held = stored[place]
        held.flat[chance.randrange(held.size)] = np.array(chance.choice(strange)).astype(held.dtype)
        stored[place] = held


def elsewhere(path: Path, subject: Subject, chance: Random) -> None:
    """Store a variable in another file."""
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        name, shape, dtype = stored.name, stored.shape, stored.dtype
        how = chance.randrange(3)
        if how == 0:
            del file[name]
            file[name] = h5py.ExternalLink(str(subject.path), name)
        elif how == 1:
            virtual = h5py.VirtualLayout(shape, dtype)
            virtual[...] = h5py.VirtualSource(str(subject.path), name, shape)
            del file[name]
            file.create_virtual_dataset(name, virtual)
        else:
            replace(stored, shape=shape, dtype=dtype, external=str(subject.path))


CHANGES = (
    fill_attribute,
    fill_values,
    precision,
    transpose,
    without_scale,
    huge,
    huge_chunk,
    attribute,
    header,
    times,
    packing,
    half_orbit,
    other_product,
    rename,
    values,
    elsewhere,
)
