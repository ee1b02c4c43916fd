import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msm.products.product import GranuleError
from msm.sources.granule import HDF5_SIGNATURE, Granule, newest, verify

BYTES = HDF5_SIGNATURE + b"measurements"


def granule(name="a.h5", **facts):
    return Granule("SPL3SMP_E", "006", name, datetime(2016, 4, 1, tzinfo=UTC), **facts)


def put(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    return path


def test_a_good_file_is_named_by_its_hash(tmp_path):
    stated = granule(size=len(BYTES), checksum=("md5", hashlib.md5(BYTES).hexdigest().upper()))  # noqa: S324
    assert verify(put(tmp_path, BYTES), stated) == hashlib.sha256(BYTES).hexdigest()


def test_what_the_source_does_not_state_is_not_checked(tmp_path):
    assert verify(put(tmp_path, BYTES), granule())


@pytest.mark.parametrize(
    ("content", "facts", "said"),
    [
        (b"<!DOCTYPE html><title>Earthdata Login</title>", {}, "web page, not as data"),
        (b"\n <html>", {}, "web page, not as data"),
        (b"", {}, "not a NetCDF-4/HDF5 file"),
        (b"GRIB....7777", {}, "not a NetCDF-4/HDF5 file"),
        (BYTES[:-1], {"size": len(BYTES)}, "transfer was cut off"),
        (BYTES, {"checksum": ("sha256", "0" * 64)}, "does not have the sha256 checksum"),
    ],
)
def test_a_bad_file_is_told(tmp_path, content, facts, said):
    with pytest.raises(GranuleError, match=said) as refusal:
        verify(put(tmp_path, content), granule(**facts))
    assert str(refusal.value).startswith("a.h5 ")


productions = st.builds(
    granule,
    name=st.text("ab", min_size=1, max_size=4),
    production=st.none() | st.datetimes(timezones=st.just(UTC)),
    release=st.sampled_from(["", "R16", "R19"]),
    counter=st.sampled_from(["001", "002"]),
    revision=st.integers(1, 3),
)


@given(st.lists(productions, min_size=1, max_size=6))
def test_one_production_wins_and_the_others_are_remembered(offered):
    chosen, superseded = newest(offered)
    assert len(chosen) == 1
    assert all(chosen[0].rank >= other.rank for other in offered)
    assert {*chosen, *superseded} == set(offered)


def test_the_newest_production_wins_whatever_its_counter():
    old = granule("x_002.h5", production=datetime(2020, 1, 1, tzinfo=UTC), counter="002")
    new = granule("y_001.h5", production=datetime(2024, 1, 1, tzinfo=UTC), counter="001")
    assert newest([new, old]) == ([new], [old])


def test_times_do_not_compete():
    first = granule()
    second = Granule("SPL3SMP_E", "006", "b.h5", first.time + timedelta(days=1))
    assert newest([second, first]) == ([first, second], [])
