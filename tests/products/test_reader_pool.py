import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from msm.errors import MsmError
from msm.products.definitions import GPM_3IMERGHH_03, NLDAS_FORA0125_H_2_0, SPL3SMP_003
from msm.products.definitions import NLDAS_FORA0125_H_002 as NLDAS
from msm.products.product import GranuleError, Product
from msm.products.reader_pool import Readers, _read, _Request
from msm.sandbox.granules.writer import write_granule
from msm.sandbox.weather.interface import NORTH_AMERICA

NAME = "NLDAS_FORA0125_H.A20000101.0000.002.grb.SUB.nc4"


def test_granule_is_read_in_another_process(real_data, readers):
    path = real_data / "granules" / NAME
    reading = readers.submit(NLDAS, path, ["air_temperature"]).result()
    assert set(reading.fields) == {"air_temperature"}
    assert reading.time == NLDAS.read(path, ()).time


SMAP = "SMAP_L3_SM_P_20150401_R13080_001.h5"
IMERG = "3B-HHR.MS.MRG.3IMERG.20160101-S000000-E002959.0000.V03D.HDF5"


@pytest.mark.parametrize(
    ("known", "name", "first"), [(SPL3SMP_003, SMAP, 50), (GPM_3IMERGHH_03, IMERG, 900)]
)
def test_reading_is_equal_from_another_process(real_data, readers, known, name, first):
    """Flags and measurements, and a transposed granule."""
    path = real_data / "granules" / name
    window = slice(first, first + 131), slice(101, 904)
    here = known.read(path, window=window)
    there = readers.submit(known, path, window=window).result()
    assert (there.time, there.version) == (here.time, here.version)
    assert there.fields.keys() == here.fields.keys()
    for name, field in there.fields.items():
        assert field.dtype == here.fields[name].dtype
        assert np.unique(field).size > 3
        np.testing.assert_array_equal(field, here.fields[name])
        assert field.flags.aligned
        assert field.flags.writeable


def test_empty_window_gives_empty_fields(real_data, readers):
    reading = readers.submit(
        NLDAS, real_data / "granules" / NAME, ["air_temperature"], (slice(0, 0), slice(3, 7))
    ).result()
    assert reading.fields["air_temperature"].shape == (0, 4)


def test_granules_are_read_in_order_and_few_ahead(tmp_path):
    layout = NLDAS_FORA0125_H_2_0.layout
    hours = [datetime(2016, 4, 1, hour, tzinfo=UTC) for hour in range(8)]
    for hour in hours:
        field = np.full((224, 464), 280.0 + hour.hour)
        path = tmp_path / layout.file_name.format(time=hour)
        write_granule(path, layout, hour, {"air_temperature": field}, NORTH_AMERICA)
    requested = []

    def granules():
        for hour in hours:
            requested.append(hour)
            yield tmp_path / layout.file_name.format(time=hour), ["air_temperature"]

    with Readers(1) as pool:
        folder = pool._folder
        for number, reading in enumerate(pool.each(NLDAS_FORA0125_H_2_0, granules()), start=1):
            assert reading.time == hours[number - 1]
            assert (reading.fields["air_temperature"] == 279 + number).all()
            assert len(requested) <= number + 1
            assert len(list(folder.iterdir())) <= 1
        assert number == len(hours)
        assert list(folder.iterdir()) == []
    assert not folder.exists()


@pytest.mark.fault("no space for the fields that are read")
def test_full_disk_does_not_refuse_the_granule(real_data, tmp_path, sentence):
    request = _Request("NLDAS_FORA0125_H", "002", real_data / "granules" / NAME, None, None)
    with pytest.raises(MsmError, match=sentence) as raised:
        _read(request, 10.0, tmp_path / "gone")
    assert not isinstance(raised.value, GranuleError)


def test_invalid_granules_are_reported_by_file(real_data, readers, tmp_path):
    good = real_data / "granules" / NAME
    cut = tmp_path / NAME
    cut.write_bytes(good.read_bytes()[:200_000])
    problems = readers.problems(NLDAS, [good, cut])
    assert list(problems) == [cut]
    assert NAME in problems[cut]


def test_error_message_crosses_processes(tmp_path, readers):
    with pytest.raises(GranuleError, match="cannot be opened as NetCDF or HDF5"):
        readers.submit(NLDAS, tmp_path / "none.nc").result()


@pytest.mark.fault("a granule that crashes the HDF5 library")
def test_valid_granules_are_read_after_a_crash(real_data):
    good = real_data / "granules" / NAME
    with Readers(1) as pool:
        with pytest.raises(BrokenProcessPool):
            pool._pool.submit(os._exit, 1).result()
        assert pool.problems(NLDAS, [good]) == {}


@pytest.fixture
def endless(tmp_path):
    """A file that blocks the library in its C code: a pipe that nobody writes to."""
    path = tmp_path / "endless.nc"
    os.mkfifo(path)
    return path


@pytest.mark.fault("a granule that crashes the HDF5 library")
def test_granule_that_hangs_is_refused(real_data, endless, sentence):
    good = real_data / "granules" / NAME
    # Starting a process takes longer than this; only reading counts.
    with Readers(1, limit=1) as pool:
        problems = pool.problems(NLDAS, [good, endless, good])
        assert list(problems) == [endless]
        assert re.search(f"^endless.nc.*{sentence}", problems[endless])
        # The pool goes on, and complete readings have the same time limit.
        with pytest.raises(GranuleError, match="or more than 1 s"):
            pool.submit(NLDAS, endless).result()
        assert pool.submit(NLDAS, good, ()).result().time


def test_invalid_time_is_reported(tmp_path, readers):
    path = tmp_path / "NLDAS_FORA0125_H.A20160401.0000.020.nc"
    write_granule(
        path, NLDAS_FORA0125_H_2_0.layout, datetime(2016, 4, 1, tzinfo=UTC), {}, NORTH_AMERICA
    )
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["time"][0] = 1e300
    with pytest.raises(GranuleError, match=rf"{path.name} states no time at time"):
        readers.submit(NLDAS_FORA0125_H_2_0, path).result()


def test_unexpected_error_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_):
        raise OverflowError("too large")

    monkeypatch.setattr(Product, "read", fail)
    with pytest.raises(GranuleError, match=r"^a\.nc cannot be read \(OverflowError: too large\)"):
        _read(_Request("NLDAS_FORA0125_H", "2.0", tmp_path / "a.nc", None, None), 10.0, tmp_path)


def test_unused_readers_leave_no_folder(tmp_path, monkeypatch):
    """A run that is killed before its first granule has no process to remove it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Readers(1):
        assert list(tmp_path.iterdir()) == []


def test_reading_processes_end_with_their_run(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, time
            from msm.products.reader_pool import Readers

            if __name__ == "__main__":
                with Readers(1) as readers:
                    print(readers._pool.submit(os.getpid).result(), flush=True)
                    print(readers._folder, flush=True)
                    time.sleep(60)
            """
        )
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        reader = int(run.stdout.readline())
        folder = Path(run.stdout.readline().strip())
        assert folder.is_dir()
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _alive(reader) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(reader)
    assert not folder.exists()


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
