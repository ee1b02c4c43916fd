"""`msm inspect`: any input granule, or a map of the product, summarised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from msm.archive.naming import PRODUCT, day_of
from msm.products import registry
from msm.products.registry import summary


def inspect(path: Path) -> dict[str, Any]:
    """Summarise a file as it was read, before any masking by quality.

    Returns
    -------
    dict
        `product`, `version`, `day` (ISO, None for a static product) and `variables`: by canonical
        name `units`, `count` of values that are not fill, `min`, `mean`, `max`.

    Raises
    ------
    MsmError
        If the file does not open or no product has its layout.
    """
    day = day_of(path.stem)
    if day is None:
        return registry.inspect(path)
    with netCDF4.Dataset(path) as dataset:
        layers = [v for v in dataset.variables.values() if "grid_mapping" in v.ncattrs()]
        return {
            "product": PRODUCT,
            "version": dataset.product_version,
            "day": day.isoformat(),
            "variables": {
                layer.name: summary(layer.units, np.ma.compressed(layer[:])) for layer in layers
            },
        }
