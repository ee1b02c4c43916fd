import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime

import h5py
import numpy as np
import pytest
import xarray as xr

from msm.archive import netcdf
from msm.archive.assessment import read_assessment
from msm.archive.naming import map_path
from msm.archive.validate import validate
from msm.errors import MsmError
from msm.operations.daily import daily
from msm.pipeline.assess import assess_published
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.model_inputs import stored_forcing
from msm.pipeline.run import Run
from tests.site_fixture import DAYS, NOW

pytestmark = pytest.mark.long

LAST = DAYS[-1]


@pytest.fixture
def make(readers):
    """Make a day as `msm daily` does, with reading processes that serve all tests."""

    def run(settings, day=LAST, now=NOW, **changes):
        return daily(Run(settings.model_copy(update=changes), readers), day, now)

    return run


def content(path):
    """What makes two files the same file: data, flags, fingerprint."""
    with xr.open_dataset(path, mask_and_scale=False) as dataset:
        return {name: dataset[name].values for name in ("soil_moisture", "quality_flag")} | {
            "fingerprint": dataset.attrs["fingerprint"]
        }


def assert_same_file(first, second):
    one, other = content(first), content(second)
    assert one["fingerprint"] == other["fingerprint"]
    np.testing.assert_array_equal(one["soil_moisture"], other["soil_moisture"])
    np.testing.assert_array_equal(one["quality_flag"], other["quality_flag"])


def test_a_day_from_earthdata_to_the_archive(online, fresh_sandbox, make):
    published = make(online)
    assert published.changed
    assert validate(published.path) == []
    with xr.open_dataset(published.path) as dataset:
        values = dataset.soil_moisture.values
        # Nobody shall take what the sandbox made for a measurement.
        assert dataset.attrs["title"].endswith("(provisional, simulated inputs)")
    assert np.isfinite(values).sum() > 100
    assert 0 < np.nanmin(values) < np.nanmax(values) < 0.7
    asked = len(fresh_sandbox.requests())
    again = make(online)
    assert not again.changed
    assert again.sha256 == published.sha256
    # What is stored is never fetched again.
    assert len(fresh_sandbox.requests()) == asked


def test_the_lineage_names_every_granule(settings, make):
    published = make(settings)
    with xr.open_dataset(published.path) as dataset:
        lineage = dataset.attrs["input_granules"]
        assert dataset.attrs["title"].endswith("(provisional)")
    assert lineage.count("NLDAS_FORA0125_H.A20160603") == 24
    assert "NLDAS_FORA0125_H.A20160604.0000.020.nc" in lineage
    assert "SMAP_L4_SM_lmc_00000000T000000" in lineage


def test_a_folder_of_granules_gives_the_same_file_as_earthdata(online, settings, make):
    assert_same_file(make(online).path, make(settings, spin_up_days=0).path)


def test_day_by_day_and_in_one_go_is_the_same_file(settings, tmp_path, make):
    for number, day in enumerate(DAYS):
        each = make(settings, day, spin_up_days=number, work=tmp_path / "each")
    whole = make(settings, work=tmp_path / "whole", archive=tmp_path / "other")
    assert_same_file(each.path, whole.path)


def test_the_last_hour_of_the_rain_is_in_the_next_day(online, fresh_sandbox, make, caplog):
    fresh_sandbox.withhold("NLDAS_FORA0125_H.A20160604.0000.020.nc")
    make(online)
    assert "NLDAS_FORA0125_H 2.0 of 2016-06-03 is missing 1 of 25" in caplog.text
    assert "2016-06-04T00Z" in caplog.text


@pytest.mark.fault("SMAP missing")
def test_a_missing_retrieval_never_stops_a_map(online, fresh_sandbox, make, readers):
    granule = "SMAP_L3_SM_P_E_20160603_R19240_001.h5"
    fresh_sandbox.withhold(granule)
    published = make(online)
    assert published.changed
    run = Run(online, readers)
    assert assess_published(run, [LAST], [], SerialExecutor(run)) == []
    assert read_assessment(published.path).satellite is None
    fresh_sandbox.reset()
    assert assess_published(run, [LAST], [], SerialExecutor(run)) == [LAST]
    seen = read_assessment(published.path)
    assert (seen.satellite_granule, seen.satellite.cells > 0) == (granule, True)


def test_stored_forcing_is_the_mean_of_its_hours(settings, cache, readers):
    run = Run(settings, readers)
    forcing = stored_forcing(run, LAST)
    lat, lon = run.domain.lat, run.domain.lon
    hours = [f"20160603.{hour:02}" for hour in range(24)]
    after = [*hours[1:], "20160604.00"]
    folder = cache / "NLDAS_FORA0125_H.2.0"

    def read(name, stamps):
        fields = []
        for stamp in stamps:
            with h5py.File(folder / f"NLDAS_FORA0125_H.A{stamp}00.020.nc") as file:
                fields.append(file[name][0].astype(float))
        return np.mean(fields, axis=0)

    row = np.rint((lat - 25.0625) / 0.125).astype(int)
    col = np.rint((lon + 124.9375) / 0.125).astype(int)
    # A cell's mean lies between the source cells around it.
    for name, stored, stamps, factor in (
        ("Tair", "air_temperature", hours, 1),
        ("Rainf", "precipitation", after, 24),
    ):
        field = factor * read(name, stamps)
        around = np.stack([field[row + i, col + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        values = forcing.fields[stored]
        assert (values >= around.min(axis=0) - 1e-3).all()
        assert (values <= around.max(axis=0) + 1e-3).all()


def test_young_inputs_make_a_provisional_map_that_becomes_final(settings, make):
    assert make(settings, now=datetime(2016, 6, 8, tzinfo=UTC)).status == "provisional"
    later = make(settings, now=datetime(2016, 8, 1, tzinfo=UTC))
    assert later.status == "final"
    assert later.changed


def test_a_day_that_has_not_ended_is_refused(settings, make):
    with pytest.raises(MsmError, match=r"2016-06-20 has not ended .* ask for 2016-06-19"):
        make(settings, date(2016, 6, 20))


class Clock(datetime):
    """A clock that stands still, so that the same map gives the same bytes."""

    @classmethod
    def now(cls, tz=None):
        return NOW.astimezone(tz)


KILLED = textwrap.dedent(
    """
    import os, signal
    from datetime import UTC, date, datetime
    from msm.archive import netcdf
    from msm.operations.daily import daily
    from msm.pipeline.run import open_run
    from msm.settings import read_settings
    from tests.operations.test_daily import Clock

    netcdf.datetime = Clock

    def attempt(deadly):
        seen, rename = 0, os.replace

        def replace(source, target):
            nonlocal seen
            seen += 1
            if seen == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target)

        os.replace = replace
        with open_run(read_settings()) as run:
            daily(run, date(2016, 6, 3), datetime(2016, 6, 20, tzinfo=UTC))
        os._exit(0)

    if __name__ == "__main__":
        # Forked before anything ran, so that an attempt does not pay for the imports.
        for number in range(90):
            pid = os.fork()
            if pid == 0:
                # A prediction, its state and its record are one step of three renames.
                attempt(2 + number % 3)
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            if status == 0:
                break
            input()
    """
)


@pytest.mark.fault("kill -9 at every step")
def test_kill_minus_9_at_any_step_and_again_gives_the_same_file(
    settings, tmp_path, make, monkeypatch
):
    monkeypatch.setattr(netcdf, "datetime", Clock)
    reference = make(settings, work=tmp_path / "reference", archive=tmp_path / "untouched")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = os.environ | {
        "MSM_WORK": str(settings.work),
        "MSM_ARCHIVE": str(settings.archive),
        "MSM_DOMAIN": settings.domain,
        "MSM_MIRROR": str(settings.mirror),
        "MSM_SPIN_UP_DAYS": "2",
        "MSM_READERS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    # Every attempt gets a file or two into place and dies at the next, until all is done.
    command = [sys.executable, str(script)]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        outcomes = []
        for line in process.stdout:
            outcomes.append(int(line))
            for path in settings.archive.rglob("*.nc"):
                if not path.name.startswith("."):
                    assert validate(path) == []
            if outcomes[-1] != 0:
                process.stdin.write("go on\n")
                process.stdin.flush()
    assert outcomes[-1] == 0
    assert set(outcomes[:-1]) == {-signal.SIGKILL}
    # Statics, chain, three forcings, two states, three records, a prediction, the map, its picture
    # and item.
    assert len(outcomes) > 8
    made = map_path(settings.archive, settings.domain, LAST)
    assert made.read_bytes() == reference.path.read_bytes()
    assert not list(settings.archive.rglob(".*.tmp"))
