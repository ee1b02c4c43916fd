"""Granules broken in as many ways as a disk, a wire and a provider can."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import numpy as np

from msm.inputs.granule import Granule, verify
from msm.inputs.nldas import FORA0125_H_2_0 as NLDAS
from msm.inputs.product import GranuleError, Reading
from msm.sandbox.weather import NORTH_AMERICA
from msm.sandbox.writer import write_granule

STAMP = datetime(2016, 4, 1, tzinfo=UTC)
NAME = "NLDAS_FORA0125_H.A20160401.0000.020.nc"
SIGNATURE = 8

Mutation = Callable[[Path, random.Random], None]


def make_base(path: Path) -> None:
    """Write a right granule, small because it holds few values, with fill in one corner."""
    rows, cols = NLDAS.layout.grid.rows, NLDAS.layout.grid.cols
    pattern = np.add.outer(np.arange(rows) // 32, np.arange(cols) // 32)
    field = np.where(pattern == 0, np.nan, 1.0 + pattern)
    fields = {v.name: field * v.scale for v in NLDAS.layout.variables}
    write_granule(path, NLDAS.layout, STAMP, fields, NORTH_AMERICA)


def _flip_bits(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 2, 8, 64))):
        content[chance.randrange(SIGNATURE, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _flip_header_bits(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 2, 4))):
        content[chance.randrange(SIGNATURE, 2048)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _truncate(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def _append(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randrange(1, 4096)))


def _swap_blocks(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    size = chance.choice((8, 64, 512, 4096))
    one, other = (chance.randrange(SIGNATURE, len(content) - size) for _ in range(2))
    first, second = bytes(content[one : one + size]), bytes(content[other : other + size])
    content[one : one + size], content[other : other + size] = second, first
    path.write_bytes(content)


def _zero_block(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    size = chance.choice((1, 8, 64, 512, 4096))
    start = chance.randrange(SIGNATURE, len(content) - size)
    content[start : start + size] = bytes(size)
    path.write_bytes(content)


def _zero_superblock(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = chance.choice((0, SIGNATURE))
    content[start:48] = bytes(48 - start)
    path.write_bytes(content)


def _huge_numbers(path: Path, chance: random.Random) -> None:
    """Overwrite one number of the file's structure with the largest."""
    content = bytearray(path.read_bytes())
    size = chance.choice((2, 4, 8))
    start = chance.randrange(SIGNATURE, 4096)
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)


def _attribute(path: Path, chance: random.Random) -> None:
    values = ("", "K", "degC", "hours since nonsense", "days since 1-1-1", "ß" * 50, 1e300, -1, [])
    with netCDF4.Dataset(path, "a") as dataset:
        name = chance.choice([*dataset.variables])
        attribute = chance.choice(("units", "long_name", "calendar", "scale_factor", "missing"))
        dataset[name].setncattr(attribute, chance.choice(values))


def _rename(path: Path, chance: random.Random) -> None:
    with netCDF4.Dataset(path, "a") as dataset:
        name = chance.choice([*dataset.variables])
        dataset.renameVariable(name, chance.choice((name.lower() + "_", "x", "Größe")))


def _values(path: Path, chance: random.Random) -> None:
    values = (np.nan, np.inf, -np.inf, 1e300, -1e300, 1e38, -1.0, 0.0)
    with netCDF4.Dataset(path, "a") as dataset:
        variable = dataset[chance.choice([*dataset.variables])]
        variable.set_auto_maskandscale(False)
        spot = tuple(chance.randrange(size) for size in variable.shape)
        with np.errstate(over="ignore"):
            variable[spot] = np.array(chance.choice(values)).astype(variable.dtype)


def _dimensions(path: Path, chance: random.Random) -> None:
    """Write a file of the right names on another grid, huge at times, with nothing on it."""
    sizes = {"time": 1, "lat": 224, "lon": 464}
    sizes[chance.choice([*sizes])] = chance.choice((0, 2, 465, 2**20, 2**31, 2**40))
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in sizes.items():
            dataset.createDimension(name, size or None)
        for name in sizes:
            dataset.createVariable(name, "f8", (name,), chunksizes=(1,))
        for variable in NLDAS.layout.variables:
            dataset.createVariable(variable.path, "f4", (*sizes,), chunksizes=(1, 1, 1))


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _flip_header_bits,
    _truncate,
    _append,
    _swap_blocks,
    _zero_block,
    _zero_superblock,
    _huge_numbers,
    _attribute,
    _rename,
    _values,
    _dimensions,
)


def mutate(base: Path, folder: Path, seed: int, index: int) -> tuple[Path, str]:
    """Write case `index` of a seed into a folder; return it and what was done to it."""
    chance = random.Random(f"granule {seed} {index}")
    mutation = MUTATIONS[index % len(MUTATIONS)]
    path = folder / str(index) / NAME
    path.parent.mkdir(parents=True)
    shutil.copyfile(base, path)
    mutation(path, chance)
    return path, mutation.__name__.strip("_")


def wrong_with_checksum(base: Path, path: Path, record: Granule) -> str | None:
    """Return what is wrong when a mutated file stands against the right one's record."""
    if path.read_bytes() == base.read_bytes():
        return None
    try:
        verify(path, record)
    except GranuleError:
        return None
    return "passes under a checksum that is not its own"


def wrong_without_checksum(right: Reading, reading: Reading) -> str | None:
    """Return what is wrong with the reading of a mutated file whose record fits it."""
    if reading.time != STAMP:
        return f"is of {reading.time}"
    if set(reading.fields) - set(right.fields):
        return f"has fields {sorted(reading.fields)}"
    required = {v.name for v in NLDAS.layout.variables if v.required}
    if not required & set(right.fields) <= set(reading.fields):
        return f"lacks required fields, has {sorted(reading.fields)}"
    for name, field in reading.fields.items():
        expected = right.fields[name]
        if field.shape != expected.shape or field.dtype != np.float32:
            return f"has {name} {field.dtype} {field.shape}"
        if np.isinf(field).any():
            return f"has infinite {name}"
    return None


def same(right: Reading, reading: Reading) -> bool:
    """Tell whether two readings hold the same fields."""
    return set(right.fields) == set(reading.fields) and all(
        np.array_equal(field, right.fields[name], equal_nan=True)
        for name, field in reading.fields.items()
    )
