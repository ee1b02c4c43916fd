"""Publish: the prediction of a day becomes a map in the archive, with flags and lineage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from functools import cache

import numpy as np

import msm
from msm.archive import store
from msm.archive.daily_map import DailyMap, Lineage
from msm.archive.quality import quality_flag
from msm.errors import MsmError
from msm.fields import cell_fields, statics
from msm.fields.cell_fields import CellFields
from msm.lineage import InputGranule
from msm.model.chain import Chain, DayRecord
from msm.pipeline.assess import at_first
from msm.pipeline.chains import prediction_path
from msm.pipeline.model_inputs import columns, given, given_label, stored_statics
from msm.pipeline.run import Run, midnight
from msm.pipeline.stored_retrievals import SATELLITE
from msm.products.registry import product as known_product


def publish(run: Run, chain: Chain, day: date, now: datetime) -> store.Published:
    """Publish the prediction of a day that the chain has reached.

    Raises
    ------
    MsmError
        If the day was not advanced to, or the archive refuses the map.
    """
    record = chain.read_record(day)
    path = prediction_path(chain, day)
    prediction = cell_fields.read(path, run.domain)
    if prediction.sha256 != record.prediction_sha256:
        raise MsmError(f"{path} is not of the day's record: remove it, and it is made anew.")
    aleatoric = prediction.fields["aleatoric_uncertainty"]
    epistemic = prediction.fields["epistemic_uncertainty"]
    today, static = given(run, day), stored_statics(run)
    weather = today.fields
    if record.forcing_fingerprint != today.fingerprint:
        raise MsmError(f"The state of {day} was made from other forcing: run msm daily for it.")
    card = run.checkpoint.card
    # A scheduled run that finds nothing to publish does without torch.
    from msm.model.inference import outside_training

    outside = outside_training(card, columns(weather, card.forcing), columns(static, card.statics))
    # One network does not tell what it does not know: its error is a total, not a part of one.
    is_split = card.members > 1
    age = record.spin_up_age - 1
    made = DailyMap(
        domain=run.domain,
        day=day,
        soil_moisture=prediction.fields["soil_moisture"],
        uncertainty=np.hypot(aleatoric, epistemic),
        aleatoric=aleatoric if is_split else None,
        epistemic=epistemic if is_split else None,
        quality_flag=quality_flag(
            land_fraction=run.domain.land_fraction,
            air_temperature=weather.fields["air_temperature"],
            vegetation_water_content=static.fields[statics.VEGETATION],
            state_age=age,
            forcing_filled=weather.filled | static.filled,
            lower_tier=weather.lower_tier,
            outside_training=outside,
        ),
        lineage=Lineage(
            status=_status(run, weather, day, now),
            fingerprint=fingerprint(run, chain, record, weather.inputs, static),
            processing_version=msm.PROCESSING_VERSION,
            code_version=msm.__version__,
            checkpoint_name=card.name,
            checkpoint_version=card.version,
            checkpoint_sha256=run.checkpoint.sha256,
            chain_id=chain.root.chain_id,
            cold_start=chain.root.cold_start,
            spin_up_days=age,
            state_before=_state_before(record),
            forcing_sources=dict(sorted(weather.origins.items())),
            inputs=(*weather.inputs, *static.inputs),
        ),
    )
    forcing = {
        spec.name: weather.fields[spec.name] for spec in card.forcing if spec.name in weather.fields
    }
    return store.publish(run.settings.archive, made, at_first(run, made, forcing))


def behind(run: Run, chain: Chain, days: Iterable[date]) -> list[date]:
    """List the days whose publication is not what the chain says of them now.

    A day of which no prediction was wanted is not to be published.
    """
    found = []
    static = stored_statics(run)
    read = cache(cell_fields.read_label)
    for day in days:
        record = chain.read_record(day)
        if record.prediction_sha256 is None:
            continue
        published = store.read_item(run.settings.archive, run.domain.name, day)
        # Of what was let go of, nothing new can be known.
        label = given_label(run, day, read)
        if published is None or (
            label and published.fingerprint != fingerprint(run, chain, record, label.inputs, static)
        ):
            found.append(day)
    return found


def fingerprint(
    run: Run, chain: Chain, record: DayRecord, inputs: Iterable[InputGranule], static: CellFields
) -> str:
    """Hash everything that a day's values depend on, its forcing's inputs too; SHA-256 in hex."""
    depends_on = {
        "day": record.day.isoformat(),
        "inputs": [
            [entry.product, entry.version, entry.granule, entry.checksum]
            for entry in (*inputs, *static.inputs)
            if entry.role != "superseded"
        ],
        "forcing": record.forcing_fingerprint,
        "statics": static.sha256,
        "state_before": _state_before(record),
        "checkpoint": run.checkpoint.sha256,
        "mask": run.domain.mask_sha256,
        "chain": chain.root.chain_id,
        "processing_version": msm.PROCESSING_VERSION,
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _state_before(record: DayRecord) -> str:
    return record.hash_before if record.spin_up_age > 1 else "cold start"


def _status(run: Run, weather: CellFields, day: date, now: datetime) -> str:
    changing = _may_change(run, weather.inputs, weather.awaited, day, now)
    return "provisional" if changing else "final"


def may_change(run: Run, day: date, now: datetime) -> bool:
    """Tell whether the map of a day, made from what is stored, would still be provisional."""
    label = given_label(run, day)
    # Of what was let go of, nothing new can be known.
    return label is None or _may_change(run, label.inputs, label.awaited, day, now)


def _may_change(
    run: Run, inputs: Iterable[InputGranule], awaited: Collection[str], day: date, now: datetime
) -> bool:
    """Tell whether a better source is awaited, or a provider may still revise what was used.

    A retrieval that is not there may come as late as one may be revised.
    """
    used = {(entry.product, entry.version) for entry in inputs if entry.role == "forcing"}
    products = [known_product(*name) for name in used]
    if run.checkpoint.card.retrievals:
        products.append(SATELLITE)
    final_after = max(product.layout.latency.final_after_days for product in products)
    return bool(awaited) or now - midnight(day) < timedelta(days=final_after)
