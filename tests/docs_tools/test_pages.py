"""The committed pages are what `make pages` writes, and they agree with their sources."""

import json
import re

import pytest

from docs_tools.accuracy import checkpoint_page, not_better
from docs_tools.inputs import product_page, real_files_page
from docs_tools.pages import REAL_FILES, pages, training_rows
from msm.model.checkpoint import WEIGHTS, Checkpoint, load_checkpoint, make_checkpoint
from msm.products.definitions import PRODUCTS
from msm.products.registry import product
from tests.conftest import ROOT
from tests.ensembles import ensemble_of

DOCS = ROOT / "docs"
ACCURACY = DOCS / "accuracy"


@pytest.fixture(scope="module")
def written():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return pages()


def rows(page, start):
    return [line for line in page.splitlines() if line.startswith(f"| {start} |")]


def test_pages_are_up_to_date(written):
    inputs = {f"inputs/{path.name}" for path in (DOCS / "inputs").iterdir()}
    assert inputs == {name for name in written if name.startswith("inputs/")} | {REAL_FILES}
    stale = [name for name, text in written.items() if (DOCS / name).read_text() != text]
    assert stale == [], "run: make pages"


def test_page_of_real_files_is_up_to_date(real_data):
    page = real_files_page(real_data / "granules")
    assert (DOCS / REAL_FILES).read_text() == page, "run: make pages"
    assert str(real_data) not in page


def test_pictures_of_the_pages_exist(written):
    lines = [line for text in written.values() for line in text.splitlines()]
    pictures = [line.split("](")[1].rstrip(")") for line in lines if line.startswith("![")]
    assert len(pictures) > 10
    assert [name for name in pictures if not (DOCS / name).is_file()] == []


def test_accuracy_is_that_of_the_files(written):
    page = written["accuracy.md"]
    result = json.loads((ACCURACY / "multiscale-folds.json").read_text())
    median = result["median"]
    assert f"| multiscale | 93 | {median['R']:.3f} | {median['R_anomaly']:.3f} |" in page
    hashes = (result[f"{name}_sha256"][:12] for name in ("recipe", "data", "code"))
    assert rows(page, "multiscale-folds")[-1] == f"| multiscale-folds | {' | '.join(hashes)} |"
    for pair in json.loads((ACCURACY / "compared-folds.json").read_text())["differences"]:
        row = rows(page, f"{pair['first']} minus {pair['second']}")[0]
        found = pair["figures"]["R"]
        assert f"{found['median']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]" in row


def test_worse_differs_from_not_significant():
    def pair(**intervals):
        figures = {
            figure: {"median": (low + high) / 2, "low": low, "high": high}
            for figure, (low, high) in intervals.items()
        }
        return {"first": "a", "second": "b", "figures": figures}

    assert list(not_better([pair(R=(0.01, 0.02), RMSE=(-0.02, -0.01))])) == []
    assert list(not_better([pair(R=(-0.02, -0.01), RMSE=(-0.01, 0.03), ubRMSE=(0.01, 0.02))])) == [
        "a compared with b: worse in R -0.015 [-0.020, -0.010], ubRMSE +0.0150 [+0.0100, +0.0200];"
        " not significant in RMSE +0.0100 [-0.0100, +0.0300]."
    ]


def test_worst_sites_of_the_checkpoint_come_first(written):
    listed = re.findall(r"^\| (\S+) \| fold \d", written["checkpoint.md"], re.MULTILINE)
    sites = json.loads((ACCURACY / "multiscale-folds.json").read_text())["sites"]
    assert listed == [site["name"] for site in sorted(sites, key=lambda site: site["R"])[:10]]


def random_checkpoint(**training) -> Checkpoint:
    """Return an ensemble of random weights with another training record."""
    made = ensemble_of(load_checkpoint(WEIGHTS / "first.json").card, members=2, hidden_size=8)
    record = made.card.training.model_copy(update=training)
    return make_checkpoint(made.card.model_copy(update={"training": record}), made.weights)


def test_page_of_a_checkpoint_without_cross_validation():
    checkpoint = random_checkpoint(
        stations=("XX_Site_1_N", "XX_Site_2_N"),
        cells=((40.0, -100.0),),
        recipe='name = "ensemble"\n',
    )
    page = checkpoint_page(checkpoint, ACCURACY)
    for spec in checkpoint.card.inputs:
        (row,) = rows(page, f"`{spec.name}`")
        assert row.endswith("yes |" if spec.optional else "no |")
    assert checkpoint.sha256 in page
    assert "2 of 8 LSTM units" in page
    assert "standard deviation of the error by 0.700" in page
    assert 'name = "ensemble"' in page
    assert "2 stations and 1 satellite cells" in page
    assert "no cross-validation of its recipe" in page
    assert "multiscale-folds" not in page


def test_page_of_a_checkpoint_of_the_satellite_alone():
    page = checkpoint_page(random_checkpoint(stations=()), ACCURACY)
    assert "trained on no station" in page
    assert "Level jumpers" not in page


@pytest.mark.parametrize("known", PRODUCTS, ids=lambda known: known.id)
def test_every_variable_of_a_product_is_described(known, written):
    assert f"[{known.id}](" in written["inputs/README.md"]
    page = product_page(known)
    for variable in known.layout.variables:
        line = next(row for row in page.splitlines() if f"`{variable.path}`" in row)
        assert ("real file: " in line) == variable.verified
        assert variable.source in line


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("SPL4SMGP", "008", "8, 01:30 to 22:30 UTC"),
        ("GLDAS_NOAH025_3H", "2.1", "9, 00:00 to 00:00 of the next day UTC"),
        ("M2T1NXRAD", "5.12.4", "one"),
        ("SPL2SMP_NRT", "107", "at no fixed times"),
    ],
)
def test_granules_of_a_day(name, version, expected):
    assert f"| granules per day | {expected} |" in product_page(product(name, version))


def test_training_on_a_gpu_has_its_own_rows():
    found = training_rows({"cpu": {"msm": {}}, "gpu": {"msm": {}}, "gpu name": "a GPU"})
    assert list(found) == ["msm", "msm, a GPU"]
