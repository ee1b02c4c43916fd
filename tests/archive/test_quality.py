import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msm.archive.quality import ALL_BITS, FLAG_ATTRIBUTES, Quality, meanings, quality_flag


def flag(n=1, **changes) -> np.ndarray:
    good = {
        "land_fraction": np.full(n, 1, np.float32),
        "air_temperature": np.full(n, 290, np.float32),
        "vegetation_water_content": np.full(n, 1, np.float32),
        "state_age": 365,
    }
    return quality_flag(**{**good, **changes})


def test_the_bits_are_those_of_the_published_format():
    assert [int(bit) for bit in Quality] == [1, 2, 4, 8, 16, 32, 64]
    assert FLAG_ATTRIBUTES["flag_meanings"] == (
        "spin_up freezing dense_vegetation water_or_coast forcing_filled lower_tier "
        "outside_training"
    )
    assert FLAG_ATTRIBUTES["flag_masks"].dtype == np.uint8
    assert ALL_BITS == 127


def test_good_cells_have_no_flag():
    assert flag(3).tolist() == [0, 0, 0]
    assert flag(3).dtype == np.uint8


def test_each_condition_sets_its_own_bit_on_its_side_of_the_threshold():
    def cells(*values):
        return np.array(values, np.float32)

    assert flag(state_age=364).tolist() == [1]
    assert flag(3, air_temperature=cells(273.14, 273.15, 273.16)).tolist() == [2, 0, 0]
    assert flag(3, vegetation_water_content=cells(4.9, 5, 5.1)).tolist() == [0, 0, 4]
    # The masks hold integer percentages: 90 is enough.
    percent = cells(89, 90, 91) / np.float32(100)
    assert flag(3, land_fraction=percent).tolist() == [8, 0, 0]
    assert flag(2, forcing_filled=np.array([True, False])).tolist() == [16, 0]
    assert flag(2, lower_tier=True).tolist() == [32, 32]
    assert flag(2, outside_training=np.array([False, True])).tolist() == [0, 64]


def test_unknown_vegetation_sets_nothing():
    assert flag(2, vegetation_water_content=None).tolist() == [0, 0]
    assert flag(1, vegetation_water_content=np.array([np.nan], np.float32)).tolist() == [0]


@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_bits_add_up_and_read_back(on):
    value = flag(
        state_age=0 if on[0] else 400,
        air_temperature=np.array([260 if on[1] else 280], np.float32),
        vegetation_water_content=np.array([9 if on[2] else 1], np.float32),
        land_fraction=np.array([0.6 if on[3] else 0.95], np.float32),
        forcing_filled=on[4],
        lower_tier=on[5],
        outside_training=np.array([on[6]]),
    )[0]
    assert value == sum(bit for bit, is_on in zip(Quality, on, strict=True) if is_on)
    assert meanings(int(value)) == tuple(
        bit.name.lower() for bit, is_on in zip(Quality, on, strict=True) if is_on
    )
