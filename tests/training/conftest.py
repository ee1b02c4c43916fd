from pathlib import Path

import pytest

from msm.training.data.datasets import Data, read_data
from msm.training.data.pixels import read_pixels
from msm.training.data.samples import Samples
from msm.training.data.uscrn import DailyRecord, read_tables


@pytest.fixture(scope="session")
def real_record(real_data: Path) -> DailyRecord:
    return read_tables(real_data / "uscrn")


@pytest.fixture(scope="session")
def real_pixels(real_data: Path) -> Samples:
    return read_pixels(real_data)


@pytest.fixture(scope="session")
def training_data(real_data: Path) -> Data:
    return read_data(real_data)
