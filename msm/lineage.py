"""The record of an input granule, as stored fields, published files and catalogue items keep it."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from msm.frozen import FrozenModel

Role = Literal["forcing", "retrieval", "statics", "comparison"]
"""What a granule was read for."""


class InputGranule(FrozenModel):
    """One granule that a result was made from, or that a newer production replaced."""

    product: str
    """Earthdata short name, for example `NLDAS_FORA0125_H`."""
    version: str
    """The provider's collection version, for example `2.0`."""
    granule: str
    """The provider's name of the granule."""
    time: AwareDatetime | None = None
    """UTC time in its name; None for a static product."""
    size: int
    """Bytes."""
    checksum: str
    """Algorithm and value: `sha256:...` of the file that was read; of a superseded granule what the
    catalogue states."""
    production: AwareDatetime | None = None
    """When the provider made the granule, UTC; None where it does not say."""
    role: Role | Literal["superseded"]
    """`retrieval` marks a SMAP granule that the network was given on later days, `superseded` one
    that a newer production of the same time replaced."""
    source: str = ""
    """Host of the catalogue that offered it, or `mirror` for a folder of granules."""
