"""Compare predictions of one split at the same sites on the same days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import numpy as np

from msm.training.evaluation.crossval import Predicted
from msm.training.evaluation.scores import paired_difference
from msm.training.metrics import median
from msm.training.protocol import protocol

PAIRED = ("R", "R_anomaly", "RMSE", "ubRMSE")
"""Figures that are compared site by site."""

Result = Mapping[str, Any]
"""Scores of a prediction, as `msm.training.evaluation.crossval.score` returns them."""


def on_common_days(predictions: Mapping[str, Predicted]) -> dict[str, Predicted]:
    """Mask the truth of the site-days that at least one prediction has no value for.

    Raises
    ------
    ValueError
        If the predictions differ in sites or days.
    """
    everyone = list(predictions.values())
    first = everyone[0]
    for each in everyone:
        if each.names != first.names or not np.array_equal(each.days, first.days):
            raise ValueError("The predictions are not of the same sites and days.")
    common = np.all([np.isfinite(each.soil_moisture) for each in everyone], axis=0)
    return {
        name: replace(each, truth=np.where(common, each.truth, np.float32(np.nan)))
        for name, each in predictions.items()
    }


def common_size(results: Mapping[str, Result]) -> dict[str, int]:
    """Return the number of sites and site-days of results that were scored on common days."""
    first = next(iter(results.values()))
    return {"n_sites": first["n_sites"], "site_days": sum(site["n"] for site in first["sites"])}


def paired(results: Mapping[str, Result], pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the differences of pairs of results, ready for JSON."""
    return [
        {"first": one, "second": other, "figures": differences(results[one], results[other])}
        for one, other in pairs
    ]


def differences(first: Result, second: Result) -> dict[str, Any]:
    """Bootstrap the differences (first - second) of figures by the protocol, paired over sites.

    Parameters
    ----------
    first, second
        Results of two predictions that were scored on common days.

    Returns
    -------
    dict
        For each of `PAIRED`: ``n_sites``, ``median``, ``low`` and ``high`` of all sites, and under
        ``without_jumpers`` the same without the level jumpers of the protocol; ready for JSON. A
        figure that no site has is left out.
    """
    rules = protocol()
    others = {site["name"]: site for site in second["sites"]}
    pairs = [(site, others[site["name"]]) for site in first["sites"] if site["name"] in others]
    steady = [pair for pair in pairs if pair[0]["name"] not in rules.level_jumpers.stations]

    def difference(figure: str, chosen: Sequence[tuple[Result, Result]]) -> dict[str, Any]:
        one, other = (np.array([pair[n][figure] for pair in chosen], float) for n in (0, 1))
        return asdict(paired_difference(one, other, **rules.bootstrap.model_dump()))

    found = {figure: difference(figure, pairs) for figure in PAIRED}
    return {
        figure: of_all | {"without_jumpers": difference(figure, steady)}
        for figure, of_all in found.items()
        if of_all["n_sites"]
    }


def by_part(result: Result) -> dict[str, dict[str, Any]]:
    """Return the number of sites of each part and the medians of their figures."""

    def part(site: Result) -> str:
        return str(site["part"])

    def figures(sites: Sequence[Result]) -> dict[str, Any]:
        values = {
            name: np.array([site[name] for site in sites], float) for name in result["median"]
        }
        return {"n_sites": len(sites)} | {
            name: median(figure) if np.isfinite(figure).any() else None
            for name, figure in values.items()
        }

    sites = sorted(result["sites"], key=part)
    return {name: figures(list(group)) for name, group in groupby(sites, part)}
