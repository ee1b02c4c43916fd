"""Evaluation of a checkpoint at sites, separately for those that it was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from msm.model.checkpoint import Checkpoint
from msm.training.data.samples import SamplesError
from msm.training.data.stations import Stations
from msm.training.evaluation.crossval import Predicted, evaluate_sites
from msm.training.fitting.predict_stations import predict_stations
from msm.training.metrics import within
from msm.training.protocol import protocol


def evaluate(checkpoint: Checkpoint, stations: Stations) -> tuple[Predicted, dict[str, Any]]:
    """Evaluate a checkpoint by the protocol.

    Parameters
    ----------
    checkpoint
    stations
        With their own weather, from as long before the scored days as available.

    Returns
    -------
    Predicted
        At the sites that the checkpoint was not trained on; there may be none.
    dict
        The result of `scores.evaluation` for these sites; under ``seen`` the number and the
        metrics of the sites that it was trained on. These have no medians, since they do not
        show the accuracy at other places.

    Raises
    ------
    SamplesError
        If no day lies in the scored period, or a required input is missing.
    """
    rules = protocol()
    scored = within(stations.days, rules.scoring.first, rules.scoring.last)
    if not scored.any():
        raise SamplesError(
            f"The sites have {stations.days[0]}..{stations.days[-1]}, none of the scored period"
            f" {rules.scoring.first}..{rules.scoring.last}: provide days of these years."
        )
    found = predict_stations(checkpoint, stations)
    seen = np.isin(stations.names, checkpoint.card.training.stations)
    predicted = Predicted(
        names=tuple(stations.names.tolist()),
        part=tuple(np.where(seen, "seen", "unseen").tolist()),
        lat=stations.lat,
        lon=stations.lon,
        days=stations.days[scored],
        truth=stations.target[:, scored],
        soil_moisture=found.soil_moisture[:, scored],
        uncertainty=found.uncertainty[:, scored],
    )

    unseen, min_days = predicted.at(~seen), rules.scoring.min_days
    of_seen = evaluate_sites(predicted.at(seen), min_days)
    return unseen, evaluate_sites(unseen, min_days) | {
        "seen": {key: of_seen[key] for key in ("n_sites", "sites")}
    }
