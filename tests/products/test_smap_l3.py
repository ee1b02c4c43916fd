import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from msm.products.definitions import SPL3SMP_003
from msm.products.product import Reading
from msm.products.smap_l3 import good

SHAPE = (4, 5)
FILL = 65534


def reading(soil_moisture, quality, surface):
    fields = {
        "soil_moisture": np.asarray(soil_moisture, np.float32),
        "retrieval_qual_flag": np.asarray(quality, np.uint16),
        "surface_flag": np.asarray(surface, np.uint16),
    }
    return Reading(SPL3SMP_003.layout, "003", None, fields)


FREEZE_THAW_FAILED, NOT_ATTEMPTED, FAILED = 8, 2, 4
DENSE_VEGETATION, FROZEN = 1 << 10, 1 << 8


@pytest.mark.parametrize(
    ("soil_moisture", "quality", "surface", "rules"),
    [
        (0.2, 0, 0, {"recommended", "lenient"}),
        # Freeze/thaw is another product.
        (0.2, FREEZE_THAW_FAILED, 0, {"recommended", "lenient"}),
        (0.2, 1, DENSE_VEGETATION, {"lenient"}),
        (0.2, 1, FROZEN, set()),
        (0.2, 1 | FAILED, DENSE_VEGETATION, set()),
        (0.2, 1 | NOT_ATTEMPTED, DENSE_VEGETATION, set()),
        # Bit 0 of the fill is clear.
        (0.2, FILL, 0, set()),
        (0.2, 1, FILL, set()),
        *((value, 0, 0, set()) for value in (np.nan, 0.0, -9999.0, 0.94)),
    ],
)
def test_rules_accept_retrievals_by_quality_surface_and_value(
    soil_moisture, quality, surface, rules
):
    granule = reading([[soil_moisture]], [[quality]], [[surface]])
    accepted = {rule for rule in ("recommended", "lenient") if good(granule, "", rule)[0, 0]}
    assert accepted == rules


flags = arrays.arrays(np.uint16, SHAPE, elements=st.sampled_from([0, 1, 3, 5, 7, 8, 9, FILL]))
surfaces = arrays.arrays(np.uint16, SHAPE, elements=st.integers(0, 4095) | st.just(FILL))
values = arrays.arrays(np.float32, SHAPE, elements=st.floats(-1, 1, width=32) | st.just(np.nan))


@given(soil_moisture=values, quality=flags, surface=surfaces)
def test_accepted_values_are_plausible(soil_moisture, quality, surface):
    granule = reading(soil_moisture, quality, surface)
    for rule in ("recommended", "lenient"):
        accepted = soil_moisture[good(granule, "", rule)]
        assert ((accepted > 0) & (accepted <= 0.6)).all()


def test_masks_of_a_real_granule(real_data):
    path = real_data / "granules" / "SMAP_L3_SM_P_20150401_R13080_001.h5"
    granule = SPL3SMP_003.read(path)
    with h5py.File(path) as file:
        group = file["Soil_Moisture_Retrieval_Data"]
        value, quality = group["soil_moisture"][...], group["retrieval_qual_flag"][...]
    expected = (value > 0) & (value <= 0.6) & (quality % 2 == 0) & (quality != FILL)
    recommended = good(granule, "", "recommended")
    np.testing.assert_array_equal(recommended, expected)
    # Without masking the fill, cells that were never observed would count.
    assert 0 < recommended.sum() < (quality % 2 == 0).sum()
    assert good(granule, "", "lenient").sum() > recommended.sum()
