from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from msm.archive.daily_map import Lineage
from msm.errors import MsmError
from msm.lineage import InputGranule


def test_a_map_of_another_shape_or_type_is_refused(make_map):
    good = make_map()
    with pytest.raises(MsmError, match="one value for each cell"):
        replace(good, soil_moisture=good.soil_moisture[:-1])
    with pytest.raises(MsmError, match="soil_moisture of 2016-04-01 has shape"):
        replace(good, soil_moisture=good.soil_moisture.astype(np.float64))
    with pytest.raises(MsmError, match="quality_flag"):
        replace(good, quality_flag=good.quality_flag.astype(np.int16))


@pytest.mark.parametrize("value", [-0.01, 1.01, np.inf])
def test_soil_moisture_out_of_range_is_refused(make_map, value):
    values = make_map().soil_moisture.copy()
    values[7] = value
    with pytest.raises(MsmError, match=r"outside 0\.0 to 1\.0 m3 m-3 at 1 cells"):
        replace(make_map(), soil_moisture=values)


@pytest.mark.parametrize("part", ["uncertainty", "aleatoric", "epistemic"])
def test_a_negative_uncertainty_is_refused(make_map, part):
    values = getattr(make_map(), part).copy()
    values[7] = -0.01
    with pytest.raises(MsmError, match=rf"{part} of 2016-04-01 lies outside 0\.0 to 1\.0 m3 m-3"):
        replace(make_map(), **{part: values})


def test_unknown_flag_bits_are_refused(make_map):
    flags = make_map().quality_flag.copy()
    flags[0] = 128
    with pytest.raises(MsmError, match="quality_flag"):
        replace(make_map(), quality_flag=flags)


def test_lineage_with_unknown_or_invalid_fields_is_refused(make_map):
    lineage = make_map().lineage
    with pytest.raises(ValidationError, match="weather"):
        Lineage(**{**lineage.model_dump(), "weather": "fine"})
    with pytest.raises(ValidationError, match="fingerprint"):
        Lineage(**{**lineage.model_dump(), "fingerprint": "abc"})
    with pytest.raises(ValidationError, match="status"):
        Lineage(**{**lineage.model_dump(), "status": "nearly final"})
    with pytest.raises(ValidationError, match="timezone"):
        InputGranule(**{**lineage.inputs[0].model_dump(), "production": "2020-01-01T00:00:00"})
