"""The ways in which a cross-validation holds something out."""

from enum import StrEnum


class Split(StrEnum):
    """What is held out."""

    folds = "folds"
    """Each fifth of the stations, neighbours together."""
    regions = "regions"
    """The stations of each climate region."""
    satellite = "satellite"
    """The second year, at all satellite cells."""
