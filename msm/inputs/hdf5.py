"""What is found in a granule: HDF5, of which NetCDF-4 is a kind.

h5py looks only at what is asked for; the netCDF library takes in all variables of a file first,
which is a fifth of the time that an hour of NLDAS takes to read.
"""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
"""Name of the scale that NetCDF writes for a dimension that has no variable."""


def reason(error: Exception) -> str:
    """Return what the library complains of, without the buffers and flags that it goes on to."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else " ".join(str(error).split())


def variable(file: h5py.File, path: str) -> h5py.Dataset | None:
    """Return the variable at a path; None where there is none, or a group."""
    found = file.get(path)
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_scale and h5py.h5ds.get_scale_name(found.id).startswith(NO_VARIABLE):
        return None
    return found


def attribute(holder: h5py.Dataset | h5py.Group, name: str, default: Any = None) -> Any:
    """Return an attribute, text as str and one value alone; the default where there is none."""
    value = holder.attrs.get(name, default)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def numbers(variable: h5py.Dataset | None, most: int) -> NDArray[Any] | None:
    """Return a variable's values if it is one row of numbers, no more than `most`."""
    if variable is None or variable.ndim != 1 or variable.dtype.kind not in "fiu":
        return None
    # A file of a few bytes may state a length that no memory holds.
    if variable.size > most:
        return None
    values: NDArray[Any] = variable[...]
    return values
