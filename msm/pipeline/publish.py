"""The prediction of a day becomes a map in the archive, with flags and lineage."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
from pydantic import JsonValue

import msm
from msm.archive import store
from msm.archive.daily_map import DailyMap, Lineage
from msm.archive.quality import quality_flag
from msm.errors import MsmError
from msm.fields import cell_fields, statics
from msm.fields.cell_fields import CellFields, Label
from msm.model.chain import Chain, DayRecord
from msm.pipeline.assess import assess_on_publish
from msm.pipeline.chains import prediction_path
from msm.pipeline.ledger import map_fingerprint, may_change, state_before
from msm.pipeline.model_inputs import (
    ModelInputs,
    columns,
    is_gap,
    model_inputs,
    stored_statics,
)
from msm.pipeline.run import Run


def publish(run: Run, chain: Chain, day: date, now: datetime) -> store.Published:
    """Publish the prediction of a day that the chain has reached.

    Raises
    ------
    MsmError
        If the day was not run, or the archive refuses the map.
    """
    record = chain.read_record(day)
    path = prediction_path(chain, day)
    prediction = cell_fields.read(path, run.domain)
    if prediction.sha256 != record.prediction_sha256:
        raise MsmError(f"{path} is not of the day's record: remove it, and it is made again.")
    inputs = model_inputs(run, day)
    if record.forcing_fingerprint != inputs.fingerprint:
        raise MsmError(f"The state of {day} was made from other forcing: run msm daily for it.")
    static = stored_statics(run)
    lineage = _lineage(run, chain, record, inputs, static, now)
    made = _map(run, record, prediction, inputs.fields, static, lineage)
    weather = inputs.fields.fields
    forcing = {
        spec.name: weather[spec.name]
        for spec in run.checkpoint.card.forcing
        if spec.name in weather
    }
    return store.publish(run.settings.archive, made, assess_on_publish(run, made, forcing))


def _map(
    run: Run,
    record: DayRecord,
    prediction: CellFields,
    weather: CellFields,
    static: CellFields,
    lineage: Lineage,
) -> DailyMap:
    # A scheduled run that publishes nothing does not import torch.
    from msm.model.inference import outside_training

    card = run.checkpoint.card
    aleatoric = prediction.fields["aleatoric_uncertainty"]
    epistemic = prediction.fields["epistemic_uncertainty"]
    # The uncertainty of a single network has no parts.
    is_split = card.members > 1
    return DailyMap(
        domain=run.domain,
        day=record.day,
        soil_moisture=prediction.fields["soil_moisture"],
        uncertainty=np.hypot(aleatoric, epistemic),
        aleatoric=aleatoric if is_split else None,
        epistemic=epistemic if is_split else None,
        quality_flag=quality_flag(
            land_fraction=run.domain.land_fraction,
            air_temperature=weather.fields["air_temperature"],
            vegetation_water_content=static.fields[statics.VEGETATION],
            state_age=lineage.spin_up_days,
            forcing_filled=weather.filled | static.filled,
            lower_tier=weather.lower_tier,
            outside_training=outside_training(
                card, columns(weather, card.forcing), columns(static, card.statics)
            ),
        ),
        lineage=lineage,
    )


def _lineage(
    run: Run,
    chain: Chain,
    record: DayRecord,
    inputs: ModelInputs,
    static: CellFields,
    now: datetime,
) -> Lineage:
    fields, card = inputs.fields, run.checkpoint.card
    label = Label(inputs.fingerprint, fields.inputs, fields.awaited)
    provisional = may_change(record.day, label, now, knows_retrievals=card.retrievals is not None)
    return Lineage(
        status="provisional" if provisional else "final",
        fingerprint=map_fingerprint(run, chain, record, label, static),
        processing_version=msm.PROCESSING_VERSION,
        code_version=msm.__version__,
        checkpoint_name=card.name,
        checkpoint_version=card.version,
        checkpoint_sha256=run.checkpoint.sha256,
        chain_id=chain.root.chain_id,
        cold_start=chain.root.cold_start,
        spin_up_days=record.spin_up_age - 1,
        state_before=state_before(record),
        forcing_sources=dict(sorted(fields.origins.items())),
        settings=_settings(run, chain, record.day),
        inputs=(*fields.inputs, *static.inputs),
    )


def _settings(run: Run, chain: Chain, day: date) -> dict[str, JsonValue]:
    """Return the settings that change values: gaps since the cold start, device and precision."""
    from msm.model.inference import find_device

    device = find_device(run.settings.device).type
    gaps = [gap for gap in sorted(run.settings.gaps) if chain.root.cold_start <= gap < day]
    return {
        "accepted_gaps": [str(gap) for gap in gaps if is_gap(run, gap)],
        "device": device,
        # The CPU computes in float32 whatever the setting.
        "precision": run.settings.precision if device == "cuda" else "float32",
    }
