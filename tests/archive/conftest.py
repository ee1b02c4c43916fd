"""A small domain with coast and lakes, and plausible maps and assessments on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from msm.archive.assessment import Assessment
from msm.archive.daily_map import DailyMap, Lineage
from msm.archive.quality import quality_flag
from msm.grid.domain import Domain, load_domain
from msm.lineage import InputGranule
from msm.settings import Limits

BOX = "box:41,47,-90,-84"
"""Lake Michigan and its shores: land, coast, and water inside."""

MapMaker = Callable[..., DailyMap]


def make_lineage(**changes: object) -> Lineage:
    """Return a lineage like those of the daily run, with some fields changed."""
    inputs = tuple(
        InputGranule(
            product="NLDAS_FORA0125_H",
            version="2.0",
            granule=f"NLDAS_FORA0125_H.A20160401.{hour:02}00.020.nc",
            checksum=f"sha256:{hour:064x}",
            size=1_234_567 + hour,
            production="2020-05-01T12:00:00Z",
            role="forcing",
        )
        for hour in range(24)
    )
    fields = {
        "status": "final",
        "fingerprint": f"{1:064x}",
        "processing_version": "1",
        "code_version": "0.1.0",
        "checkpoint_name": "base",
        "checkpoint_version": "1",
        "checkpoint_sha256": f"{2:064x}",
        "chain_id": "base-1-2015-04-01",
        "cold_start": date(2015, 4, 1),
        "spin_up_days": 366,
        "state_before": f"{3:064x}",
        "settings": {"device": "cpu", "max_gap_hours": {"precipitation": 3}, "scale": 0.1},
        "inputs": inputs,
    }
    return Lineage(**{**fields, **changes})


def make_assessment(day: date, **changes: object) -> Assessment:
    """Return an assessment within the default limits, with some fields changed, judged by them."""
    fields = {
        "valid_fraction": 0.99,
        "unflagged": 0.8,
        "outside_training": 0.0,
        "mean": 0.25,
        "forcing": {},
    }
    return Assessment(day=day, **fields | changes).judged(Limits())


@pytest.fixture(scope="session")
def domain() -> Domain:
    return load_domain(BOX)


@pytest.fixture(scope="session")
def make_map(domain: Domain) -> MapMaker:
    """``make_map(day, seed, on=..., uncertainty=..., **lineage)``: a smooth map of a day.

    Its uncertainty has two parts, as that of an ensemble, or only a ``"total"``, or None.
    """

    def make(
        day: date = date(2016, 4, 1),
        seed: int = 0,
        on: Domain = domain,
        uncertainty: str | None = "split",
        **lineage: object,
    ) -> DailyMap:
        rng = np.random.default_rng(seed)
        phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin(on.lat + phase[0]) * np.cos(on.lon + phase[1])
        soil_moisture = (0.25 + 0.15 * wave + rng.normal(0, 0.002, on.n_cell)).astype(np.float32)
        soil_moisture[:2] = np.nan
        aleatoric = (0.04 + 0.01 * wave).astype(np.float32)
        epistemic = np.full(on.n_cell, 0.02, np.float32)
        is_split = uncertainty == "split"
        flag = quality_flag(
            land_fraction=on.land_fraction,
            air_temperature=(318 - on.lat).astype(np.float32),
            vegetation_water_content=None,
            state_age=366,
        )
        return DailyMap(
            domain=on,
            day=day,
            soil_moisture=soil_moisture,
            quality_flag=flag,
            lineage=make_lineage(**{"fingerprint": f"{seed + 1:064x}", **lineage}),
            uncertainty=np.hypot(aleatoric, epistemic) if uncertainty else None,
            aleatoric=aleatoric if is_split else None,
            epistemic=epistemic if is_split else None,
        )

    return make
