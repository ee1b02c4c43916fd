"""A short run of the fuzz, always the same, and the cases that once failed."""

import pytest

from msm.inputs.earthdata import Earthdata
from msm.inputs.readers import Readers
from msm.settings import Settings
from tests.fuzz.granules import MUTATIONS
from tests.fuzz.run import LIMIT_SECONDS, fuzz_answers, fuzz_granules

ONCE_FAILED = (
    # Infinite values, stored or of a wind speed that overflows, were handed on.
    (1, 82),
    (1, 94),
    # The HDF5 library loops without end.
    (2, 89),
)


@pytest.fixture(scope="module")
def guarded():
    with Readers(1, limit=LIMIT_SECONDS) as readers:
        yield readers


def test_granules(guarded, tmp_path):
    report = fuzz_granules(guarded, tmp_path, range(15 * len(MUTATIONS)), seed=1)
    assert report.failures == []
    assert sum(report.outcomes.values()) == 15 * len(MUTATIONS)
    kinds = {outcome.partition(": ")[2] for outcome in report.outcomes}
    assert {"refused", "same", "other values"} <= kinds
    assert any(key.startswith("truncate: refused") for key in report.outcomes)


@pytest.mark.parametrize(("seed", "index"), ONCE_FAILED)
def test_a_granule_that_once_failed(guarded, tmp_path, seed, index):
    report = fuzz_granules(guarded, tmp_path, range(index, index + 1), seed)
    assert report.failures == []
    assert list(report.outcomes.values()) == [1]


def test_answers(guarded, fresh_sandbox, tmp_path, monkeypatch):
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    earthdata = Earthdata(Settings(work=tmp_path, archive=tmp_path), guarded)
    report = fuzz_answers(earthdata, fresh_sandbox, tmp_path, range(200), seed=2)
    assert report.failures == []
    kinds = {outcome.partition(": ")[2] for outcome in report.outcomes}
    assert {"refused", "1 granules", "2 granules"} <= kinds
