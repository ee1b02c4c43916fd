"""A file of the work folder or of the archive is damaged: what `msm daily` makes of it."""

import json
import os
import re
from datetime import UTC, datetime

import h5py
import pytest

from msm.archive.assessment import assessment_path
from msm.archive.naming import domain_folder, map_path
from msm.archive.sidecars import CATALOG, COLLECTION, LATEST
from msm.archive.validate import CHECKSUMS
from msm.fields import cell_fields
from msm.operations.scheduled_run import scheduled_run
from msm.pipeline.chains import open_chain, prediction_path
from msm.pipeline.run import Run
from tests.made_up import files
from tests.site_fixture import BOX, MADE, NEXT, NOW


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def change(path):
    with h5py.File(path, "a") as file:
        file["soil_moisture"][0] = 0.123


def chain(run):
    return open_chain(run, NEXT)


def in_archive(name):
    return lambda run: domain_folder(run.settings.archive, BOX) / name


def map_of(run):
    return map_path(run.settings.archive, BOX, MADE)


def assessment(run):
    return assessment_path(map_of(run))


def prediction(run):
    return prediction_path(chain(run), MADE)


def case(fault, where, damage=cut):
    return pytest.param(where, damage, id=fault.args[0], marks=fault)


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        case(pytest.mark.fault("corrupt forcing"), lambda run: run.workspace.forcing(MADE)),
        case(pytest.mark.fault("corrupt snapshot"), lambda run: chain(run).path(MADE)),
        case(pytest.mark.fault("corrupt snapshot"), lambda run: chain(run).path(MADE), flip),
        case(
            pytest.mark.fault("corrupt record of a day"), lambda run: chain(run).record_path(MADE)
        ),
        *(
            case(pytest.mark.fault("corrupt catalogue"), in_archive(name))
            for name in (COLLECTION, LATEST, f"{MADE:%Y/%m}/{CATALOG}", f"{MADE:%Y/%m}/{CHECKSUMS}")
        ),
    ],
)
def test_the_next_run_heals(run, wanted, msm, sentence, where, damage):
    path = where(run)
    damage(path)
    status, said = msm(run.settings, "daily", "--date", NEXT)
    assert status == 0, said
    assert re.search(sentence, said)
    assert not sentence or str(path) in said
    assert files(run) == wanted
    assert path.suffix != ".json" or json.loads(path.read_text())
    assert path.name != CHECKSUMS or len(path.read_text().splitlines()) == 4


@pytest.mark.fault("corrupt forcing")
def test_forcing_whose_values_are_damaged(run, msm, sentence):
    """Its label is whole: it is found by who reads it."""
    before = files(run)
    forcing = run.workspace.forcing(MADE)
    with h5py.File(forcing, "a") as file:
        file["precipitation"][0] += 1.0
    status, said = msm(run.settings, "daily", "--date", MADE)
    assert status == 0, said
    assert re.search(sentence, said)
    assert files(run) == before
    assert cell_fields.read(forcing, run.domain)


@pytest.mark.fault("corrupt forcing")
def test_a_scheduled_run_is_not_stopped_by_damaged_forcing(run, wanted, sentence, caplog):
    cut(run.workspace.forcing(MADE))
    near = run.settings.model_copy(update={"window_days": 2, "deep_days": 2})
    found = scheduled_run(Run(near, run.readers), datetime(2016, 6, 8, 12, tzinfo=UTC))
    assert re.search(sentence, caplog.text)
    assert found.alarms == []
    assert files(run) == wanted


@pytest.mark.parametrize(
    ("where", "damage"),
    [
        case(pytest.mark.fault("corrupt statics"), lambda run: run.workspace.statics),
        case(pytest.mark.fault("corrupt prediction"), prediction),
        case(pytest.mark.fault("corrupt assessment"), assessment),
        case(pytest.mark.fault("corrupt STAC item"), lambda run: map_of(run).with_suffix(".json")),
    ],
)
def test_what_is_to_be_removed_is_named_and_made_anew(run, msm, sentence, where, damage):
    path, before = where(run), files(run)
    damage(path)
    status, said = msm(run.settings, "daily", "--date", MADE)
    assert status == 1
    assert re.search(sentence, said), said
    assert str(path) in said
    assert "Traceback" not in said
    path.unlink()
    assert msm(run.settings, "daily", "--date", MADE)[0] == 0
    assert path.exists()
    assert files(run) == before


@pytest.mark.fault("corrupt note of the days")
def test_a_note_of_the_days_is_made_anew_when_it_is_removed(run, msm, sentence):
    scheduled_run(run, NOW)
    before = files(run)
    (path,) = (run.settings.work / "days").glob("*-look.json")
    cut(path)
    status, said = msm(run.settings, "status")
    assert status == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    path.unlink()
    scheduled_run(run, NOW)
    assert path.exists()
    assert msm(run.settings, "status")[0] == 0
    assert files(run) == before


@pytest.mark.fault("corrupt root of a chain")
def test_a_chain_whose_root_is_damaged_is_not_left_without_a_word(run, wanted, msm, sentence):
    path = chain(run).folder / "chain.json"
    copy = path.read_bytes()
    cut(path)
    status, said = msm(run.settings, "daily", "--date", NEXT)
    assert status == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    path.write_bytes(copy)
    assert msm(run.settings, "daily", "--date", NEXT)[0] == 0
    assert files(run) == wanted


@pytest.mark.fault("corrupt published file")
@pytest.mark.parametrize("damage", [cut, flip, change])
def test_a_published_file_is_found_by_validate_and_published_anew(run, msm, sentence, damage):
    before = files(run)
    path = map_of(run)
    damage(path)
    status, said = msm(run.settings, "validate", path)
    assert status == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert msm(run.settings, "daily", "--date", MADE)[0] == 0
    assert msm(run.settings, "validate", path)[0] == 0
    assert files(run) == before
