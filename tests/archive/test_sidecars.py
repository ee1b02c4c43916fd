import json
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from msm.archive import sidecars, store
from msm.archive.sidecars import PublishedDay, append_change, is_listed, read_published
from msm.errors import MsmError


def published_day(archive: Path, day: date) -> PublishedDay:
    path = archive / f"{day:%Y}/{day:%m}/{day}.nc"
    return PublishedDay(
        day=day,
        path=path,
        item=path.with_suffix(".json"),
        picture=path.with_suffix(".png"),
        picture_sha256=f"{1:064x}",
        sha256=f"{day.toordinal():064x}",
        size=1,
        status="final",
        revision=2,
        replaced_sha256=f"{day.toordinal() + 1:064x}",
        fingerprint=f"{2:064x}",
        created=datetime(2016, 5, 1, tzinfo=UTC),
        chain_id="0" * 12,
        checkpoint="first 1",
        verdict=None,
    )


def test_a_change_is_a_line(tmp_path):
    changes, days = tmp_path / "changes.jsonl", [date(2016, 4, n) for n in range(1, 4)]
    for day in days:
        append_change(changes, published_day(tmp_path, day))
    assert [json.loads(line)["day"] for line in changes.open()] == [str(day) for day in days]
    assert is_listed(changes, published_day(tmp_path, days[0]).sha256)
    assert not is_listed(changes, published_day(tmp_path, days[-1]).replaced_sha256)


@pytest.mark.parametrize("lines", [0, 1, 300], ids=lambda n: f"{n} lines before")
def test_a_torn_line_is_written_again(tmp_path, lines):
    """A run killed while it writes leaves part of a line; the next run overwrites it."""
    changes, torn = tmp_path / "changes.jsonl", published_day(tmp_path, date(2016, 4, 1))
    for n in range(lines):
        append_change(changes, published_day(tmp_path, date.fromordinal(n + 1)))
    complete = changes.read_text() if lines else ""
    append_change(changes, torn)
    changes.write_text(changes.read_text()[:-1])
    assert not is_listed(changes, torn.sha256)
    append_change(changes, torn)
    assert is_listed(changes, torn.sha256)
    assert changes.read_text().startswith(complete)
    assert len(changes.read_text().splitlines()) == lines + 1


def test_an_earlier_month_or_day_moves_the_start_of_the_collection(tmp_path, make_map):
    starts, months = [], []
    for day in (date(2016, 5, 7), date(2016, 5, 3), date(2016, 5, 4), date(2016, 4, 30)):
        published = store.publish(tmp_path, make_map(day, seed=day.day))
        collection = json.loads((published.path.parents[2] / sidecars.COLLECTION).read_text())
        starts.append(collection["extent"]["temporal"]["interval"][0][0][:10])
        months.append([link["href"] for link in collection["links"] if link["rel"] == "child"])
    assert starts == ["2016-05-07", "2016-05-03", "2016-05-03", "2016-04-30"]
    assert months[2] == ["./2016/05/catalog.json"]
    assert months[3] == ["./2016/04/catalog.json", "./2016/05/catalog.json"]


def test_a_collection_of_an_older_version_is_built_again(tmp_path, make_map):
    collection = store.publish(tmp_path, make_map()).path.parents[2] / "collection.json"
    current = collection.read_text()
    older = json.loads(current)
    older["summaries"]["msm:product_version"] = ["1.0"]
    del older["cube:variables"]["soil_moisture_epistemic_uncertainty"]
    collection.write_text(json.dumps(older))
    store.publish(tmp_path, make_map(date(2016, 4, 2), seed=1))
    assert collection.read_text() == current


def opened_while(work) -> set[Path]:
    """Return the files and folders that a child process opens while it does something."""
    read_end, write_end = os.pipe()
    if not (child := os.fork()):
        paths: list[str] = []

        def note(event, arguments):
            if event in {"open", "os.listdir", "os.scandir"}:
                paths.append(os.fspath(arguments[0]) if not isinstance(arguments[0], int) else "")

        sys.addaudithook(note)
        work()
        os.write(write_end, "\n".join(str(path) for path in paths).encode()[-60_000:])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as report:
        opened = {Path(line) for line in report.read().splitlines()}
    assert os.waitpid(child, 0)[1] == 0
    return opened


def test_a_publication_opens_no_file_of_other_months(tmp_path, make_map):
    months = [(2015, 12), (2016, 1), (2016, 2), (2016, 3), (2016, 4)]
    days = [date(*month, 10) for month in months]
    folders = [store.publish(tmp_path, make_map(d, seed=d.month)).path.parent for d in days]
    opened = opened_while(lambda: store.publish(tmp_path, make_map(date(2016, 3, 11), seed=99)))
    assert any(path.parent == folders[3] for path in opened)
    for other in folders[:3]:
        assert not any(path == other or other in path.parents for path in opened), other


def test_a_document_that_is_not_an_item_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(MsmError, match="is not a STAC item of msm"):
        read_published(tmp_path / "a.json")
