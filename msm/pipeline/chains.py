"""Chains of a run: which one a day belongs to, and which of its days no longer hold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import msm
from msm.errors import MsmError
from msm.fields import cell_fields
from msm.model.chain import Chain, ChainRoot, StateError, read_root
from msm.model.chain import open_chain as open_root
from msm.pipeline.model_inputs import given_label, stored_statics
from msm.pipeline.run import Run


def prediction_path(chain: Chain, day: date) -> Path:
    """Path of the map that the network made of a day, before it is published."""
    return chain.folder / f"{day:%Y%m%d}-prediction.nc"


def open_chain(run: Run, day: date) -> Chain:
    """Open the chain of states that `day` belongs to; a new one starts `spin_up_days` before it."""
    found = find_chain(run, day)
    if found is not None:
        return found
    cold_start = day - timedelta(days=run.settings.spin_up_days)
    return open_root(run.workspace.chains, ChainRoot(cold_start=cold_start, **_stands_on(run)))


def find_chain(run: Run, day: date) -> Chain | None:
    """Open the chain that `day` belongs to, None where there is none.

    Of the chains with this checkpoint, mask, statics and processing it is the one whose newest
    state before the day is nearest, and of those the oldest. One that ended further back than a
    cold start would be does not serve: decades may be split in time.
    """
    if not run.workspace.statics.exists():
        return None
    sought = _stands_on(run)
    reach = day - timedelta(days=run.settings.spin_up_days + 1)
    found: dict[tuple[date, timedelta], Chain] = {}
    for record in sorted(run.workspace.chains.glob("*/chain.json")):
        root = read_root(record)
        if root.cold_start <= day and root.model_dump(include=set(sought)) == sought:
            chain = open_root(run.workspace.chains, root)
            newest = chain.newest_before(day) or root.cold_start - timedelta(days=1)
            if newest >= reach or chain.record_path(day - timedelta(days=1)).exists():
                found[newest, day - root.cold_start] = chain
    return found[max(found)] if found else None


def _stands_on(run: Run) -> dict[str, str]:
    # Reduced precision moves values by more than kernels and devices may.
    reduced = "" if run.settings.precision == "float32" else f"-{run.settings.precision}"
    return {
        "checkpoint_sha256": run.checkpoint.sha256,
        "domain": run.domain.name,
        "mask_sha256": run.domain.mask_sha256,
        "statics_sha256": stored_statics(run).sha256,
        "processing_version": f"{msm.PROCESSING_VERSION}{reduced}",
    }


def is_run(chain: Chain, day: date) -> bool:
    """Tell whether a day was run and its prediction is there."""
    try:
        record = chain.read_record(day)
    except StateError:
        return False
    return record.prediction_sha256 is not None and prediction_path(chain, day).exists()


def stale(run: Run, chain: Chain, days: Iterable[date]) -> dict[date, str]:
    """Find the days that were run and do not follow any more from what is stored, and say why.

    A day after one of them may come to the same state again or not: only running it tells.
    """
    why = {}
    # A day of SMAP is known to several days.
    read = cache(cell_fields.read_label)
    told = ", or a retrieval that it knows of," if run.checkpoint.card.retrievals else ""
    for day in days:
        try:
            record = chain.read_record(day)
            eve = day - timedelta(days=1)
            before = chain.read_record(eve).content_hash if record.spin_up_age > 1 else None
            label = given_label(run, day, read)
        except MsmError as error:
            # Of a record, or of what is stored: it is damaged, and the day is to be run again.
            why[day] = str(error)
            continue
        if before is not None and before != record.hash_before:
            why[day] = f"{eve} has come to another state since"
        elif label and label.sha256 != record.forcing_fingerprint:
            why[day] = f"its forcing{told} was made anew"
    return why


def touched(run: Run, chain_id: str) -> tuple[dict[date, str], list[date]]:
    """Find the days of a chain that are stale, and the days after the first of them that were run.

    Returns
    -------
    stale, after
        Why each is stale; and the others, which may come to the same state again or not. None of a
        chain of another checkpoint, which alone tells what its days are given.
    """
    record = run.workspace.chains / chain_id / "chain.json"
    if not record.exists():
        return {}, []
    chain = open_root(run.workspace.chains, read_root(record))
    if chain.root.checkpoint_sha256 != run.checkpoint.sha256:
        return {}, []
    days = chain.recorded_days()
    found = stale(run, chain, days)
    return found, [day for day in days if found and day > min(found) and day not in found]
