from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.archive.naming import day_of, domain_label, file_stem, map_path


def test_the_path_is_the_published_one():
    path = map_path(Path("archive"), "conus", date(2016, 4, 1))
    assert path == Path("archive/conus/2016/04/MSM-SM-D-M09-conus-20160401-v1.1.nc")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("conus", "conus"),
        ("global", "global"),
        ("box:25,53,-125,-67", "box_25N_53N_125W_67W"),
        ("box:-10.5,0,-0.25,12", "box_10.5S_0N_0.25W_12E"),
    ],
)
def test_labels_of_domains(name, label):
    assert domain_label(name) == label


@given(
    st.sampled_from(["conus", "global", "box:-10.5,0,-0.25,12"]),
    st.dates(date(1980, 1, 1), date(2100, 1, 1)),
)
def test_the_day_reads_back_from_the_stem(name, day):
    assert day_of(file_stem(name, day)) == day


@pytest.mark.parametrize("stem", ["catalog", "collection", "MSM-SM-D-M09-conus-2016-v1.1", ".lock"])
def test_other_names_are_not_a_day(stem):
    assert day_of(stem) is None
