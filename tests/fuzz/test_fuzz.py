"""A short, reproducible run of the fuzz, and the cases that once failed."""

import pytest

from msm.products.reader_pool import Readers
from msm.settings import Settings
from msm.sources.earthdata import Earthdata
from tests.fuzz.answers import fuzz_answers
from tests.fuzz.bases import SUBJECTS
from tests.fuzz.downloads import TRANSFERS, fuzz_downloads
from tests.fuzz.granules import MUTATIONS, fuzz_granules
from tests.fuzz.run import LIMIT_SECONDS

ONCE_FAILED = (
    152,  # the stated fill differs from the masked one
    163,  # the stated fill is not a number
    193,  # half precision, which changes the fill
    224,  # a transposed square
    309,  # a file that states another product
    350,  # a stated factor that was not applied
    360,  # two numbers instead of one
    441,  # values in another file, which no checksum covers
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


def test_every_mutation_of_every_product_is_handled(guarded, tmp_path):
    count = len(SUBJECTS) * len(MUTATIONS)
    report = fuzz_granules(guarded, tmp_path, range(count), seed=1)
    assert report.failures == []
    cases = {(product, mutation) for product, mutation, _ in report.outcomes}
    assert len(cases) == report.outcomes.total() == count
    assert {"refused", "same", "other values"} <= {outcome for *_, outcome in report.outcomes}
    assert {o for _, mutation, o in report.outcomes if mutation == "truncate"} == {"refused"}


@pytest.mark.parametrize("number", ONCE_FAILED)
def test_granule_that_once_failed_is_handled(guarded, tmp_path, number):
    report = fuzz_granules(guarded, tmp_path, range(number, number + 1), seed=1)
    assert report.failures == []
    assert [outcome for *_, outcome in report.outcomes] in (["refused"], ["same"])


def test_invalid_answers_are_handled(earthdata, fresh_sandbox, tmp_path):
    report = fuzz_answers(earthdata, fresh_sandbox, tmp_path, range(160), seed=2)
    assert report.failures == []
    outcomes = {outcome for *_, outcome in report.outcomes}
    assert {"refused", "1 granules", "2 granules"} <= outcomes


def test_changed_downloads_are_handled(earthdata, guarded, fresh_sandbox):
    report = fuzz_downloads(earthdata, guarded, fresh_sandbox, range(40), seed=1)
    assert report.failures == []
    assert {mutation.partition(",")[0] for _, mutation, _ in report.outcomes} == {*TRANSFERS}
