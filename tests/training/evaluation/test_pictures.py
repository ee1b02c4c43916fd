from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from PIL import Image

from msm.training.evaluation.crossval import Predicted, score
from msm.training.evaluation.pictures import best_median_worst, calibration_curve, draw, skill_map
from msm.training.split import Split
from tests.training.predictions import predicted


@pytest.fixture(scope="module")
def found() -> Predicted:
    return predicted()


def test_every_site_is_a_point_of_its_r(found: Predicted):
    result = score(found, Split.folds)
    axes = skill_map(found, result).axes[0]
    steady, jumpers = (c for c in axes.collections if isinstance(c, PathCollection))
    assert len(steady.get_offsets()) == 11
    assert len(jumpers.get_offsets()) == 1
    np.testing.assert_allclose(steady.get_array(), [s["R"] for s in result["sites"]][1:])
    assert "12 sites" in axes.get_title()
    assert f"{result['median']['R']:.2f}" in axes.get_title()


def test_a_site_without_a_figure_is_no_point(found: Predicted):
    result = score(found, Split.folds)
    result["sites"][3]["R"] = None
    assert "R at 11 sites" in skill_map(found, result).axes[0].get_title()


def test_series_are_of_the_best_the_median_and_the_worst_site(found: Predicted):
    result = score(found, Split.folds)
    ranked = sorted(result["sites"], key=lambda site: site["R"])
    panels = best_median_worst(found, result).axes
    for panel, rank, site in zip(
        panels, ("highest", "median", "lowest"), (ranked[-1], ranked[6], ranked[0]), strict=True
    ):
        assert panel.get_title("left") == (
            f"{rank} R: {site['name']} ({site['part']}), {site['R']:.2f}"
        )
    assert [line.get_label() for line in panels[0].lines] == ["predicted", "measured"]
    assert len(panels[0].lines[1].get_xdata()) == 730


def test_the_part_of_a_series_with_the_most_truth_is_shown(found: Predicted):
    truth = found.truth.copy()
    truth[:, :900] = np.nan
    gappy = replace(found, truth=truth)
    for panel in best_median_worst(gappy, score(gappy, Split.folds)).axes:
        assert panel.lines[1].get_xdata()[0] >= found.days[900 - 5].astype(object)


def test_a_true_uncertainty_lies_on_the_diagonal(found: Predicted):
    axes = calibration_curve(found).axes[0]
    level, share = axes.lines[1].get_data()
    np.testing.assert_allclose(share, level, atol=0.02)
    narrow = replace(found, uncertainty=found.uncertainty / 3)
    level, share = calibration_curve(narrow).axes[0].lines[1].get_data()
    assert (share < level).all()


def test_pictures_are_reproducible_and_show_scored_sites_only(found: Predicted, tmp_path):
    result = score(found, Split.folds)
    some = result | {"sites": result["sites"][:5], "n_sites": 5}
    first = draw(found, some, "made up, folds", tmp_path / "first")
    again = draw(found, some, "made up, folds", tmp_path / "again")
    assert [path.name for path in first] == [
        f"made-up-folds-{name}.png" for name in ("skill", "series", "calibration")
    ]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        with Image.open(one) as image:
            assert min(image.size) > 400
    assert draw(found, {"n_sites": 0, "sites": []}, "nothing", tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
