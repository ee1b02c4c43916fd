import shutil
from datetime import UTC, datetime

import netCDF4
import pytest

from msm.cli.inspect import summarise
from msm.operations.daily import daily
from msm.operations.probe import probe
from msm.pipeline.run import Run
from tests.site_fixture import DAYS, NOW

# When the granules of the cache are of the age that each product is due at.
FORCING_IS_YOUNG = datetime(2016, 6, 7, tzinfo=UTC)
NLDAS = "NLDAS_FORA0125_H.A20160603.0000.020.nc"


def finding(run, product, now=FORCING_IS_YOUNG):
    return next(f for f in probe(run, now) if f.product.startswith(product))


def test_a_granule_that_is_as_its_layout_says(settings, readers):
    run = Run(settings, readers)
    found = finding(run, "NLDAS")
    assert found.granule == NLDAS
    assert found.differences == ()
    assert finding(run, "SPL4SMLM").differences == ()


def test_a_product_that_stopped_is_told(settings, readers):
    found = finding(Run(settings, readers), "NLDAS", NOW.replace(year=2017))
    assert found.granule is None
    assert "has this version ended?" in found.differences[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["Tair"].setncattr("units", "degC"), "Tair: units is 'degC', the layout"),
        (lambda d: d.renameVariable("LWdown", "LWd"), "LWdown is missing"),
    ],
)
def test_a_changed_granule_is_told(settings, cache, readers, tmp_path, change, said):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with netCDF4.Dataset(shutil.copy(cache / "NLDAS_FORA0125_H.2.0" / NLDAS, mirror), "a") as file:
        change(file)
    found = finding(Run(settings.model_copy(update={"mirror": mirror}), readers), "NLDAS")
    assert any(line.startswith(said) for line in found.differences)


def test_a_map_is_inspected_as_a_granule_is(settings, readers):
    published = daily(Run(settings, readers), DAYS[-1], NOW)
    summary = summarise(published.path)
    assert (summary["product"], summary["version"]) == ("MSM-SM-D-M09", "1.1")
    assert summary["day"] == "2016-06-03"
    soil_moisture = summary["variables"]["soil_moisture"]
    assert soil_moisture["units"] == "m3 m-3"
    assert 0 < soil_moisture["min"] < soil_moisture["mean"] < soil_moisture["max"] < 0.7
