"""What the network is given of a day: granules become fields on the cells, stored for reuse."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from msm.errors import MsmError
from msm.fields import cell_fields, forcing, retrievals, statics
from msm.fields.cell_fields import CellFields, Label
from msm.grid.domain import Domain
from msm.model.card import InputSpec
from msm.pipeline.day_sources import DaySources, IncompleteDayError, select_and_fetch
from msm.pipeline.run import Run, midnight
from msm.pipeline.stored_retrievals import SATELLITE, known_days, stored_fields
from msm.products.definitions import SPL4SMLM_008
from msm.products.product import Product
from msm.sources.granule import GranuleFile, newest
from msm.sources.known_bad import drop_known_bad

log = logging.getLogger(__name__)

CONSTANTS = SPL4SMLM_008

REPEAT_CYCLE_DAYS = 8
"""Days after which SMAP repeats its ground track: every cell is seen."""


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What the network is given of a day, besides the statics."""

    fields: CellFields
    """The day's forcing, and the retrievals that the checkpoint asks for, if any."""
    fingerprint: str
    """Of the stored files that they come from; of the forcing alone, its own hash."""


def model_inputs(run: Run, day: date) -> ModelInputs:
    """Read what the network is given of a day, and fetch and make what is not stored.

    An accepted gap is bridged: the network is given the weather of the day before, without rain, so
    that the days after it can be run. No map is made of such a day.
    """
    served = _before_gap(run, day)
    fields = stored_forcing(run, served)
    sha256 = fields.sha256
    if served != day:
        fields, sha256 = _bridge(fields, day), _of_bridge(sha256)
    asked = run.checkpoint.card.retrievals
    if asked is None:
        return ModelInputs(fields, sha256)
    known = stored_fields(run, day)
    return ModelInputs(
        replace(
            fields,
            fields=fields.fields | retrievals.newest_of_day(known, asked.lag_days),
            units=fields.units | retrievals.UNITS,
            inputs=(*fields.inputs, *(entry for part in known for entry in part.inputs)),
            origins=fields.origins | dict(item for part in known for item in part.origins.items()),
        ),
        _fingerprint([sha256, *(part.sha256 for part in known)]),
    )


def model_input_label(run: Run, day: date) -> Label | None:
    """Read what the stored files say a day is given; None where one of them is not stored.

    Raises
    ------
    MsmError
        If one of them is damaged.
    """
    served = _before_gap(run, day)
    paths = [run.workspace.forcing(served), *map(run.workspace.retrieval, known_days(run, day))]
    if not all(path.exists() for path in paths):
        return None
    labels = [cell_fields.read_label(path) for path in paths]
    if served != day:
        labels[0] = Label(_of_bridge(labels[0].sha256), (), ())
    return Label(
        _fingerprint([label.sha256 for label in labels]),
        tuple(entry for label in labels for entry in label.inputs),
        labels[0].awaited,
    )


def make_forcing(run: Run, day: date, sources: DaySources) -> CellFields:
    """Make a day's forcing from its granules and store it.

    Where complete granules turn out to hold no weather, the next source serves the day.
    """
    failed: dict[str, str] = {}
    while True:
        try:
            made = forcing.daily_forcing(
                run.domain,
                day,
                sources.choice,
                sources.files,
                sources.superseded,
                run.readers,
            )
        except forcing.SourceError as error:
            failed[error.product.id] = str(error)
            sources = select_and_fetch(run, day, day, failed)[day]
        else:
            cell_fields.write(run.workspace.forcing(day), made)
            return made


def stored_forcing(run: Run, day: date) -> CellFields:
    """Read a day's forcing, or fetch and make it where it is not stored, or damaged."""
    path = run.workspace.forcing(day)
    if path.exists():
        try:
            return cell_fields.read(path, run.domain)
        except MsmError:
            _warn_damaged(path)
    return make_forcing(run, day, select_and_fetch(run, day, day)[day])


def forcing_label(run: Run, day: date) -> Label | None:
    """Read the label of a day's forcing; None where it is not stored, or damaged."""
    path = run.workspace.forcing(day)
    try:
        return cell_fields.read_label(path) if path.exists() else None
    except MsmError:
        _warn_damaged(path)
        return None


def forcing_labels(run: Run, days: Iterable[date]) -> dict[date, Label]:
    """Read the labels of the days whose forcing is stored."""
    return {day: label for day in days if (label := forcing_label(run, day))}


def _warn_damaged(path: Path) -> None:
    log.warning("%s is damaged, and is made again from its granules.", path)


def is_gap(run: Run, day: date) -> bool:
    """Return whether a day is an accepted gap that has no forcing."""
    return day in run.settings.gaps and not run.workspace.forcing(day).exists()


def try_gaps(run: Run, days: Iterable[date]) -> None:
    """Make the forcing of accepted gaps whose granules have arrived after all."""
    for day in days:
        if is_gap(run, day):
            try:
                stored_forcing(run, day)
            except IncompleteDayError as error:
                log.info("%s", error)


def _before_gap(run: Run, day: date) -> date:
    """Return the day whose forcing serves a day: itself, except for a gap."""
    while is_gap(run, day):
        day -= timedelta(days=1)
    return day


def _bridge(before: CellFields, day: date) -> CellFields:
    """Fill the weather of a gap from the day before it."""
    dry = np.where(np.isnan(before.fields["precipitation"]), np.float32(np.nan), np.float32(0))
    return replace(
        before,
        day=day,
        fields=before.fields | {"precipitation": dry},
        filled=np.ones_like(before.filled),
        lower_tier=np.ones_like(before.lower_tier),
        inputs=(),
        origins={},
    )


def _of_bridge(sha256: str) -> str:
    return hashlib.sha256(f"bridge {sha256}".encode()).hexdigest()


def _fingerprint(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def stored_statics(run: Run) -> CellFields:
    """Read the domain's statics, or fetch and make them where they are not stored.

    Raises
    ------
    MsmError
        If no granule of the land model's constants is available.
    """
    path = run.workspace.statics
    if path.exists():
        return _read_statics(path, path.stat().st_mtime_ns, run.domain)
    start = midnight(run.settings.statics_day)
    constants = fetch_newest(run, CONSTANTS, start, start)
    satellite = fetch_newest(run, SATELLITE, start, start + timedelta(days=REPEAT_CYCLE_DAYS - 1))
    if not constants:
        raise MsmError(
            f"There is no valid granule of {CONSTANTS.id}, which gives the soil: see msm probe."
        )
    made = statics.static_attributes(
        run.domain, CONSTANTS, constants[0], SATELLITE, satellite, run.readers
    )
    cell_fields.write(path, made)
    return made


@lru_cache(maxsize=2)
def _read_statics(path: Path, written: int, domain: Domain) -> CellFields:
    """Read the statics once for all days of a process, and again where the file was replaced."""
    return cell_fields.read(path, domain)


def columns(fields: CellFields, specs: Sequence[InputSpec]) -> NDArray[np.float32]:
    """Stack the inputs of a checkpoint, shape (n_cell, number of inputs).

    An optional input that no source has is NaN.

    Raises
    ------
    MsmError
        If a required input is missing.
    """
    optional = {spec.name for spec in specs if spec.optional}
    return fields.columns((spec.name for spec in specs), optional)


def fetch_newest(
    run: Run, product: Product, start: datetime, end: datetime
) -> tuple[GranuleFile, ...]:
    """Fetch the newest production of each granule; invalid ones are left out and logged."""
    chosen, _ = newest(drop_known_bad(product, run.source.search(product, start, end)))
    fetched = run.source.fetch(product, chosen) if chosen else None
    if fetched is None:
        return ()
    for sentence in fetched.refused.values():
        log.warning("%s", sentence)
    return fetched.files
