import os
import subprocess
import sys
from pathlib import Path

import xarray as xr

from msm.archive.validate import validate
from msm.grid.domain import load_domain

MSM = Path(sys.executable).parent / "msm"


def test_the_demonstration_makes_a_map_without_credentials(tmp_path):
    done = subprocess.run(
        [str(MSM), "demo"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / done.stdout.strip()
    assert validate(path) == []
    assert path.with_suffix(".png").is_file()
    with xr.open_dataset(path) as dataset:
        values = dataset.soil_moisture
        assert int(values.notnull().sum()) == load_domain("conus").n_cell
        # A map, not a constant.
        assert float(values.std()) > 0.02
