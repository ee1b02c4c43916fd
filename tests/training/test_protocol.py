import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from msm.training.data.uscrn import DailyRecord
from msm.training.protocol import (
    Folds,
    ProtocolError,
    below_headline,
    partition,
    protocol,
    region_of,
)

FOLDS = Folds(number=5, together_km=50.0, seed=1)


def kilometres(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    one, other = np.indices((lat.size, lat.size)).reshape(2, -1)
    return Geod(ellps="WGS84").inv(lon[one], lat[one], lon[other], lat[other])[2] / 1000


@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.integers(2, 5))
def test_neighbours_share_a_part_and_parts_have_similar_sizes(seed: int, number: int, parts: int):
    rng = np.random.default_rng(seed)
    # Places far apart, some of them with several stations.
    place = np.arange(number) % max(parts, number - 4)
    lat = 25.0 + 0.8 * place + 0.1 * rng.random(number)
    lon = -100.0 + 0.1 * rng.random(number)
    part = partition(lat, lon, parts, FOLDS)
    near = kilometres(lat, lon).reshape(number, number) < 50
    assert (part[:, None] == part)[near].all()
    sizes = np.bincount(part, minlength=parts)
    assert sizes.max() - sizes.min() <= np.bincount(place).max()
    np.testing.assert_array_equal(part, partition(lat, lon, parts, FOLDS))


def test_a_chain_of_neighbours_shares_a_part():
    lat = np.array([40.0, 40.4, 40.8, 41.2, 30.0])
    part = partition(lat, np.full(5, -100.0), 2, FOLDS)
    assert len(set(part[:4])) == 1
    assert part[4] != part[0]
    with pytest.raises(ProtocolError, match="Stations in 2 places cannot be partitioned into 3"):
        partition(lat, np.full(5, -100.0), 3, FOLDS)


def test_folds_and_regions_of_the_real_stations(real_record: DailyRecord):
    rules = protocol()
    lat = np.array([station.lat for station in real_record.stations])
    lon = np.array([station.lon for station in real_record.stations])
    name = [station.name for station in real_record.stations]
    fold = dict(zip(name, partition(lat, lon, rules.folds.number, rules.folds), strict=True))
    assert sorted(np.bincount(list(fold.values()))) == [18, 19, 19, 19, 19]
    for place in ("NC_Asheville", "NE_Lincoln", "OK_Stillwater", "GA_Newton", "RI_Kingston"):
        twins = {part for station, part in fold.items() if station.startswith(place)}
        assert len(twins) == 1
    regions = region_of([station.state for station in real_record.stations], rules.regions)
    assert set(regions) == set(rules.regions)
    assert min(np.unique(regions, return_counts=True)[1]) >= 4
    with pytest.raises(ProtocolError, match="State PR lies in none of the regions"):
        region_of(["KS", "PR"], rules.regions)


def test_the_level_jumpers_are_those_of_the_data_description(real_data: Path):
    text = (real_data / "README.md").read_text()
    listed = re.search(r"levels jump at ([^;]+);", text)
    assert listed is not None
    assert set(re.findall(r"[A-Z]{2}_\w+", listed[1])) == set(protocol().level_jumpers.stations)


def test_medians_over_few_sites_are_not_a_headline():
    assert below_headline(90) is None
    note = below_headline(89)
    assert note is not None
    assert "89 sites" in note
    assert "requires 90 sites" in note
