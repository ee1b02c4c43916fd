"""The product's name and version, and where its files lie in an archive."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

PRODUCT = "MSM-SM-D-M09"
"""msm, soil moisture, daily, EASE-2 9 km."""

PRODUCT_VERSION = "1.1"
"""major.minor: minor rises when values change for the same inputs and checkpoint, major when the
layout does."""

_STEM = re.compile(rf"^{PRODUCT}-(?P<label>[\w.]+)-(?P<day>\d{{8}})-v(?P<version>\d+\.\d+)$")


def domain_label(domain_name: str) -> str:
    """Return the form of a domain's name in file and folder names.

    `conus` stays; `box:25,53,-125,-67` becomes `box_25N_53N_125W_67W`, which is valid in
    shells, URLs and file systems.
    """
    kind, _, numbers = domain_name.partition(":")
    if not numbers:
        return kind
    south, north, west, east = (float(number) for number in numbers.split(","))
    sides = [(south, "NS"), (north, "NS"), (west, "EW"), (east, "EW")]
    return "_".join([kind, *(f"{abs(v):.10g}{names[int(v < 0)]}" for v, names in sides)])


def file_stem(domain_name: str, day: date, version: str = PRODUCT_VERSION) -> str:
    """Return the name of a day's files without suffix."""
    return f"{PRODUCT}-{domain_label(domain_name)}-{day:%Y%m%d}-v{version}"


def day_of(stem: str) -> date | None:
    """Return the day that a file stem names, or None for other names."""
    match = _STEM.match(stem)
    return datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC).date() if match else None


def domain_folder(archive: Path, domain_name: str) -> Path:
    """Return the folder of a domain in an archive."""
    return archive / domain_label(domain_name)


def month_folder(archive: Path, domain_name: str, day: date) -> Path:
    """Return the folder that holds the files of a day's month."""
    return domain_folder(archive, domain_name) / f"{day:%Y}" / f"{day:%m}"


def map_path(archive: Path, domain_name: str, day: date) -> Path:
    """Return the path of a day's NetCDF file; `.json` and `.png` are next to it."""
    return month_folder(archive, domain_name, day) / f"{file_stem(domain_name, day)}.nc"
