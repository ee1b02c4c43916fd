"""Score a checkpoint at sites, those that it learned from apart from those that it did not."""

from typing import Any

import numpy as np

from msm.model.checkpoint import Checkpoint
from msm.training.data.samples import SamplesError
from msm.training.data.stations import Stations
from msm.training.evaluation.crossval import Predicted, evaluated
from msm.training.fitting.predict_stations import hindcast
from msm.training.metrics import within
from msm.training.protocol import protocol


def evaluate(checkpoint: Checkpoint, stations: Stations) -> tuple[Predicted, dict[str, Any]]:
    """Score a checkpoint by the protocol.

    Parameters
    ----------
    checkpoint : Checkpoint
    stations : Stations
        With their own weather, and as much of the time before the scored days as there is.

    Returns
    -------
    Predicted
        At the sites that the checkpoint has not seen; there may be none.
    dict
        As `scores.evaluation` gives it, of these sites; and under ``seen`` the number
        and the figures of those that it learned from. These have no medians: what was learned by
        heart says nothing of another place.

    Raises
    ------
    SamplesError
        If there is no day in the scored period, or an input is missing that the checkpoint needs.
    """
    rules = protocol()
    scored = within(stations.days, rules.scoring.first, rules.scoring.last)
    if not scored.any():
        raise SamplesError(
            f"the sites have {stations.days[0]}..{stations.days[-1]}, none of the scored"
            f" {rules.scoring.first}..{rules.scoring.last}: give days of these years"
        )
    found = hindcast(checkpoint, stations)
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

    def of(sites: Predicted) -> dict[str, Any]:
        return evaluated(sites, rules.scoring.min_days)

    unseen, learned = predicted.at(~seen), of(predicted.at(seen))
    return unseen, of(unseen) | {"seen": {key: learned[key] for key in ("n_sites", "sites")}}
