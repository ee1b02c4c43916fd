from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from msm.archive import netcdf, quicklook, store
from msm.archive.canary import SIGNATURE
from msm.archive.naming import domain_label, map_path
from msm.archive.validate import CHECKSUMS, sha256_of_file, validate
from msm.errors import MsmError
from tests.archive.conftest import BOX, make_assessment

DAY = date(2016, 4, 1)
STEPS = 40
"""More than the renames and flushes of one publication."""


def content(path: Path) -> dict:
    """Return what makes two files the same: data variables, flags and fingerprint."""
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        return {name: v[...].tobytes() for name, v in dataset.variables.items()} | {
            "fingerprint": dataset.fingerprint,
            "revision": int(dataset.product_revision),
        }


def assert_consistent(archive: Path, domain: str) -> None:
    """Every published day is complete, and every side-car agrees with the files."""
    folder = archive / domain_label(domain)
    days = store.published_days(archive, domain)
    changes = [json.loads(line) for line in (folder / "changes.jsonl").read_text().splitlines()]
    for day in days:
        path = map_path(archive, domain, day)
        record = store.read_item(archive, domain, day)
        assert validate(path) == []
        assert record is not None
        assert record.sha256 == sha256_of_file(path)
        assert record.picture_sha256 == sha256_of_file(record.picture)
        assert quicklook.drawn_from(record.picture) == record.sha256
        assert record.fingerprint == netcdf.read_header(path).lineage.fingerprint
        assert [c["sha256"] for c in changes].count(record.sha256) == 1
        sums = (path.parent / "SHA256SUMS").read_text().splitlines()
        assert f"{record.sha256}  {path.name}" in sums
        assert f"{record.picture_sha256}  {record.picture.name}" in sums
        links = json.loads((path.parent / "catalog.json").read_text())["links"]
        assert f"./{path.stem}.json" in [link["href"] for link in links]
    latest = json.loads((folder / "latest.json").read_text())
    assert latest["day"] == str(days[-1])
    assert latest["sha256"] == sha256_of_file(folder / latest["file"])
    assert not list(archive.rglob(".*.tmp"))


def in_background(work, *arguments):
    """Start something in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def in_child(work, *arguments) -> int:
    """Run something in a forked process and return its exit code."""
    process = in_background(work, *arguments)
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def publish_and_die(archive, daily_map, step, after):
    """Publish, and kill this process at one rename, flush or small write.

    A rename or flush is cut off before or after it happens, a write in its middle.
    """
    seen = 0

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly(call):
        def wrapped(*arguments):
            nonlocal seen
            seen += 1
            if seen == step and not after:
                die()
            call(*arguments)
            if seen == step:
                die()

        return wrapped

    write_bytes = Path.write_bytes

    def half_write(path, content):
        nonlocal seen
        seen += 1
        if seen == step:
            write_bytes(path, content[: len(content) // 2])
            die()
        return write_bytes(path, content)

    os.replace, os.fsync, Path.write_bytes = deadly(os.replace), deadly(os.fsync), half_write
    store.publish(archive, daily_map)
    os._exit(0)


def assert_nothing_half(archive: Path) -> None:
    """Every visible file is complete."""
    for path in archive.rglob("[!.]*"):
        if path.suffix == ".json":
            assert json.loads(path.read_text()), path
        elif path.suffix == ".png":
            assert quicklook.drawn_from(path), path
        elif path.suffix == ".nc":
            assert content(path), path
        elif path.name == "SHA256SUMS":
            assert path.read_text().endswith("\n"), path


@pytest.fixture
def plain_pictures(monkeypatch):
    """Draw a plain square: the steps are under test, and hundreds of pictures take minutes."""

    def draw(source, target, sha256):
        assert source.is_file()
        image = Image.new("RGB", (8, 8))
        text = PngInfo()
        text.add_text(quicklook.SOURCE_KEY, sha256)
        image.save(target, "png", pnginfo=text)

    monkeypatch.setattr(quicklook, "draw", draw)


def test_a_publication_creates_all_files_of_a_day(tmp_path, make_map, domain):
    published = store.publish(tmp_path, make_map(DAY))
    assert published.changed
    assert (published.revision, published.replaced_sha256) == (1, None)
    assert published.day == DAY
    assert_consistent(tmp_path, domain.name)
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} == {
        ".lock",
        "catalog.json",
        "box_41N_47N_90W_84W/.lock",
        "box_41N_47N_90W_84W/.writing",
        "box_41N_47N_90W_84W/changes.jsonl",
        "box_41N_47N_90W_84W/collection.json",
        "box_41N_47N_90W_84W/latest.json",
        "box_41N_47N_90W_84W/2016/04/SHA256SUMS",
        "box_41N_47N_90W_84W/2016/04/catalog.json",
        *(
            f"box_41N_47N_90W_84W/2016/04/MSM-SM-D-M09-box_41N_47N_90W_84W-20160401-v1.1.{s}"
            for s in ("nc", "json", "png")
        ),
    }


def test_the_same_fingerprint_changes_nothing(tmp_path, make_map):
    first = store.publish(tmp_path, make_map(DAY))
    before = {
        p: (p.read_bytes(), p.stat().st_mtime_ns)
        for p in tmp_path.rglob("*.*")
        if p.is_file() and p.name != ".lock"
    }
    again = store.publish(tmp_path, make_map(DAY))
    assert not again.changed
    assert again.sha256 == first.sha256
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before}


def test_a_replacement_states_its_revision_and_the_replaced_file(tmp_path, make_map, domain):
    first = store.publish(tmp_path, make_map(DAY, seed=0))
    second = store.publish(tmp_path, make_map(DAY, seed=1))
    assert second.changed
    assert (second.revision, second.replaced_sha256) == (2, first.sha256)
    with netCDF4.Dataset(second.path) as dataset:
        assert dataset.product_revision == 2
        assert dataset.replaces_sha256 == first.sha256
    changes = (second.path.parents[2] / "changes.jsonl").read_text().splitlines()
    assert [json.loads(c)["replaces"] for c in changes] == [None, first.sha256]
    assert_consistent(tmp_path, domain.name)


def test_a_final_map_is_not_replaced_by_a_provisional_one(tmp_path, make_map, domain):
    final = store.publish(tmp_path, make_map(DAY, status="final"))
    with pytest.raises(store.PublishRefused, match="not replaced by a provisional map"):
        store.publish(tmp_path, make_map(DAY, seed=1, status="provisional"))
    assert store.read_item(tmp_path, domain.name, DAY).sha256 == final.sha256
    assert_consistent(tmp_path, domain.name)


def test_a_provisional_map_becomes_final_with_the_same_values(tmp_path, make_map):
    store.publish(tmp_path, make_map(DAY, status="provisional"))
    final = store.publish(tmp_path, make_map(DAY, status="final"))
    assert (final.changed, final.status, final.revision) == (True, "final", 2)
    late = store.publish(tmp_path, make_map(DAY, status="provisional"))
    assert (late.changed, late.status) == (False, "final")


def test_latest_never_moves_back(tmp_path, make_map, domain):
    for day in (date(2016, 4, 30), date(2016, 5, 1), date(2015, 12, 31)):
        store.publish(tmp_path, make_map(day, seed=day.toordinal()))
    latest = json.loads((tmp_path / "box_41N_47N_90W_84W" / "latest.json").read_text())
    assert latest["day"] == "2016-05-01"
    days = [date(2015, 12, 31), date(2016, 4, 30), date(2016, 5, 1)]
    assert store.published_days(tmp_path, domain.name) == days
    assert_consistent(tmp_path, domain.name)


@pytest.mark.fault("kill -9 at every step")
@pytest.mark.usefixtures("plain_pictures")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replacing", [False, True], ids=["first", "replacement"])
def test_killed_at_any_step_and_run_again(tmp_path, make_map, domain, replacing, after):
    """After kill -9 at any rename or flush the same call gives the same file, never half of it."""
    daily_map = make_map(DAY, seed=7)
    start, complete = tmp_path / "start", tmp_path / "complete"
    start.mkdir()
    earlier = store.publish(start, make_map(DAY, seed=6)).sha256 if replacing else None
    shutil.copytree(start, complete)
    expected = content(store.publish(complete, daily_map).path)

    for step in range(1, STEPS):
        archive = tmp_path / f"killed-{step}"
        shutil.copytree(start, archive)
        code = in_child(publish_and_die, archive, daily_map, step, after)
        assert_nothing_half(archive)
        path = map_path(archive, domain.name, DAY)
        present = sha256_of_file(path) if path.exists() else None
        if code == 0:
            break
        assert code == -signal.SIGKILL
        published = store.publish(archive, daily_map)
        assert content(published.path) == expected, f"after a kill at step {step}"
        if present not in {None, earlier}:
            assert not published.changed, "a published file is not written again"
            assert published.sha256 == present
        assert_consistent(archive, domain.name)
    assert 12 < step < STEPS, "the publication was not killed at every step"


def test_a_day_without_its_sidecars_is_completed(tmp_path, make_map, domain):
    published = store.publish(tmp_path, make_map(DAY))
    for path in (published.item, published.picture, published.path.parent / "SHA256SUMS"):
        path.unlink()
    changes = published.path.parents[2] / "changes.jsonl"
    changes.write_text(changes.read_text()[:-20])
    again = store.publish(tmp_path, make_map(DAY))
    assert (again.changed, again.sha256) == (False, published.sha256)
    assert_consistent(tmp_path, domain.name)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def change_a_value(path):
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["soil_moisture"][0, 30, 0] = 0.123


@pytest.mark.parametrize(
    ("damage", "problems"),
    [(flip_a_byte, ["read"]), (change_a_value, ["is not the file that", "SHA256SUMS"])],
    ids=["unreadable", "readable"],
)
def test_a_damaged_file_is_found_and_replaced(tmp_path, make_map, domain, damage, problems):
    published = store.publish(tmp_path, make_map(DAY))
    damage(published.path)
    found = " ".join(validate(published.path))
    assert all(problem in found for problem in problems)
    repaired = store.publish(tmp_path, make_map(DAY, status="provisional"))
    assert (repaired.changed, repaired.revision) == (True, 2)
    assert repaired.replaced_sha256 == published.sha256
    assert_consistent(tmp_path, domain.name)


def publish_on_a_full_disk(archive, daily_map, limit, sentence):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        store.publish(archive, daily_map)
    except MsmError as error:
        os._exit(3 if re.search(sentence, str(error)) else 4)
    os._exit(0)


@pytest.mark.fault("disk full while publishing")
@pytest.mark.parametrize("limit", [0, 4_000, 60_000], ids=lambda n: f"{n} bytes")
def test_a_full_disk_leaves_the_published_map(tmp_path, make_map, domain, sentence, limit):
    """A write that stops half-way, as on a full disk, publishes and removes nothing."""
    store.publish(tmp_path, make_map(DAY, seed=0))
    before = content(map_path(tmp_path, domain.name, DAY))
    newer = make_map(DAY, seed=1)
    assert in_child(publish_on_a_full_disk, tmp_path, newer, limit, sentence) == 3
    assert content(map_path(tmp_path, domain.name, DAY)) == before
    assert_consistent(tmp_path, domain.name)


def publish_many(archive, maps):
    for daily_map in maps:
        store.publish(archive, daily_map)


@pytest.mark.usefixtures("plain_pictures")
def test_two_processes_publish_the_same_days_at_once(tmp_path, make_map, domain):
    days = [date(2016, 4, n) for n in range(1, 5)]
    maps = [make_map(day, seed=day.day) for day in days]
    runs = [in_background(publish_many, tmp_path, order) for order in (maps, maps[::-1])]
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    assert store.published_days(tmp_path, domain.name) == days
    changes = (tmp_path / "box_41N_47N_90W_84W" / "changes.jsonl").read_text().splitlines()
    assert len(changes) == len(days)
    assert_consistent(tmp_path, domain.name)


@pytest.fixture
def still_clock(monkeypatch):
    """Stop the clock, so that the same map gives the same bytes."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2016, 6, 1, tzinfo=tz)

    monkeypatch.setattr(netcdf, "datetime", Clock)


def archived(archive: Path) -> dict[str, bytes | list[str]]:
    """Return the content of all visible files of an archive, changes sorted."""
    files = [p for p in archive.rglob("[!.]*") if p.is_file()]
    return {
        p.relative_to(archive).as_posix(): (
            sorted(p.read_text().splitlines()) if p.suffix == ".jsonl" else p.read_bytes()
        )
        for p in files
    }


@pytest.mark.usefixtures("plain_pictures", "still_clock")
def test_many_processes_write_the_same_archive_as_one(tmp_path, make_map, domain):
    days = [date(2016, 4, 25) + timedelta(days=n) for n in range(12)]
    maps = [make_map(day, seed=day.day) for day in days]
    publish_many(tmp_path / "one", maps)
    runs = [in_background(publish_many, tmp_path / "many", maps[n::4][::-1]) for n in range(4)]
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    assert archived(tmp_path / "many") == archived(tmp_path / "one")
    assert_consistent(tmp_path / "many", domain.name)


def publish_and_stop(archive, daily_map):
    """Publish, and stop this process when it has written its file for the first time."""
    write, stopped = netcdf.write, False

    def write_and_stop(*arguments):
        nonlocal stopped
        write(*arguments)
        if not stopped:
            stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)

    netcdf.write = write_and_stop
    try:
        store.publish(archive, daily_map)
    except store.PublishRefused:
        os._exit(5)


@pytest.fixture
def stopped(tmp_path):
    """``stopped(daily_map)``: a process that publishes it, stopped inside its write."""
    processes = []

    def stop(daily_map):
        process = in_background(publish_and_stop, tmp_path, daily_map)
        processes.append(process)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return process

    yield stop
    for process in processes:
        process.kill()
        process.join()


def finish(process) -> int | None:
    """Continue a stopped process to its end, and return its exit code."""
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    return process.exitcode


@pytest.mark.usefixtures("plain_pictures")
def test_a_day_is_published_while_another_is_written(tmp_path, make_map, domain, stopped):
    writing = stopped(make_map(DAY))
    month = map_path(tmp_path, domain.name, DAY).parent
    (half,) = month.glob(".*.tmp")
    leftover = month / ".0.nc.tmp"
    leftover.write_bytes(b"half a file")

    later = make_map(date(2016, 4, 2), seed=1)
    assert in_child(publish_many, tmp_path, [later]) == 0
    assert store.published_days(tmp_path, domain.name) == [later.day]
    assert half.exists(), "a file that a living process writes is kept"

    assert finish(writing) == 0
    assert not store.publish(tmp_path, later).changed
    assert not leftover.exists(), "no process writes any more"
    assert store.published_days(tmp_path, domain.name) == [DAY, later.day]
    assert_consistent(tmp_path, domain.name)


@pytest.mark.usefixtures("plain_pictures")
def test_files_of_a_process_killed_while_it_wrote_are_removed(tmp_path, make_map, domain, stopped):
    writing = stopped(make_map(DAY))
    writing.kill()
    writing.join()
    assert list(tmp_path.rglob(".*.tmp"))
    store.publish(tmp_path, make_map(date(2016, 4, 2), seed=1))
    assert_consistent(tmp_path, domain.name)


@pytest.mark.fault("two runs publish one day")
@pytest.mark.usefixtures("plain_pictures")
@pytest.mark.parametrize("both_stopped", [False, True], ids=["one after the other", "together"])
def test_two_processes_publish_different_values_for_one_day(
    tmp_path, make_map, domain, stopped, both_stopped
):
    slow, fast = make_map(DAY, seed=1), make_map(DAY, seed=2)
    writing = stopped(slow)
    if both_stopped:
        other = stopped(fast)
        os.kill(writing.pid, signal.SIGCONT)
        assert finish(other) == 0
    else:
        assert in_child(publish_many, tmp_path, [fast]) == 0
    assert finish(writing) == 0

    record = store.read_item(tmp_path, domain.name, DAY)
    changes = (tmp_path / "box_41N_47N_90W_84W" / "changes.jsonl").read_text().splitlines()
    first, second = map(json.loads, changes)
    assert (first["revision"], first["replaces"]) == (1, None)
    assert (second["revision"], second["replaces"]) == (2, first["sha256"])
    assert (record.revision, record.sha256) == (2, second["sha256"])
    fingerprints = {slow.lineage.fingerprint, fast.lineage.fingerprint}
    assert {first["fingerprint"], second["fingerprint"]} == fingerprints
    if not both_stopped:
        assert record.fingerprint == slow.lineage.fingerprint
    assert_consistent(tmp_path, domain.name)


@pytest.mark.fault("two runs publish one day")
@pytest.mark.usefixtures("plain_pictures")
def test_two_processes_publish_the_same_map(tmp_path, make_map, domain, stopped):
    writing = stopped(make_map(DAY))
    first = store.publish(tmp_path, make_map(DAY))
    assert finish(writing) == 0
    record = store.read_item(tmp_path, domain.name, DAY)
    assert (record.revision, record.sha256) == (1, first.sha256)
    assert_consistent(tmp_path, domain.name)


@pytest.mark.usefixtures("plain_pictures")
def test_a_day_that_becomes_final_while_a_provisional_map_is_written(
    tmp_path, make_map, domain, stopped
):
    writing = stopped(make_map(DAY, seed=1, status="provisional"))
    final = store.publish(tmp_path, make_map(DAY))
    assert finish(writing) == 5
    assert store.read_item(tmp_path, domain.name, DAY).sha256 == final.sha256
    assert_consistent(tmp_path, domain.name)


def test_a_map_that_fails_its_own_check_is_not_published(tmp_path, make_map, domain):
    nothing = make_map(DAY)
    nothing.soil_moisture[:] = np.nan
    with pytest.raises(MsmError, match="soil_moisture holds no value at all"):
        store.publish(tmp_path, nothing)
    assert store.published_days(tmp_path, domain.name) == []
    assert not list(tmp_path.rglob(".*.tmp"))
    assert not list(tmp_path.rglob("*.nc"))


@pytest.fixture
def work(monkeypatch):
    """Two counters that grow: NetCDF files hashed, and STAC items parsed."""
    hashed, parsed = Counter(), Counter()
    file_digest, loads = hashlib.file_digest, json.loads

    def count_hashed(file, algorithm):
        if file.peek().startswith(SIGNATURE):
            hashed[Path(file.name).name] += 1
        return file_digest(file, algorithm)

    def count_parsed(text):
        document = loads(text)
        if "msm:lineage" in document.get("properties", ()):
            parsed[document["id"]] += 1
        return document

    monkeypatch.setattr(hashlib, "file_digest", count_hashed)
    monkeypatch.setattr(json, "loads", count_parsed)
    return hashed, parsed


@pytest.mark.usefixtures("plain_pictures")
def test_a_publication_hashes_its_file_once_and_reads_few_items(tmp_path, make_map, work):
    hashed, parsed = work
    days = [date(2016, 4, 10) + timedelta(days=n) for n in range(14)]
    for n, day in enumerate(days):
        hashed.clear(), parsed.clear()
        store.publish(tmp_path, make_map(day, seed=n), make_assessment(day))
        assert (hashed.total(), parsed.total()) == (1, 0)
    hashed.clear()
    store.publish(tmp_path, make_map(DAY, seed=99))
    assert (hashed.total(), parsed.total()) == (1, 1), "the newest day's item names the latest"
    hashed.clear(), parsed.clear()
    old = store.publish(tmp_path, make_map(days[3], seed=100))
    assert old.revision == 2
    assert sorted(hashed.values()) == [1, 1], "the old file and the new one"
    assert parsed.total() <= 3

    hashed.clear(), parsed.clear()
    assessed = store.assess(tmp_path, BOX, [make_assessment(day, mean=0.3) for day in days])
    assert [day.day for day in assessed] == days
    assert hashed == {day.path.name: 1 for day in assessed}
    assert parsed.keys() <= {day.item.stem for day in assessed}
    assert max(parsed.values()) == 1
    assert_consistent(tmp_path, BOX)


def test_a_damaged_file_is_not_assessed(tmp_path, make_map, caplog):
    """Its item would state the checksum of the damaged bytes."""
    days = [DAY, date(2016, 4, 2)]
    first, second = (store.publish(tmp_path, make_map(day, seed=day.day)) for day in days)
    change_a_value(first.path)
    (assessed,) = store.assess(tmp_path, BOX, map(make_assessment, days))
    assert (assessed.day, assessed.verdict) == (days[1], "good")
    assert f"{first.path} is damaged" in caplog.text
    assert store.read_item(tmp_path, BOX, DAY).sha256 == first.sha256
    assert second.sha256 == assessed.sha256
    assert store.publish(tmp_path, make_map(DAY, seed=1)).revision == 2
    assert_consistent(tmp_path, BOX)


@pytest.mark.usefixtures("plain_pictures")
def test_checksums_that_are_missing_or_damaged_are_written_again(tmp_path, make_map):
    for n in range(3):
        sums = store.publish(tmp_path, make_map(date(2016, 4, 1 + n), seed=n)).path.parent
    sums = sums / CHECKSUMS
    lines = sums.read_text().splitlines()
    for damaged in (b"", b"\xff\x00", "\n".join(lines)[:-9].encode(), lines[2].encode() + b"\n"):
        sums.write_bytes(damaged)
        store.publish(tmp_path, make_map(date(2016, 4, 1)))
        assert sums.read_text().splitlines() == lines
    sums.unlink()
    store.publish(tmp_path, make_map(date(2016, 4, 1)))
    assert sums.read_text().splitlines() == lines
