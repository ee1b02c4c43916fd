"""Probe: one real granule of each product is compared with its layout file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import h5py
import numpy as np

from msm.pipeline.model_inputs import CONSTANTS
from msm.pipeline.run import Run
from msm.pipeline.stored_retrievals import SATELLITE
from msm.products import hdf5
from msm.products.product import GranuleError, Product, open_granule
from msm.sources.granule import newest
from msm.sources.tiers import sources

WINDOW_DAYS = 2
"""Days before the due time of a product that are searched: they hold granules unless it ended."""


@dataclass(frozen=True)
class Finding:
    """The finding of one product."""

    product: str
    granule: str | None
    """None where the source offers none."""
    differences: tuple[str, ...]
    """Empty where the granule is as its layout file says."""


def probe(run: Run, now: datetime) -> list[Finding]:
    """Fetch a recent granule of each product in use and compare it with its layout.

    Raises
    ------
    MsmError
        If the source does not answer.
    """
    used = (*sources(run.domain), SATELLITE, CONSTANTS)
    return [_probe(run, product, now) for product in used]


def _probe(run: Run, product: Product, now: datetime) -> Finding:
    due = now - timedelta(days=product.layout.latency.due_days)
    start = due - timedelta(days=WINDOW_DAYS)
    offered = run.source.search(product, start, due)
    if not offered:
        ended = f"none from {start:%Y-%m-%d} to {due:%Y-%m-%d}: late, or has this version ended?"
        return Finding(product.id, None, (ended,))
    chosen = newest(offered)[0][-1:]
    fetched = run.source.fetch(product, chosen)
    if fetched.refused:
        return Finding(product.id, chosen[0].name, tuple(fetched.refused.values()))
    path = fetched.files[0].path
    try:
        with open_granule(path) as granule:
            return Finding(product.id, path.name, tuple(_differences(granule, product)))
    except GranuleError as error:
        return Finding(product.id, path.name, (str(error),))


def _differences(granule: h5py.File, product: Product) -> list[str]:
    found = []
    for variable in product.layout.variables:
        stored = hdf5.variable(granule, variable.path)
        if stored is None:
            found.append(f"{variable.path} is missing")
            continue
        fill = float(np.asarray(variable.fill, variable.dtype))
        stored_fill = hdf5.number(stored, "_FillValue")
        stated = {
            "units": (variable.units, hdf5.attribute(stored, "units", "1")),
            "_FillValue": (fill, fill if stored_fill is None else stored_fill),
            "type": (variable.dtype, stored.dtype.str[1:]),
            "dimensions": (len(variable.dims), stored.ndim),
        }
        found += [
            f"{variable.path}: {what} is {real!r}, the layout states {layout!r}"
            for what, (layout, real) in stated.items()
            if layout != real
        ]
    return found
