"""Made-up weather on five tiles of cells, and what of a published file has to be the same."""

import numpy as np
import xarray as xr

from msm.archive import store
from msm.archive.layers import LAYERS
from msm.fields import cell_fields
from msm.fields.cell_fields import CellFields
from msm.lineage import InputGranule
from msm.pipeline.model_inputs import stored_statics
from msm.pipeline.run import Run
from msm.settings import Settings

BOX = "box:35,40,-104,-97"
"""Five tiles of cells."""

UNITS = {
    "precipitation": "mm day-1",
    "air_temperature": "K",
    "specific_humidity": "kg kg-1",
    "shortwave_down": "W m-2",
    "wind_speed": "m s-1",
}
USED = InputGranule(
    product="NLDAS_FORA0125_H",
    version="2.0",
    granule="NLDAS_FORA0125_H.A20160601.0000.020.nc",
    time=None,
    size=1,
    checksum="sha256:0",
    production=None,
    role="forcing",
)


def weather(run, day, seed=0, wind=3.0):
    """Make up a day's forcing, another for each seed."""
    chance = np.random.default_rng([day.toordinal(), seed])
    n = run.domain.n_cell
    values = {
        "precipitation": chance.gamma(0.3, 10.0, n),
        "air_temperature": chance.normal(290.0, 5.0, n),
        "specific_humidity": chance.uniform(0.004, 0.012, n),
        "shortwave_down": chance.uniform(80.0, 320.0, n),
        "wind_speed": np.full(n, wind),
    }
    nothing = np.zeros(n, bool)
    return CellFields(
        mask_sha256=run.domain.mask_sha256,
        day=day,
        fields={name: field.astype(np.float32) for name, field in values.items()},
        units=UNITS,
        filled=nothing,
        inputs=(USED,),
        lower_tier=nothing,
        origins=dict.fromkeys(UNITS, "NLDAS_FORA0125_H 2.0"),
    )


def files(run):
    """Return fingerprint and layers of each published map."""
    archive, found = run.settings.archive, {}
    for day in store.published_days(archive, run.domain.name):
        item = store.read_item(archive, run.domain.name, day)
        assert item is not None, f"{day} is published without a STAC item"
        with xr.open_dataset(item.path, mask_and_scale=False) as dataset:
            names = [layer.name for layer in LAYERS if layer.name in dataset]
            layers = {name: dataset[name].values.tobytes() for name in names}
            found[day] = dataset.attrs["fingerprint"], layers
    return found


def store_weather(folder, days, cache, readers):
    """Store made-up weather of some days in a work folder, and the statics from the granules."""
    run = Run(Settings(work=folder, domain=BOX, mirror=cache), readers)
    for day in days:
        cell_fields.write(run.workspace.forcing(day), weather(run, day))
    stored_statics(run)
    return folder
