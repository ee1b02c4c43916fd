import h5py
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from msm.products.product import Reading
from msm.products.smap_l3 import SPL3SMP_003, good

SHAPE = (4, 5)
FILL = 65534


def reading(soil_moisture, quality, surface):
    fields = {
        "soil_moisture": np.asarray(soil_moisture, np.float32),
        "retrieval_qual_flag": np.asarray(quality, np.uint16),
        "surface_flag": np.asarray(surface, np.uint16),
    }
    return Reading(SPL3SMP_003.layout, "003", None, fields)


def one(soil_moisture, quality, surface, rule):
    return bool(good(reading([[soil_moisture]], [[quality]], [[surface]]), "", rule)[0, 0])


def test_the_fill_of_the_flag_is_no_recommendation():
    # 65534 has bit 0 clear.
    assert FILL & 1 == 0
    assert not one(0.2, FILL, 0, "recommended")
    assert not one(0.2, FILL, 0, "lenient")


def test_recommended_is_bit_0_alone():
    assert one(0.2, 0, 0, "recommended")
    assert one(0.2, 8, 0, "recommended")  # freeze/thaw was not retrieved: another product
    assert not one(0.2, 1, 0, "recommended")


def test_lenient_takes_dense_vegetation_and_refuses_frozen_ground():
    dense, frozen = 1 << 10, 1 << 8
    assert one(0.2, 1, dense, "lenient")
    assert not one(0.2, 1, frozen, "lenient")
    assert not one(0.2, 1 | 4, dense, "lenient")  # attempted, without success
    assert not one(0.2, 1 | 2, dense, "lenient")  # never attempted
    assert not one(0.2, 1, FILL, "lenient")


def test_what_is_no_soil_moisture_is_refused_whatever_the_flags_say():
    for value in (np.nan, 0.0, -9999.0, 0.94):
        assert not one(value, 0, 0, "recommended")
        assert not one(value, 0, 0, "lenient")


flags = arrays.arrays(np.uint16, SHAPE, elements=st.sampled_from([0, 1, 3, 5, 7, 8, 9, FILL]))
surfaces = arrays.arrays(np.uint16, SHAPE, elements=st.integers(0, 4095) | st.just(FILL))
values = arrays.arrays(np.float32, SHAPE, elements=st.floats(-1, 1, width=32) | st.just(np.nan))


@given(soil_moisture=values, quality=flags, surface=surfaces)
def test_every_accepted_value_is_a_soil_moisture(soil_moisture, quality, surface):
    granule = reading(soil_moisture, quality, surface)
    for rule in ("recommended", "lenient"):
        accepted = soil_moisture[good(granule, "", rule)]
        assert ((accepted > 0) & (accepted <= 0.6)).all()


def test_the_real_granule(real_data):
    path = real_data / "granules" / "SMAP_L3_SM_P_20150401_R13080_001.h5"
    granule = SPL3SMP_003.read(path)
    with h5py.File(path) as file:
        group = file["Soil_Moisture_Retrieval_Data"]
        value, quality = group["soil_moisture"][...], group["retrieval_qual_flag"][...]
    expected = (value > 0) & (value <= 0.6) & (quality % 2 == 0) & (quality != FILL)
    recommended = good(granule, "", "recommended")
    np.testing.assert_array_equal(recommended, expected)
    # Without masking the fill, cells that were never seen would count.
    assert 0 < recommended.sum() < (quality % 2 == 0).sum()
    assert good(granule, "", "lenient").sum() > recommended.sum()
