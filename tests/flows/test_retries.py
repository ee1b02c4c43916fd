import pytest
from prefect.states import Failed

from flows.retries import worth_retrying
from msm.pipeline.day_sources import IncompleteDayError
from msm.sources.earthdata import EarthdataError, LoginError


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (EarthdataError("the catalogue fails"), True),
        (LoginError("a wrong token"), False),
        (IncompleteDayError("an hour is missing"), False),
        (ValueError("a defect"), False),
    ],
)
def test_only_a_server_that_fails_is_asked_again(error, again):
    assert worth_retrying(None, None, Failed(data=error)) is again
