"""Advance: the chain of states is brought to the end of a day, and the day is predicted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import msm
from msm import cells
from msm.cells import CellFields
from msm.model import inference
from msm.model.chain import Chain, ChainRoot
from msm.model.chain import open_chain as open_root
from msm.model.checkpoint import InputSpec
from msm.model.state import State
from msm.pipeline.gather import Gathered, gather
from msm.pipeline.inputs import make_forcing, stored_forcing, stored_statics
from msm.pipeline.run import Progress, Run, silent
from msm.settings import Settings

FETCH_DAYS = 8
"""Days that are searched for and fetched together: a search costs two requests however long."""


def prediction_path(chain: Chain, day: date) -> Path:
    """Path of the map that the network made of a day, before it is published."""
    return chain.folder / f"{day:%Y%m%d}-prediction.nc"


def open_chain(run: Run, day: date) -> Chain:
    """Open the chain of states that `day` belongs to.

    Of the chains with this checkpoint, mask, statics and processing, the one that is nearest before
    the day serves; where there is none, a new one starts `spin_up_days` before it.
    """
    folder = run.states_path
    sought = {
        "checkpoint_sha256": run.checkpoint.sha256,
        "domain": run.domain.name,
        "mask_sha256": run.domain.mask_sha256,
        "statics_sha256": stored_statics(run).sha256,
        "processing_version": msm.PROCESSING_VERSION,
    }
    found = []
    for record in sorted(folder.glob("*/chain.json")):
        root = ChainRoot.model_validate_json(record.read_bytes())
        if root.cold_start <= day and root.model_dump(include=set(sought)) == sought:
            chain = open_root(folder, root)
            found.append((chain.newest_before(day) or root.cold_start, root.chain_id, chain))
    if found:
        return max(found)[2]
    cold_start = day - timedelta(days=run.settings.spin_up_days)
    return open_root(folder, ChainRoot(cold_start=cold_start, **sought))


def advance(run: Run, day: date, progress: Progress = silent) -> Path:
    """Bring the chain to the end of `day` and store what the network says of it.

    Days between the newest state and `day` are run as well, and fetched ahead in windows while the
    network works; their states are kept every `FETCH_DAYS` days, so that an interrupt costs little.

    Returns
    -------
    Path
        The prediction, `soil_moisture` on the cells.
    """
    chain = open_chain(run, day)
    path = prediction_path(chain, day)
    done = path.exists() and chain.record_path(day).exists()
    if done and _made_from_what_is_stored(run, chain, day):
        return path
    found = chain.state_before(day)
    if found is None:
        before = State.zeros(run.domain.n_cell, run.checkpoint.card.hidden_size)
        start = chain.root.cold_start - timedelta(days=1)
    else:
        start, before = found
    columns = stored_statics(run).columns(spec.name for spec in run.checkpoint.card.statics)
    total = (day - start).days
    for number, (today, fields) in enumerate(_forcing_ahead(run, start + timedelta(days=1), day)):
        soil_moisture, after = _step(run, fields, columns, before)
        if today == day:
            # The prediction first: the record of a day says that the day is done.
            cells.write(path, _prediction(run, day, soil_moisture, fields))
        link = before.content_hash, fields.sha256
        if today >= day - timedelta(days=1) or today.toordinal() % FETCH_DAYS == 0:
            chain.write_snapshot(today, after, *link)
            _prune(chain, today, run.settings)
        else:
            chain.write_record(today, after.content_hash, *link)
        before = after
        progress(f"{today}", number + 1, total)
    return path


def _made_from_what_is_stored(run: Run, chain: Chain, day: date) -> bool:
    return chain.read_record(day).forcing_fingerprint == stored_forcing(run, day).sha256


def _forcing_ahead(run: Run, first: date, last: date) -> Iterator[tuple[date, CellFields]]:
    """Give each day's forcing in order, downloading the next window meanwhile."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    windows = [days[n : n + FETCH_DAYS] for n in range(0, len(days), FETCH_DAYS)]

    def fetch(window: list[date]) -> dict[date, Gathered]:
        wanted = [day for day in window if not run.forcing_path(day).exists()]
        return gather(run, wanted[0], wanted[-1]) if wanted else {}

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(fetch, windows[0])
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            gathered = coming.result()
            if following is not None:
                coming = pool.submit(fetch, following)
            for day in window:
                if run.forcing_path(day).exists():
                    yield day, cells.read(run.forcing_path(day), run.domain)
                else:
                    # A day that the window's search found incomplete is told by its own.
                    found = gathered.get(day) or gather(run, day, day)[day]
                    yield day, make_forcing(run, day, found)


def _step(
    run: Run, fields: CellFields, columns: NDArray[np.float32], before: State
) -> tuple[NDArray[np.float32], State]:
    card = run.checkpoint.card
    weather = fields.columns(spec.name for spec in card.forcing)
    lacking = ~(np.isfinite(weather).all(axis=1) & np.isfinite(columns).all(axis=1))
    if lacking.any():
        # The network runs on every cell, so that tiles stay the same; where a source does not
        # reach it is given the training mean, and what it says there is not used.
        means = [_untransformed_mean(spec) for spec in (*card.forcing, *card.statics)]
        weather[lacking] = means[: len(card.forcing)]
        columns = columns.copy()
        columns[lacking] = means[len(card.forcing) :]
    soil_moisture, after = inference.step(
        run.checkpoint, weather, columns, before, run.settings.device
    )
    soil_moisture[lacking] = np.nan
    return soil_moisture, after


def _untransformed_mean(spec: InputSpec) -> float:
    return float(np.expm1(spec.mean)) if spec.transform == "log1p" else float(spec.mean)


def _prediction(
    run: Run, day: date, soil_moisture: NDArray[np.float32], fields: CellFields
) -> CellFields:
    return CellFields(
        mask_sha256=run.domain.mask_sha256,
        day=day,
        fields={"soil_moisture": soil_moisture},
        units={"soil_moisture": "m3 m-3"},
        filled=fields.filled,
        inputs=fields.inputs,
        lower_tier=fields.lower_tier,
    )


def _prune(chain: Chain, newest: date, settings: Settings) -> None:
    """Let go of older states, but for one in every so many days: a replay starts from there."""
    for day in chain.days():
        if day >= newest - timedelta(days=settings.state_days):
            continue
        prediction_path(chain, day).unlink(missing_ok=True)
        if day.toordinal() % settings.anchor_days:
            chain.path(day).unlink()
