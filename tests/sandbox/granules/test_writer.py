"""Features of layouts that no served product has, written and read back."""

from datetime import UTC, datetime

import h5py
import numpy as np

from msm.products.definitions import GPM_3IMERGHH_03
from msm.products.registry import identify
from msm.sandbox.granules.window import centres, window
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import Extent

STAMP = datetime(2016, 1, 1, 0, 30, tzinfo=UTC)
NAME = "3B-HHR.MS.MRG.3IMERG.20160101-S003000-E005959.0030.V03D.HDF5"
EXTENT = Extent(38.0, 38.5, -92.0, -91.0)


def test_attribute_lines_groups_and_longitude_first_are_written(tmp_path):
    layout = GPM_3IMERGHH_03.layout
    lat, lon = centres(layout.grid, EXTENT)
    assert (lat.size, lon.size) == (5, 10)
    rain = np.add.outer(lat, 0.01 * lon).astype(np.float32)
    rain[0, 0] = np.nan
    write_granule(tmp_path / NAME, layout, STAMP, {"precipitation": rain}, EXTENT)
    with h5py.File(tmp_path / NAME) as file:
        assert file.attrs["FileHeader"].decode().splitlines() == [
            "DOIshortName=3IMERGHH;",
            "ProductVersion=V03D;",
            "StartGranuleDateTime=2016-01-01T00:30:00.000Z;",
        ]
        assert file["Grid/precipitationCal"].shape == (3600, 1800)
    assert identify(tmp_path / NAME) is GPM_3IMERGHH_03
    reading = GPM_3IMERGHH_03.read(tmp_path / NAME)
    assert (reading.time, reading.version) == (STAMP, "V03D")
    found = reading.fields["precipitation"]
    np.testing.assert_allclose(found[window(layout.grid, EXTENT)], rain, rtol=2e-7)
    assert np.isfinite(found).sum() == 49
    assert not np.isfinite(reading.fields["precipitation_uncalibrated"]).any()
