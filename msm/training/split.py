"""The splits of a cross-validation."""

from __future__ import annotations

from enum import StrEnum


class Split(StrEnum):
    """What a cross-validation holds out."""

    folds = "folds"
    """Five folds of stations; neighbours share a fold."""
    regions = "regions"
    """The stations of each climate region."""
    satellite = "satellite"
    """The second year of all satellite cells."""
