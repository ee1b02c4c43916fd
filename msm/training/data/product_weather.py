"""Samples with the weather and the statics that the product itself is made from."""

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
    """Give stations what msm has stored of the cells that they stand in, in place of their own.

    The samples have the schema of the stations' own, so that they can be learned from or scored
    alike. Days are UTC days of the weather, and local standard days of the soil moisture: over
    CONUS these begin five to eight hours later.

    Parameters
    ----------
    stations : Stations
        What was measured on the spot stays: the target, and the measured soil.
    domain : Domain
        Cells of the stored fields. A station that stands in none of them is left out.
    forcing : Path
        Folder of the domain's stored forcing, with ``<year>/<yyyymmdd>.nc``.
    statics : Path
        File of its statics.
    first, last : date
        Days, both included.

    Returns
    -------
    Stations

    Raises
    ------
    SamplesError
        If a day is not stored, or no station stands in the domain.
    """
    place, inside = _cells_of(stations, domain)
    if not inside.any():
        raise SamplesError(
            f"no station stands in a cell of {domain.name}: give stations of it, or another domain"
        )
    found = stations.at(inside).between(first, last)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    series: dict[str, list[np.ndarray]] = {}
    for day in days:
        path = forcing / f"{day:%Y}" / f"{day:%Y%m%d}.nc"
        if not path.exists():
            raise SamplesError(
                f"the forcing of {day} is not stored for {domain.name}:"
                f" run msm fetch {first} {last}"
            )
        for name, values in cell_fields.read(path, domain).fields.items():
            series.setdefault(name, []).append(values[place])
    if not statics.exists():
        raise SamplesError(f"the statics of {domain.name} are not stored: run msm fetch for a day")
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
        raise SamplesError(f"no forcing is stored in {forcing}: run msm fetch for the days wanted")
    return date.fromisoformat(days[0]), date.fromisoformat(days[-1])


def _cells_of(stations: Stations, domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell of each station that stands in one, and which do."""
    cell = domain.numbers()[M09.rowcol(stations.lat, stations.lon)]
    return cell[cell >= 0], cell >= 0
