"""A short run of the fuzz, always the same, and the cases that once failed."""

import pytest

from msm.products.reader_pool import Readers
from msm.settings import Settings
from msm.sources.earthdata import Earthdata
from tests.fuzz.answers import fuzz_answers
from tests.fuzz.bases import SUBJECTS
from tests.fuzz.downloads import WIRES, fuzz_downloads
from tests.fuzz.granules import MUTATIONS, fuzz_granules
from tests.fuzz.run import LIMIT_SECONDS

ONCE_FAILED = (
    152,  # another fill was stated than is masked
    163,  # a fill was stated that is no number
    193,  # half precision, in which the fill is another number
    224,  # a square turned over its diagonal
    309,  # a file that states to be of another product
    350,  # a factor was stated, and not applied
    360,  # two numbers for one
    441,  # values in another file, under nobody's checksum
    1574,  # the fill in double precision
)
"""Numbers of seed 1."""


@pytest.fixture(scope="module")
def guarded():
    with Readers(1, limit=LIMIT_SECONDS) as readers:
        yield readers


@pytest.fixture
def earthdata(guarded, fresh_sandbox, tmp_path, monkeypatch):
    for name, value in fresh_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return Earthdata(Settings(work=tmp_path, archive=tmp_path), guarded)


def test_every_product_meets_every_mutation(guarded, tmp_path):
    count = len(SUBJECTS) * len(MUTATIONS)
    report = fuzz_granules(guarded, tmp_path, range(count), seed=1)
    assert report.failures == []
    met = {(product, mutation) for product, mutation, _ in report.outcomes}
    assert len(met) == report.outcomes.total() == count
    assert {"refused", "same", "other values"} <= {outcome for *_, outcome in report.outcomes}
    assert {o for _, mutation, o in report.outcomes if mutation == "truncate"} == {"refused"}


@pytest.mark.parametrize("number", ONCE_FAILED)
def test_a_granule_that_once_failed(guarded, tmp_path, number):
    report = fuzz_granules(guarded, tmp_path, range(number, number + 1), seed=1)
    assert report.failures == []
    assert [outcome for *_, outcome in report.outcomes] in (["refused"], ["same"])


def test_answers(earthdata, fresh_sandbox, tmp_path):
    report = fuzz_answers(earthdata, fresh_sandbox, tmp_path, range(160), seed=2)
    assert report.failures == []
    outcomes = {outcome for *_, outcome in report.outcomes}
    assert {"refused", "1 granules", "2 granules"} <= outcomes


def test_downloads(earthdata, guarded, fresh_sandbox):
    report = fuzz_downloads(earthdata, guarded, fresh_sandbox, range(40), seed=1)
    assert report.failures == []
    assert {mutation.partition(",")[0] for _, mutation, _ in report.outcomes} == {*WIRES}
