"""Files that are replaced are read once for each version."""

import os

import pytest

from msm.atomic_files import replacing
from msm.read_once import read_once


@pytest.fixture
def reader():
    """A reader of text files that keeps the paths it has read."""
    reads = []

    @read_once
    def read(path):
        reads.append(path)
        return path.read_text()

    return read, reads


def test_each_version_is_read_once(reader, tmp_path):
    read, reads = reader
    path = tmp_path / "file"
    for text in ("first", "second", "third"):
        with replacing(path) as new:
            new.write_text(text)
        assert read(path) == read(path) == text
    assert reads == [path] * 3


def test_a_replacement_of_the_same_time_and_size_is_read(reader, tmp_path):
    read, _ = reader
    path = tmp_path / "file"
    for text in ("one", "two"):
        with replacing(path) as new:
            new.write_text(text)
        os.utime(path, ns=(0, 0))
        assert read(path) == text


def test_a_missing_file_is_reported_by_the_reader_and_found_later(reader, tmp_path):
    read, _ = reader
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        read(path)
    path.write_text("there")
    assert read(path) == "there"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(path)
