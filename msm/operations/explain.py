"""Why a day is as it is: the facts of `msm status --day`, and what follows from them."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any

from msm.operations.day_states import states
from msm.pipeline.chains import find_chain
from msm.pipeline.ledger import Ledger, final_from
from msm.pipeline.run import Run


def explain(run: Run, day: date, now: datetime) -> dict[str, Any]:
    """Return the facts of a day and what follows from them, ready for JSON.

    Parameters
    ----------
    run
        An open run.
    day
        UTC day.
    now
        The present time, UTC.

    Returns
    -------
    dict
        `state`, `published`, `record`, `inputs`, and `because`: sentences.
    """
    chain = find_chain(run, day)
    ledger = Ledger(run, chain)
    facts = ledger.facts(day)
    (state,) = states(run, [day], now)
    published, record, inputs = facts.published, facts.record, facts.inputs
    because = []
    if published is None:
        because.append(state.note)
    if why := ledger.stale([day]).get(day):
        because.append(f"It is stale: {why}.")
    elif published is not None and chain is not None and ledger.outdated([day]):
        because.append("Its map is not the one that the chain gives now.")
    if published is not None and inputs is not None:
        final = final_from(day, inputs, knows_retrievals=ledger.knows_retrievals)
        if final is None:
            because.append(f"It awaits {', '.join(inputs.awaited)}, a better source.")
        elif now < final:
            because.append(f"Its inputs may be revised until {final:%Y-%m-%d %H:%MZ}.")
        else:
            because.append(f"Its inputs are final since {final:%Y-%m-%d %H:%MZ}.")
    if published is not None and inputs is None:
        because.append("Its inputs were pruned: nothing new can be known of them.")
    return {
        "day": str(day),
        "state": state.state.value,
        "published": published
        and {
            "file": str(published.path),
            "status": published.status,
            "revision": published.revision,
            "sha256": published.sha256,
            "fingerprint": published.fingerprint,
            "checkpoint": published.checkpoint,
            "chain": published.chain_id,
            "verdict": published.verdict,
        },
        "record": record
        and {
            "chain": record.chain_id,
            "state_before": record.hash_before,
            "state_after": record.content_hash,
            "model_inputs": record.forcing_fingerprint,
            "spin_up_age": record.spin_up_age,
            "prediction": record.prediction_sha256,
        },
        "inputs": inputs
        and {
            "model_inputs": inputs.sha256,
            "granules": Counter(
                f"{entry.product} {entry.version}, {entry.role}" for entry in inputs.inputs
            ),
            "awaited": inputs.awaited,
        },
        "because": because,
    }
