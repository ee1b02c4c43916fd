"""Variables and attributes of a granule in HDF5, of which NetCDF-4 is a form.

h5py reads only what is requested. The netCDF library first reads the metadata of all variables,
which takes a fifth of the time of reading an hour of NLDAS.
"""

from __future__ import annotations

import math
import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

DIMENSION_WITHOUT_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
"""Name of the dimension scale that NetCDF writes for a dimension without a variable."""

MAX_CHUNK_BYTES = 2**27
"""Largest chunk that is read, since the library holds a complete chunk in memory."""


def reason(error: Exception) -> str:
    """Return the library's reason, by the system's text where it has an error number."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else " ".join(str(error).split())


def variable(file: h5py.File, path: str) -> h5py.Dataset | None:
    """Return the variable at a path; None where there is none, or a group.

    Raises
    ------
    OSError
        If its values are in another file, which has no checksum, or in implausibly large chunks.
    """
    found = file.get(path)
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_scale and h5py.h5ds.get_scale_name(found.id).startswith(DIMENSION_WITHOUT_VARIABLE):
        return None
    stored = found.id.get_create_plist()
    layout = stored.get_layout()
    elsewhere = layout == h5py.h5d.VIRTUAL or stored.get_external_count()
    if elsewhere or h5py.h5f.get_name(found.id) != h5py.h5f.get_name(file.id):
        raise OSError(f"the values of {path} are in another file")
    if layout == h5py.h5d.CHUNKED:
        size = math.prod(stored.get_chunk()) * found.id.get_type().get_size()
        if size > MAX_CHUNK_BYTES:
            raise OSError(f"{path} has chunks of {size} bytes")
    return found


def attribute(holder: h5py.Dataset | h5py.Group, name: str, default: Any = None) -> Any:
    """Return an attribute, text as str and a single value as scalar; `default` without it.

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
    """Return an attribute that is one number; None without it, NaN where it is not a number.

    Four times as fast as `attribute`, for attributes of each variable of each granule.
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


def numbers(variable: h5py.Dataset | None, max_size: int) -> NDArray[Any] | None:
    """Return the values of a one-dimensional numeric variable of at most `max_size`, else None."""
    if variable is None or variable.ndim != 1 or variable.dtype.kind not in "fiu":
        return None
    # A file of a few bytes may state a length that exceeds the memory.
    if variable.size > max_size:
        return None
    values: NDArray[Any] = variable[...]
    return values
