import numpy as np
import pytest
import xarray as xr

from msm.archive.validate import validate
from msm.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from msm.operations.daily import daily
from msm.pipeline.run import Run
from tests.ensembles import ensemble_of
from tests.site_fixture import DAYS, NOW

WHOLE = "soil_moisture_uncertainty"
PARTS = ("soil_moisture_aleatoric_uncertainty", "soil_moisture_epistemic_uncertainty")


@pytest.fixture
def make(settings, readers):
    """Publish a day of a chain that starts with it, by a checkpoint."""

    def make(**changes):
        run = Run(settings.model_copy(update={"spin_up_days": 0} | changes), readers)
        published = daily(run, DAYS[0], NOW)
        assert validate(published.path) == []
        return xr.load_dataset(published.path)

    return make


def test_an_ensemble_publishes_its_uncertainty_whole_and_in_two_parts(make, tmp_path):
    save_checkpoint(
        tmp_path / "ensemble.json", ensemble_of(load_checkpoint(WEIGHTS / "first.json").card)
    )
    made = make(checkpoint=tmp_path / "ensemble.json")
    there = made.quality_flag.notnull()
    total, aleatoric, epistemic = (made[name].where(there) for name in (WHOLE, *PARTS))
    assert total.notnull().equals(made.soil_moisture.notnull())
    # Each is rounded to 2**-14.
    np.testing.assert_allclose(total, np.hypot(aleatoric, epistemic), atol=2**-13)
    assert float(aleatoric.min()) > 0.01
    assert float(epistemic.min()) > 0.0
    assert float(aleatoric.std()) > 0.0


def test_one_network_publishes_its_uncertainty_whole(make):
    made = make(checkpoint=WEIGHTS / "first.json")
    assert not [name for name in PARTS if name in made]
    assert made.soil_moisture.ancillary_variables == f"{WHOLE} quality_flag"
    error = load_checkpoint(WEIGHTS / "first.json").card.head.error
    values = made[WHOLE].values[made.soil_moisture.notnull().values]
    np.testing.assert_allclose(values, error, atol=2**-15)
