"""The chain of states that a day belongs to."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import msm
from msm.model.chain import Chain, ChainRoot, read_root
from msm.model.chain import open_chain as open_root
from msm.pipeline.model_inputs import stored_statics
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
    return open_root(run.workspace.chains, ChainRoot(cold_start=cold_start, **_depends_on(run)))


def find_chain(run: Run, day: date) -> Chain | None:
    """Open the chain that `day` belongs to, None where there is none.

    Of the chains with this checkpoint, mask, statics and processing it is the one whose newest
    state before the day is nearest, and of those the oldest. One that ended further back than a
    cold start would be does not serve: decades may be split in time.
    """
    if not run.workspace.statics.exists():
        return None
    sought = _depends_on(run)
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


def _depends_on(run: Run) -> dict[str, str]:
    # Reduced precision moves values by more than kernels and devices may.
    reduced = "" if run.settings.precision == "float32" else f"-{run.settings.precision}"
    return {
        "checkpoint_sha256": run.checkpoint.sha256,
        "domain": run.domain.name,
        "mask_sha256": run.domain.mask_sha256,
        "statics_sha256": stored_statics(run).sha256,
        "processing_version": f"{msm.PROCESSING_VERSION}{reduced}",
    }
