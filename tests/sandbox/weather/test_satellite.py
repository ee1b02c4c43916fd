"""Values, flags and fill of simulated retrievals agree."""

from datetime import date

import numpy as np
import pytest

from msm.grid.ease import M09, M36
from msm.sandbox.weather.interface import FLAG_FILL, region
from msm.sandbox.weather.sources import load_weather

JANUARY, JULY = date(2024, 1, 20), date(2024, 7, 20)


@pytest.fixture(scope="module")
def weathers():
    return {source: load_weather(source) for source in ("synthetic:1", "global:1")}


@pytest.mark.parametrize(
    ("source", "grid", "day"),
    [
        ("synthetic:1", M36, JANUARY),
        ("synthetic:1", M36, JULY),
        ("synthetic:1", M09, JANUARY),
        ("synthetic:1", M09, JULY),
        ("global:1", M36, JULY),
        ("global:1", M09, JULY),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_retrievals_and_flags_agree(weathers, source, grid, day):
    weather = weathers[source]
    fields = weather.satellite(day, grid, "pm")
    quality, surface = fields["retrieval_qual_flag"], fields["surface_flag"]
    retrieved = np.isfinite(fields["soil_moisture"])
    observed = quality != FLAG_FILL
    rows, cols = region(grid, weather.extent)
    assert quality.shape == (rows.stop - rows.start, cols.stop - cols.start)
    np.testing.assert_array_equal(observed, surface != FLAG_FILL)
    np.testing.assert_array_equal(observed & (quality & 6 == 0), retrieved)
    recommended = observed & (quality & 1 == 0)
    assert recommended.any()
    assert set(np.unique(quality[recommended])) <= {0, 8}
    assert (surface[recommended] == 0).all()
    values = fields["soil_moisture"][retrieved]
    assert values.min() >= 0.02
    assert values.max() <= 0.6
    dense = retrieved & (fields["vegetation_water_content"] > 5)
    assert dense.any() == (day == JULY)
    assert (surface[dense] & 1024 > 0).all()
    frozen = observed & (surface & 256 > 0)
    assert not retrieved[frozen].any()
    # Some ground of the globe is always frozen.
    assert frozen.any() == (day == JANUARY or source == "global:1")
