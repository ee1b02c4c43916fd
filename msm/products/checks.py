"""Comparison of a stored variable with its layout, before its values are read."""

from __future__ import annotations

import h5py
import numpy as np

from msm.products import hdf5
from msm.products.layout import Variable

PRECISIONS = (np.dtype("f4"), np.dtype("f8"))
"""Types of a measurement; a shorter type would change its fill."""

UNPACKED = {"scale_factor": 1.0, "add_offset": 0.0}
"""Packing attributes of values that are stored unpacked, where a file has them."""


def difference(stored: h5py.Dataset, variable: Variable) -> tuple[str, str] | None:
    """Return the first difference between a stored variable and its layout; None without one.

    Returns
    -------
    tuple of str or None
        State of the file, and the value of the layout.
    """
    expected = np.dtype(variable.dtype)
    # A measurement may be stored in another precision; the bits of a flag may not.
    types = PRECISIONS if expected.kind == "f" else (expected,)
    if stored.dtype.newbyteorder("=") not in types:
        return f"is stored as {stored.dtype}", variable.dtype
    if _transposed(stored, variable):
        return "has rows and columns exchanged", ", ".join(variable.dims)
    stated = {"_FillValue": variable.fill, "missing_value": variable.fill} | UNPACKED
    for name, known in stated.items():
        value = hdf5.number(stored, name)
        if value is not None and not _equal(value, known):
            return f"states {name} {value:g}", f"{known:g}"
    return None


def _transposed(stored: h5py.Dataset, variable: Variable) -> bool:
    """Return whether a square field has its row and column axes exchanged."""
    if stored.ndim < 2 or stored.shape[-1] != stored.shape[-2]:
        return False  # the shape differs then
    # A dimension scale that was removed has no name.
    axes = [str(scales[0].name).rpartition("/")[2] for scales in stored.dims if len(scales)]
    return axes[-2:] == [*variable.dims[:-3:-1]]


def _equal(one: float, other: float) -> bool:
    """Return whether two numbers are equal in single precision, in which -9999.9 is rounded."""
    with np.errstate(over="ignore"):
        return bool(np.float32(one) == np.float32(other))
