"""The facts of a day, and what follows from them.

Three small files hold everything the pipeline asks about a day: the chain's record, the labels of
the stored model inputs, and the STAC item of the published map. Whether a day is stale, outdated or
provisional is a pure function of them. Each file is read once a process
(`msm.read_once`), and again after it was replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msm
from msm.archive import store
from msm.archive.sidecars import PublishedDay
from msm.errors import MsmError
from msm.fields.cell_fields import CellFields, Label
from msm.model.chain import Chain, DayRecord, read_root
from msm.model.chain import open_chain as open_root
from msm.pipeline.chains import prediction_path
from msm.pipeline.model_inputs import model_input_label, stored_statics
from msm.pipeline.run import Run, midnight
from msm.pipeline.stored_retrievals import SATELLITE
from msm.products.registry import product as known_product


@dataclass(frozen=True)
class DayFacts:
    """What the stored files say about a day."""

    day: date
    record: DayRecord | None
    """The chain's record; None where the day was not run, or the record is damaged."""
    has_prediction: bool
    """Whether the prediction that the record names is stored."""
    inputs: Label | None
    """Label of the stored model inputs; None where one of them is not stored, or damaged."""
    published: PublishedDay | None
    """STAC item of the published map."""
    problem: str | None = None
    """Why the record or the inputs cannot be read."""

    @property
    def is_run(self) -> bool:
        """Whether the day was run and can be published."""
        return self.has_prediction and self.record is not None


def stale(facts: DayFacts, previous: DayFacts, inputs: str = "forcing") -> str | None:
    """Return why a day that was run no longer follows from what is stored; None where it does.

    Parameters
    ----------
    facts, previous
        The day and the day before it.
    inputs
        What the model inputs are called in the reason.
    """
    if facts.problem or facts.record is None:
        return facts.problem
    if facts.record.spin_up_age > 1:
        if previous.record is None:
            return previous.problem or f"the record of {previous.day} is missing"
        if previous.record.content_hash != facts.record.hash_before:
            return f"{previous.day} has another state by now"
    if facts.inputs and facts.inputs.sha256 != facts.record.forcing_fingerprint:
        return f"its {inputs} has changed"
    return None


def outdated(facts: DayFacts, fingerprint: str | None) -> bool:
    """Return whether the published map is missing, or not the one that the chain gives now.

    Parameters
    ----------
    facts
        The day. One whose prediction was never stored is not to be published.
    fingerprint
        Of the map that the chain gives; None where its inputs were pruned, so that nothing new can
        be known of them.
    """
    if facts.record is None or facts.record.prediction_sha256 is None:
        return False
    if facts.published is None:
        return True
    return fingerprint is not None and facts.published.fingerprint != fingerprint


def final_from(day: date, inputs: Label, *, knows_retrievals: bool) -> datetime | None:
    """Return when the map of a day becomes final; None as long as a better source is awaited.

    Until then a provider may still revise what was used. A missing retrieval may arrive as late as
    one is revised.
    """
    if inputs.awaited:
        return None
    used = {(entry.product, entry.version) for entry in inputs.inputs if entry.role == "forcing"}
    products = [known_product(*name) for name in used] + [SATELLITE] * knows_retrievals
    final_after = max((p.layout.latency.final_after_days for p in products), default=0.0)
    return midnight(day) + timedelta(days=final_after)


def may_change(day: date, inputs: Label, now: datetime, *, knows_retrievals: bool) -> bool:
    """Return whether the inputs of a day may still change: its map is provisional until then."""
    final = final_from(day, inputs, knows_retrievals=knows_retrievals)
    return final is None or now < final


def map_fingerprint(
    run: Run, chain: Chain, record: DayRecord, inputs: Label, static: CellFields
) -> str:
    """Hash everything that a map's values depend on, its input granules too; SHA-256 in hex."""
    depends_on = {
        "day": record.day.isoformat(),
        "inputs": [
            [entry.product, entry.version, entry.granule, entry.checksum]
            for entry in (*inputs.inputs, *static.inputs)
            if entry.role != "superseded"
        ],
        "forcing": record.forcing_fingerprint,
        "statics": static.sha256,
        "state_before": state_before(record),
        "checkpoint": run.checkpoint.sha256,
        "mask": run.domain.mask_sha256,
        "chain": chain.root.chain_id,
        "processing_version": msm.PROCESSING_VERSION,
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def state_before(record: DayRecord) -> str:
    """Return the content hash of the state that a day started from, or `cold start`."""
    return record.hash_before if record.spin_up_age > 1 else "cold start"


@dataclass(frozen=True)
class Ledger:
    """The facts of the days of a chain; None where there is no chain yet."""

    run: Run
    chain: Chain | None

    @property
    def knows_retrievals(self) -> bool:
        """Whether the checkpoint is given SMAP retrievals."""
        return self.run.checkpoint.card.retrievals is not None

    def facts(self, day: date) -> DayFacts:
        """Return what the stored files say about a day.

        Raises
        ------
        MsmError
            If its STAC item is damaged.
        """
        record, inputs, problem = None, None, None
        try:
            if self.chain and self.chain.record_path(day).exists():
                record = self.chain.read_record(day)
            inputs = model_input_label(self.run, day)
        except MsmError as error:
            problem = str(error)
        return DayFacts(
            day=day,
            record=record,
            has_prediction=bool(
                self.chain
                and record
                and record.prediction_sha256
                and prediction_path(self.chain, day).exists()
            ),
            inputs=inputs,
            published=store.read_item(self.run.settings.archive, self.run.domain.name, day),
            problem=problem,
        )

    def recorded(self) -> list[date]:
        """List the days that were run, oldest first."""
        return self.chain.recorded_days() if self.chain else []

    def is_run(self, day: date) -> bool:
        """Return whether a day was run and can be published."""
        return self.facts(day).is_run

    def stale(self, days: Iterable[date]) -> dict[date, str]:
        """Find the days that were run and no longer follow from what is stored, and why.

        A day after one of them may come to the same state again; only running it shows that.
        """
        retrieval = "forcing, or a retrieval that it is given,"
        named = retrieval if self.knows_retrievals else "forcing"
        found = {}
        for day in days:
            why = stale(self.facts(day), self.facts(day - timedelta(days=1)), named)
            if why:
                found[day] = why
        return found

    def outdated(self, days: Iterable[date]) -> list[date]:
        """List the days whose published map is missing, or not the one that the chain gives now."""
        return [day for day in days if outdated(facts := self.facts(day), self.fingerprint(facts))]

    def fingerprint(self, facts: DayFacts) -> str | None:
        """Return the fingerprint of the map that the chain gives; None where inputs are pruned."""
        if self.chain is None or facts.record is None or facts.inputs is None:
            return None
        static = stored_statics(self.run)
        return map_fingerprint(self.run, self.chain, facts.record, facts.inputs, static)

    def may_change(self, day: date, now: datetime) -> bool:
        """Return whether the map of a day, made from what is stored, would still be provisional."""
        inputs = self.facts(day).inputs
        return inputs is None or may_change(
            day, inputs, now, knows_retrievals=self.knows_retrievals
        )


def stale_days(run: Run, chain_id: str) -> tuple[dict[date, str], list[date]]:
    """Find the stale days of a chain, and the days after the first of them that were run.

    Returns
    -------
    stale, after
        Why each is stale; and the other days, which may come to the same state again. None of a
        chain of another checkpoint, which alone knows what its days are given.
    """
    root = run.workspace.chains / chain_id / "chain.json"
    if not root.exists():
        return {}, []
    chain = open_root(run.workspace.chains, read_root(root))
    if chain.root.checkpoint_sha256 != run.checkpoint.sha256:
        return {}, []
    days = chain.recorded_days()
    found = Ledger(run, chain).stale(days)
    return found, [day for day in days if found and day > min(found) and day not in found]
