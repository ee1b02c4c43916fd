"""Samples with the weather and statics of the product in place of the stations' own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from msm.fields import cell_fields
from msm.grid.domain import Domain
from msm.grid.ease import M09
from msm.training.data.samples import SamplesError
from msm.training.data.stations import Stations


def stored_samples(
    stations: Stations, domain: Domain, forcing: Path, statics: Path, first: date, last: date
) -> Stations:
    """Replace the weather and statics of stations by the stored fields of their cells.

    Training and evaluation take the result like the stations' own samples. Weather is of UTC days,
    soil moisture of local standard days, which over CONUS begin five to eight hours later.

    Parameters
    ----------
    stations
        Their target and measured soil stay.
    domain
        Domain of the stored fields. Stations outside its cells are left out.
    forcing
        Folder of the domain's forcing, ``<year>/<yyyymmdd>.nc``.
    statics
        File of the domain's statics.
    first, last
        First and last day, both included.

    Returns
    -------
    Stations

    Raises
    ------
    SamplesError
        If a day is not stored, or no station lies in the domain.
    """
    place, inside = _cells_of(stations, domain)
    if not inside.any():
        raise SamplesError(
            f"No station lies in a cell of {domain.name}: use stations within it or another domain."
        )
    found = stations.at(inside).between(first, last)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    series: dict[str, list[np.ndarray]] = {}
    for day in days:
        path = forcing / f"{day:%Y}" / f"{day:%Y%m%d}.nc"
        if not path.exists():
            raise SamplesError(
                f"The forcing of {day} is not stored for {domain.name}:"
                f" run msm fetch {first} {last}."
            )
        for name, values in cell_fields.read(path, domain).fields.items():
            series.setdefault(name, []).append(values[place])
    if not statics.exists():
        raise SamplesError(f"The statics of {domain.name} are not stored: run msm fetch for a day.")
    fixed = {
        name: values[place] for name, values in cell_fields.read(statics, domain).fields.items()
    }
    weather = {
        name: np.stack(parts, axis=1) for name, parts in series.items() if len(parts) == len(days)
    }
    return replace(
        found,
        forcing=weather,
        observed=np.ones(found.target.shape, bool),
        statics=found.statics | fixed,
    )


def stored_days(forcing: Path) -> tuple[date, date]:
    """Return the first and last day of a folder of stored forcing.

    Raises
    ------
    SamplesError
        If there is none.
    """
    days = sorted(path.stem for path in forcing.glob("[0-9][0-9][0-9][0-9]/[0-9]*.nc"))
    if not days:
        raise SamplesError(f"No forcing is stored in {forcing}: run msm fetch for these days.")
    return date.fromisoformat(days[0]), date.fromisoformat(days[-1])


def _cells_of(stations: Stations, domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of the stations inside the domain, and the mask of these stations."""
    cell = domain.numbers()[M09.rowcol(stations.lat, stations.lon)]
    return cell[cell >= 0], cell >= 0
