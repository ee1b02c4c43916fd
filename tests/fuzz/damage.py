"""Damage of a disk or a connection: bytes of a granule change."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.fuzz.bases import Subject

SIGNATURE = 8


def flip_bits(path: Path, subject: Subject, chance: Random) -> None:
    """Flip bits anywhere."""
    _flip(path, chance, (1, 2, 8, 64), None)


def flip_header_bits(path: Path, subject: Subject, chance: Random) -> None:
    """Flip bits at the start of the file's structure."""
    _flip(path, chance, (1, 2, 4), 2048)


def _flip(path: Path, chance: Random, counts: tuple[int, ...], end: int | None) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice(counts)):
        content[chance.randrange(SIGNATURE, end or len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, subject: Subject, chance: Random) -> None:
    """Cut off the end."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def append(path: Path, subject: Subject, chance: Random) -> None:
    """Add bytes."""
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randrange(1, 4096)))


def swap_blocks(path: Path, subject: Subject, chance: Random) -> None:
    """Exchange two blocks."""
    content = bytearray(path.read_bytes())
    size = chance.choice((8, 64, 512, 4096))
    one, other = (chance.randrange(SIGNATURE, len(content) - size) for _ in range(2))
    first, second = bytes(content[one : one + size]), bytes(content[other : other + size])
    content[one : one + size], content[other : other + size] = second, first
    path.write_bytes(content)


def zero_block(path: Path, subject: Subject, chance: Random) -> None:
    """Set a block to zero."""
    size = chance.choice((1, 8, 64, 512, 4096))
    start = chance.randrange(SIGNATURE, path.stat().st_size - size)
    _overwrite(path, start, bytes(size))


def zero_superblock(path: Path, subject: Subject, chance: Random) -> None:
    """Set the first bytes to zero, with or without the signature."""
    start = chance.choice((0, SIGNATURE))
    _overwrite(path, start, bytes(48 - start))


def huge_numbers(path: Path, subject: Subject, chance: Random) -> None:
    """Set one number of the file's structure to its maximum."""
    size = chance.choice((2, 4, 8))
    _overwrite(path, chance.randrange(SIGNATURE, 4096), b"\xff" * size)


def _overwrite(path: Path, start: int, block: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(block)] = block
    path.write_bytes(content)


DAMAGES = (
    flip_bits,
    flip_header_bits,
    truncate,
    append,
    swap_blocks,
    zero_block,
    zero_superblock,
    huge_numbers,
)
