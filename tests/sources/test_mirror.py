from datetime import UTC, datetime

import pytest

from msm.errors import MsmError
from msm.products.definitions import NLDAS_FORA0125_H_002 as NLDAS
from msm.sources.mirror import Mirror

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, 23, tzinfo=UTC)


@pytest.fixture
def mirror(real_data, readers):
    return Mirror(real_data / "granules", readers)


def test_granules_are_found_by_name_and_time(mirror):
    assert [g.time.hour for g in mirror.search(NLDAS, FIRST, LAST)] == [0, 1]
    assert mirror.search(NLDAS, FIRST.replace(year=1999), FIRST.replace(year=1999)) == []


def test_files_are_checked_in_place(mirror, real_data):
    fetched = mirror.fetch(NLDAS, mirror.search(NLDAS, FIRST, LAST))
    assert fetched.refused == {}
    assert all(file.path.parent == real_data / "granules" for file in fetched.files)


def test_invalid_file_is_refused_by_name_and_kept(tmp_path, readers):
    name = "NLDAS_FORA0125_H.A20000101.0000.002.grb.SUB.nc4"
    (tmp_path / "2000").mkdir()
    (tmp_path / "2000" / name).write_text("<html>")
    mirror = Mirror(tmp_path, readers)
    fetched = mirror.fetch(NLDAS, mirror.search(NLDAS, FIRST, LAST))
    assert fetched.files == ()
    assert "web page" in fetched.refused[name]
    assert (tmp_path / "2000" / name).exists()


def test_missing_folder_is_refused(tmp_path, readers):
    with pytest.raises(MsmError, match="is not a folder: set MSM_MIRROR"):
        Mirror(tmp_path / "nowhere", readers)
