"""What a disk or a wire does to a granule: its bytes change."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.fuzz.bases import Subject

SIGNATURE = 8


def flip_bits(path: Path, subject: Subject, chance: Random) -> None:
    """Flip bits anywhere."""
    _flip(path, chance, (1, 2, 8, 64), None)


def flip_header_bits(path: Path, subject: Subject, chance: Random) -> None:
    """Flip bits where the structure of the file begins."""
    _flip(path, chance, (1, 2, 4), 2048)


def _flip(path: Path, chance: Random, counts: tuple[int, ...], end: int | None) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice(counts)):
        content[chance.randrange(SIGNATURE, end or len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, subject: Subject, chance: Random) -> None:
    """Cut the end off."""
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
    """Lose a block."""
    content = bytearray(path.read_bytes())
    size = chance.choice((1, 8, 64, 512, 4096))
    start = chance.randrange(SIGNATURE, len(content) - size)
    content[start : start + size] = bytes(size)
    path.write_bytes(content)


def zero_superblock(path: Path, subject: Subject, chance: Random) -> None:
    """Lose the first bytes, with or without the signature."""
    content = bytearray(path.read_bytes())
    start = chance.choice((0, SIGNATURE))
    content[start:48] = bytes(48 - start)
    path.write_bytes(content)


def huge_numbers(path: Path, subject: Subject, chance: Random) -> None:
    """Overwrite one number of the file's structure with the largest."""
    content = bytearray(path.read_bytes())
    size = chance.choice((2, 4, 8))
    start = chance.randrange(SIGNATURE, 4096)
    content[start : start + size] = b"\xff" * size
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
