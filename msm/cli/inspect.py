"""`msm inspect`: summarise an input granule, or a map of the product."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from msm.cli.shared import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray


def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="An input granule or a product.")],
    as_json: Json = False,
) -> None:
    """Summarise any input granule or product, as read before any masking."""
    summary = summarise(path)
    if as_json:
        typer.echo(json.dumps(summary))
        return
    table = Table("variable", "units", "count", "min", "mean", "max")
    for name, found in summary["variables"].items():
        numbers = (found[key] for key in ("min", "mean", "max"))
        shown = ("" if number is None else f"{number:.6g}" for number in numbers)
        table.add_row(name, found["units"], str(found["count"]), *shown)
    typer.echo(f"{summary['product']} {summary['version']}, {summary['day'] or 'static'}")
    Console().print(table)


def summarise(path: Path) -> dict[str, Any]:
    """Summarise a file as read, before any masking by quality.

    Returns
    -------
    dict
        `product`, `version`, `day` (UTC, ISO 8601, None for a static product) and `variables`: by
        canonical name, `units`, `count` of values that are not fill, and their unweighted `min`,
        `mean` and `max` (None where there is no value).

    Raises
    ------
    MsmError
        If the file does not open or no product has its layout.
    """
    import netCDF4
    import numpy as np

    from msm.archive.naming import PRODUCT, day_of

    day = day_of(path.stem)
    if day is None:
        return _granule(path)
    with netCDF4.Dataset(path) as dataset:
        layers = [v for v in dataset.variables.values() if "grid_mapping" in v.ncattrs()]
        return {
            "product": PRODUCT,
            "version": dataset.product_version,
            "day": day.isoformat(),
            "variables": {
                layer.name: _summary(layer.units, np.ma.compressed(layer[:])) for layer in layers
            },
        }


def _granule(path: Path) -> dict[str, Any]:
    import numpy as np

    from msm.products.registry import identify

    product = identify(path)
    reading = product.read(path)
    return {
        "product": product.layout.product,
        "version": reading.version,
        "day": reading.day.isoformat() if reading.day else None,
        # Flags are not quantities: they are left out.
        "variables": {
            name: _summary(product.units(name), field[np.isfinite(field)])
            for name, field in reading.fields.items()
            if field.dtype.kind == "f"
        },
    }


def _summary(units: str, values: NDArray[Any]) -> dict[str, Any]:
    exact = values.astype("f8")
    return {
        "units": units,
        "count": int(exact.size),
        "min": float(exact.min()) if exact.size else None,
        "mean": float(exact.mean()) if exact.size else None,
        "max": float(exact.max()) if exact.size else None,
    }
