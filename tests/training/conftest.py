from pathlib import Path

import pytest

from msm.training.data.uscrn import DailyRecord, read_tables


@pytest.fixture(scope="session")
def real_record(real_data: Path) -> DailyRecord:
    return read_tables(real_data / "uscrn")
