from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from msm.model.checkpoint import load_checkpoint
from msm.model.inference import outside_training
from msm.training.fit import predict
from msm.training.metrics import site_metrics
from msm.training.pixels import read_pixels


def test_the_shipped_checkpoint_in_the_year_after_its_training(real_data: Path):
    """One year carried on from the spin-up, beside what hydroDL predicts for the same cells."""
    checkpoint = load_checkpoint()
    pixels = read_pixels(real_data)
    spin_up = pixels.between(date(2015, 4, 1), date(2016, 3, 31))
    year = pixels.between(date(2016, 4, 1), date(2017, 3, 31))
    _, state = predict(checkpoint, spin_up)
    predicted, _ = predict(checkpoint, year, state)
    ours = site_metrics(predicted, year.target).medians()
    with (
        xr.open_dataset(real_data / "conus_pixels" / "hydrodl_predictions.nc") as peer,
        xr.open_dataset(real_data / "conus_pixels" / "conus_v4f1.nc") as cells,
    ):
        whole = np.isfinite(cells["sand"].to_numpy())
        single = site_metrics(peer["hydrodl_single_task"].to_numpy()[whole], year.target).medians()
    assert single["r"] == pytest.approx(0.841, abs=0.002)
    assert single["ubrmse"] == pytest.approx(0.0294, abs=0.0002)
    assert ours["r"] > R_FLOOR
    assert ours["ubrmse"] < UBRMSE_CEILING
    assert ours["rmse"] < RMSE_CEILING


def test_few_cells_of_the_training_year_are_outside_its_own_range(real_data: Path):
    card = load_checkpoint().card
    year = read_pixels(real_data).between(date(2015, 4, 1), date(2016, 3, 31))
    statics = np.stack([year.statics[s.name] for s in card.statics], axis=-1)
    for day in (0, 100, 300):
        forcing = np.stack([year.forcing[s.name][:, day] for s in card.forcing], axis=-1)
        assert not outside_training(card, forcing, statics).any()
