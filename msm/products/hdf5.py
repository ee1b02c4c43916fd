"""What is found in a granule: HDF5, of which NetCDF-4 is a kind.

h5py looks only at what is asked for; the netCDF library takes in all variables of a file first,
which is a fifth of the time that an hour of NLDAS takes to read.
"""

from __future__ import annotations

import math
import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
"""Name of the scale that NetCDF writes for a dimension that has no variable."""


MOST_CHUNK_BYTES = 2**27
"""Largest chunk that is read: the library holds one as a whole, however little is packed in it."""


def reason(error: Exception) -> str:
    """Return what the library complains of, without the buffers and flags that it goes on to."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else " ".join(str(error).split())


def variable(file: h5py.File, path: str) -> h5py.Dataset | None:
    """Return the variable at a path; None where there is none, or a group.

    Raises
    ------
    OSError
        If its values lie in another file, whose checksum nobody stated, or in chunks that no
        granule has.
    """
    found = file.get(path)
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_scale and h5py.h5ds.get_scale_name(found.id).startswith(NO_VARIABLE):
        return None
    stored = found.id.get_create_plist()
    layout = stored.get_layout()
    elsewhere = layout == h5py.h5d.VIRTUAL or stored.get_external_count()
    if elsewhere or h5py.h5f.get_name(found.id) != h5py.h5f.get_name(file.id):
        raise OSError(f"the values of {path} lie in another file")
    if layout == h5py.h5d.CHUNKED:
        size = math.prod(stored.get_chunk()) * found.id.get_type().get_size()
        if size > MOST_CHUNK_BYTES:
            raise OSError(f"{path} comes in chunks of {size} bytes")
    return found


def attribute(holder: h5py.Dataset | h5py.Group, name: str, default: Any = None) -> Any:
    """Return an attribute, text as str and one value alone; the default where there is none.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    try:
        value = holder.attrs.get(name, default)
    except (LookupError, TypeError, ValueError) as error:
        raise OSError(f"the attribute {name} cannot be read, {error}") from error
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def number(holder: h5py.Dataset, name: str) -> float | None:
    """Return an attribute that is one number; None where there is none, NaN where it is no number.

    Four times as fast as `attribute`, for what is looked up for each variable of each granule.
    """
    if not h5py.h5a.exists(holder.id, name.encode()):
        return None
    stated = h5py.h5a.open(holder.id, name.encode())
    try:
        if stated.shape not in ((), (1,)):
            return math.nan
        value = np.empty(stated.shape)
        stated.read(value)
    except (OSError, RuntimeError, TypeError, ValueError):
        return math.nan
    return float(value.item())


def numbers(variable: h5py.Dataset | None, most: int) -> NDArray[Any] | None:
    """Return a variable's values if it is one row of numbers, no more than `most`."""
    if variable is None or variable.ndim != 1 or variable.dtype.kind not in "fiu":
        return None
    # A file of a few bytes may state a length that no memory holds.
    if variable.size > most:
        return None
    values: NDArray[Any] = variable[...]
    return values
