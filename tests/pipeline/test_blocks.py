from datetime import date

import numpy as np
import pytest

from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from msm.pipeline import blocks
from msm.pipeline.chains import open_chain, prediction_path
from msm.pipeline.run import Run
from tests.ensembles import ensemble_of

DAY = date(2016, 6, 3)


@pytest.fixture
def run(settings, readers, tmp_path):
    """A run of an ensemble, with statics and one day's forcing in store: without longwave."""
    card = tmp_path / "ensemble.json"
    save_checkpoint(card, ensemble_of(load_checkpoint(WEIGHTS / "first.json").card))
    run = Run(settings.model_copy(update={"checkpoint": card}), readers)
    store(
        run.workspace.statics, run, None, sand=0.4, clay=0.2, vegetation_water_content=[2.0, np.nan]
    )
    weather = {"air_temperature": 290.0, "specific_humidity": 0.01, "shortwave_down": 200.0}
    store(
        run.workspace.forcing(DAY), run, DAY, **weather, precipitation=2.0, wind_speed=[np.nan, 3.0]
    )
    return run


def store(path, run, day, **values):
    """Store fields that have a value in every cell, or one in every other cell."""
    n_cell = run.domain.n_cell
    nothing = np.zeros(n_cell, bool)
    fields = {name: np.resize(value, n_cell).astype(np.float32) for name, value in values.items()}
    made = CellFields(
        mask_sha256=run.domain.mask_sha256,
        day=day,
        fields=fields,
        units=dict.fromkeys(fields, "1"),
        filled=nothing,
        inputs=(),
        lower_tier=nothing,
    )
    cell_fields.write(path, made)


def test_a_cell_is_lacking_only_where_an_input_that_is_needed_is_missing(run):
    fields = cell_fields.read(run.workspace.forcing(DAY), run.domain).fields
    fields["shortwave_down"][5] = np.nan
    store(run.workspace.forcing(DAY), run, DAY, **fields)
    given = blocks.inputs(run, DAY, None)
    np.testing.assert_array_equal(given.incomplete.nonzero()[0], [5])
    names = [spec.name for spec in run.checkpoint.card.forcing]
    wind, longwave = (given.columns[:, names.index(n)] for n in ("wind_speed", "longwave_down"))
    rest = np.arange(run.domain.n_cell) != 5
    # A field that is not stored at all is missing everywhere.
    assert np.isnan(longwave[rest]).all()
    np.testing.assert_array_equal(np.isnan(wind), np.isnan(fields["wind_speed"]) & rest)
    # A lacking cell is given means of the training in their place.
    assert (wind[5], longwave[5]) == (4.0, 330.0)


def test_what_the_network_says_of_a_day_is_stored_in_three_fields(run):
    chain = open_chain(run, DAY)
    n_cell = run.domain.n_cell
    given = blocks.inputs(run, DAY, None)
    given.incomplete[7] = True
    whole = slice(0, n_cell)
    stepped = blocks.step(run, whole, given, blocks.cold(run, whole), None)
    assert stepped.state.hidden_size == 48
    made = blocks.outcome(run, chain, DAY, [stepped.summary], stores_prediction=True)
    assert made.content_hash == stepped.state.content_hash
    stored = cell_fields.read(prediction_path(chain, DAY), run.domain)
    assert stored.sha256 == made.prediction_sha256
    assert set(stored.units.values()) == {"m3 m-3"}
    predicted = stepped.summary.prediction
    for name, values in (
        ("soil_moisture", predicted.soil_moisture),
        ("aleatoric_uncertainty", predicted.aleatoric),
        ("epistemic_uncertainty", predicted.epistemic),
    ):
        np.testing.assert_array_equal(stored.fields[name], values)
        np.testing.assert_array_equal(np.isnan(values).nonzero()[0], [7])
    assert set(stored.fields) == {"soil_moisture", "aleatoric_uncertainty", "epistemic_uncertainty"}
