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


def test_hash_of_a_valid_file_is_returned(tmp_path):
    stated = granule(size=len(BYTES), checksum=("md5", hashlib.md5(BYTES).hexdigest().upper()))  # noqa: S324
    assert verify(put(tmp_path, BYTES), stated) == hashlib.sha256(BYTES).hexdigest()


def test_size_and_checksum_may_be_unknown(tmp_path):
    assert verify(put(tmp_path, BYTES), granule())


@pytest.mark.parametrize(
    ("content", "facts", "message"),
    [
        (b"<!DOCTYPE html><title>Earthdata Login</title>", {}, "is a web page, not data"),
        (b"\n <html>", {}, "is a web page, not data"),
        (b"", {}, "not a NetCDF-4/HDF5 file"),
        (b"GRIB....7777", {}, "not a NetCDF-4/HDF5 file"),
        (BYTES[:-1], {"size": len(BYTES)}, "transfer was incomplete"),
        (BYTES, {"checksum": ("sha256", "0" * 64)}, "does not have the sha256 checksum"),
    ],
)
def test_invalid_file_is_refused_by_name(tmp_path, content, facts, message):
    with pytest.raises(GranuleError, match=message) as refusal:
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
def test_one_production_is_chosen_and_the_others_are_superseded(offered):
    chosen, superseded = newest(offered)
    assert len(chosen) == 1
    assert all(chosen[0].rank >= other.rank for other in offered)
    assert {*chosen, *superseded} == set(offered)


def test_newest_production_is_chosen_for_any_counter():
    old = granule("x_002.h5", production=datetime(2020, 1, 1, tzinfo=UTC), counter="002")
    new = granule("y_001.h5", production=datetime(2024, 1, 1, tzinfo=UTC), counter="001")
    assert newest([new, old]) == ([new], [old])


def test_granules_of_different_times_are_all_chosen():
    first = granule()
    second = Granule("SPL3SMP_E", "006", "b.h5", first.time + timedelta(days=1))
    assert newest([second, first]) == ([first, second], [])
