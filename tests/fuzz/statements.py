"""Changes of a granule's attributes: the values stay the same, and their description differs."""

from __future__ import annotations

from pathlib import Path
from random import Random

import h5py
import numpy as np

from tests.fuzz.bases import Subject
from tests.fuzz.datasets import a_variable, any_variable, replace, set_attribute


def fill_attribute(path: Path, subject: Subject, chance: Random) -> None:
    """State another fill than stored, the same in another type, or none."""
    with h5py.File(path, "a") as file:
        stored = a_variable(file, subject, chance)
        name = chance.choice(("_FillValue", "missing_value"))
        right = stored.attrs["_FillValue"]
        wrong = (-999.0, 1e20, np.nan, 0, "none", [-9999.0, -999.0], b"\xff")
        stated = chance.choice((*wrong, np.float64(right[0]), np.float32(right[0]), None))
        if name in stored.attrs:
            del stored.attrs[name]
        if stated is not None:
            stored.attrs[name] = stated


def attribute(path: Path, subject: Subject, chance: Random) -> None:
    """Set an attribute of a variable to a value of the wrong kind, or a false one."""
    values = ("", "K", "hours since nonsense", "days since 1-1-1", "ß" * 50, 1e300, -1, [1, 2])
    names = ("units", "long_name", "calendar", "missing_value", "_FillValue", "DIMENSION_LIST")
    with h5py.File(path, "a") as file:
        stored = any_variable(file, subject, chance)
        set_attribute(stored, chance.choice(names), chance.choice(values))


def header(path: Path, subject: Subject, chance: Random) -> None:
    """Make the attributes of a file unreadable."""
    values = (b"\xff\xfe", 5, np.nan, [b"a", b"b"], h5py.Empty("S1"), h5py.Empty("f4"), None)
    stated = [(a.group, a.name) for a in subject.layout.attributes]
    stamp = subject.layout.stamp
    if stamp and stamp.attribute:
        stated.append(tuple(stamp.attribute.split("@")))
    with h5py.File(path, "a") as file:
        for group, name in chance.sample(stated, min(len(stated), chance.choice((1, 1, 3)))):
            value = chance.choice(values)
            holder = file[group] if group else file
            if value is None and group:
                del file[group]
                file[group] = 1.0
                return
            set_attribute(holder, name.partition(":")[0], 0 if value is None else value)


def times(path: Path, subject: Subject, chance: Random) -> None:
    """State two times, another time, or other units and calendars."""
    units = ("", "hours", "furlongs since 2000-01-01", "months since 2000-01-01", "hours since 0")
    units = (*units, "seconds since 2000-01-01 00:00:00 +99:00", "days since 2016-04-31", 7)
    with h5py.File(path, "a") as file:
        stamp = subject.layout.stamp
        if stamp is None or stamp.variable is None:
            return
        stored = file[stamp.variable]
        what = chance.randrange(4)
        if what == 0:
            set_attribute(stored, "units", chance.choice(units))
        elif what == 1:
            replace(stored, np.repeat(stored[...], 2))
        elif what == 2:
            replace(stored, stored[...] + chance.choice((1, -1, 0.5, 1e9, np.nan)))
        else:
            set_attribute(
                stored, "calendar", chance.choice(("360_day", "julian", "roman", "noleap", 3))
            )


def packing(path: Path, subject: Subject, chance: Random) -> None:
    """State a factor and an offset."""
    with h5py.File(path, "a") as file:
        stored = a_variable(file, subject, chance)
        set_attribute(
            stored, "scale_factor", chance.choice((1.0, np.float32(1), 0.01, np.nan, "1", 1))
        )
        set_attribute(
            stored, "add_offset", chance.choice((0.0, np.float32(0), 273.15, [0.0, 0.0], 0))
        )
