"""Granules of the sandbox: the products it serves, and files written as their layouts say."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray

from msm.grid.domain import land_fraction
from msm.grid.ease import M09, M36
from msm.inputs.layout import Layout, Variable, load_layout
from msm.sandbox.alterations import Alteration, alter
from msm.sandbox.weather import Extent, Fields, Weather, region

EPOCH = datetime(1979, 1, 1, tzinfo=UTC)
"""What the time variable of hourly granules counts from."""

REVISED = {"precipitation", "soil_moisture_am", "soil_moisture_pm"}
"""Variables that change by one percent with each new content of a granule."""

EASE_GRIDS = {"M09": M09, "M36": M36}
EASE_CHUNKS = {"M09": (58, 121), "M36": (58, 121)}
"""Small chunks, so that what lies outside the sandbox's region is never written."""


@dataclass(frozen=True)
class Product:
    """One product that the sandbox serves."""

    layout: Layout
    fields: Callable[[Weather, Layout, datetime], Fields]
    """Makes a granule's fields from weather, by the layout's variable names."""
    release: str = ""
    """Release in the granules' names, where they have one."""
    collection: str = ""
    """Concept id of the collection."""

    @property
    def counted(self) -> bool:
        """Whether a new production gets a name of its own, with the counter raised."""
        return "{counter}" in self.layout.file_name

    def name(self, stamp: datetime, counter: int) -> str:
        """Name of the granule of a time."""
        return self.layout.file_name.format(
            time=stamp, release=self.release, counter=f"{counter:03d}"
        )


class Facts(NamedTuple):
    """What a record says of a file."""

    size: int
    """Bytes."""
    sha256: str


def _forcing(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    return weather.hour(stamp, *layout.grid.axes())


def _retrievals(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    fields = {}
    for half in ("am", "pm"):
        found = weather.satellite(stamp.date(), EASE_GRIDS[layout.grid.kind], half)
        fields.update({f"{name}_{half}": field for name, field in found.items()})
    return fields


def _land(weather: Weather, layout: Layout, stamp: datetime) -> Fields:
    fraction = land_fraction().astype(np.float32) / np.float32(100)
    return {**weather.soil(EASE_GRIDS[layout.grid.kind]), "land_fraction": fraction}


@lru_cache(maxsize=1)
def products() -> dict[str, Product]:
    """Return the products served, by short name."""
    # The collection of NLDAS bears its real concept id; the others were not at hand.
    served = (
        Product(load_layout("nldas_fora0125_h_2.0"), _forcing, collection="C2033151148-GES_DISC"),
        Product(load_layout("spl3smp_e_006"), _retrievals, "R19240", "C9000000002-NSIDC_CPRD"),
        Product(load_layout("spl3smp_009"), _retrievals, "R19240", "C9000000003-NSIDC_CPRD"),
        Product(load_layout("spl4smlm_008"), _land, "Vv8011", "C9000000004-NSIDC_CPRD"),
    )
    return {product.layout.product: product for product in served}


def make_granule(
    weather: Weather,
    short_name: str,
    stamp: datetime,
    content: int,
    path: Path,
    alteration: Alteration | None = None,
) -> Facts:
    """Write one granule; the same arguments give the same bytes.

    Parameters
    ----------
    weather
        Where the fields come from.
    short_name
        Product, of `products`.
    stamp
        Time of the granule.
    content
        1 for the first production; each further one has slightly other values.
    path
        Target, written under a temporary name and then renamed.
    alteration
        What is not as the product's layout says.

    Returns
    -------
    Facts
        Size and checksum of the file.
    """
    product = products()[short_name]
    fields: Fields = dict(product.fields(weather, product.layout, stamp))
    for name in REVISED & fields.keys():
        fields = {**fields, name: fields[name] * (1 + 0.01 * (content - 1))}
    layout = product.layout
    if alteration is not None:
        layout, fields = alter(layout, fields, alteration)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    write_granule(part, layout, stamp, fields, weather.extent)
    data = part.read_bytes()
    part.rename(path)
    return Facts(len(data), hashlib.sha256(data).hexdigest())


def write_granule(
    path: Path, layout: Layout, stamp: datetime, fields: Fields, extent: Extent
) -> None:
    """Write fields into a file of a product's layout.

    Parameters
    ----------
    path
        Target.
    layout
        Names, groups, dimensions, types, fills and units.
    stamp
        Time of the granule.
    fields
        Arrays in canonical units by the layout's variable names, NaN where there is no value. On an
        EASE-2 grid they cover the whole grid or the region of `extent`. A variable without a field
        is all fill.
    extent
        Part of the world that the fields cover.
    """
    with netCDF4.Dataset(path, "w") as dataset:
        _write_axes(dataset, layout, stamp)
        for variable in layout.variables:
            *groups, name = variable.path.split("/")
            group = dataset.createGroup("/".join(groups)) if groups else dataset
            target = group.createVariable(
                name,
                variable.dtype,
                variable.dims,
                fill_value=np.dtype(variable.dtype).type(variable.fill),
                compression="zlib",
                complevel=1,
                chunksizes=_chunks(layout, variable.dims),
            )
            target.set_auto_maskandscale(False)
            target.units = variable.units
            target.long_name = variable.long_name
            if variable.name in fields:
                stored = _stored(fields[variable.name], variable)
                target[_place(stored.shape, layout, extent)] = stored
            elif layout.grid.kind == "latlon":
                target[0] = variable.fill
        for attribute in layout.attributes:
            dataset.createGroup(attribute.group).setncattr(attribute.name, attribute.value)


def _write_axes(dataset: netCDF4.Dataset, layout: Layout, stamp: datetime) -> None:
    grid = layout.grid
    if grid.lat and grid.lon:
        lat, lon = grid.axes()
        for name, axis, units in (
            (grid.lat, lat, "degrees_north"),
            (grid.lon, lon, "degrees_east"),
        ):
            dataset.createDimension(name, axis.size)
            variable = dataset.createVariable(name, "f4", (name,))
            variable.units = units
            variable[:] = axis
    else:
        dataset.createDimension("y", grid.rows)
        dataset.createDimension("x", grid.cols)
    if layout.stamp is None:
        return
    if layout.stamp.variable:
        dataset.createDimension("time", None)
        variable = dataset.createVariable(layout.stamp.variable, "f8", ("time",))
        variable.units = f"hours since {EPOCH:%Y-%m-%d %H:%M:%S}"
        variable.calendar = "standard"
        variable[0] = (stamp - EPOCH).total_seconds() / 3600
    if layout.stamp.attribute:
        group, name = layout.stamp.attribute.split("@")
        dataset.createGroup(group).setncattr(name, f"{stamp:%Y-%m-%dT%H:%M:%S}.000Z")


def _chunks(layout: Layout, dims: tuple[str, ...]) -> tuple[int, ...]:
    if layout.grid.kind == "latlon":
        return (1,) * (len(dims) - 2) + (layout.grid.rows, layout.grid.cols)
    return EASE_CHUNKS[layout.grid.kind]


def _stored(field: NDArray[Any], variable: Variable) -> NDArray[Any]:
    if np.issubdtype(field.dtype, np.floating):
        field = np.where(np.isnan(field), variable.fill, field / variable.scale)
    return field.astype(variable.dtype)


def _place(shape: tuple[int, ...], layout: Layout, extent: Extent) -> Any:
    """Where in the file's variable a field of a shape goes."""
    if layout.grid.kind == "latlon":
        return 0
    whole = shape == (layout.grid.rows, layout.grid.cols)
    return ... if whole else region(EASE_GRIDS[layout.grid.kind], extent)
