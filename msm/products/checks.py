"""Whether a stored variable is what its layout says, told before its values are read."""

from __future__ import annotations

import h5py
import numpy as np

from msm.products import hdf5
from msm.products.layout import Variable

PRECISIONS = (np.dtype("f4"), np.dtype("f8"))
"""Types of a measurement; in shorter ones its fill would be another number."""

UNPACKED = {"scale_factor": 1.0, "add_offset": 0.0}
"""What a file says of numbers that are stored as they are, if it says it."""


def difference(stored: h5py.Dataset, variable: Variable) -> tuple[str, str] | None:
    """Tell what sets a stored variable apart from its layout; None where nothing does.

    Returns
    -------
    tuple of str or None
        What the file has, and what the layout has in its place.
    """
    expected = np.dtype(variable.dtype)
    # A measurement may come in another precision; the bits of a flag are of its own type.
    types = PRECISIONS if expected.kind == "f" else (expected,)
    if stored.dtype.newbyteorder("=") not in types:
        return f"is stored as {stored.dtype}", variable.dtype
    if _turned(stored, variable):
        return "has rows and columns exchanged", ", ".join(variable.dims)
    said = {"_FillValue": variable.fill, "missing_value": variable.fill} | UNPACKED
    for name, right in said.items():
        value = hdf5.number(stored, name)
        if value is not None and not _same(value, right):
            return f"states {name} {value:g}", f"{right:g}"
    return None


def _turned(stored: h5py.Dataset, variable: Variable) -> bool:
    """Tell whether a field of as many rows as columns is tied to its axes the wrong way round."""
    if stored.ndim < 2 or stored.shape[-1] != stored.shape[-2]:
        return False  # the shape tells
    # A scale that was removed has no name.
    tied = [str(scales[0].name).rpartition("/")[2] for scales in stored.dims if len(scales)]
    return tied[-2:] == [*variable.dims[:-3:-1]]


def _same(one: float, other: float) -> bool:
    """Tell whether two numbers are one: -9999.9 is another in double precision than in single."""
    with np.errstate(over="ignore"):
        return bool(np.float32(one) == np.float32(other))
