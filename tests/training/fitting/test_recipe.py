from pathlib import Path

import pytest

from msm.training.fitting.recipe import FOLDER, RecipeError, read_recipe
from tests.training.buckets import RECIPE


def _written(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text)
    return path


def test_a_recipe_and_its_text(tmp_path: Path):
    written = read_recipe(_written(tmp_path, RECIPE))
    assert written.text == RECIPE
    assert list(written.recipe.streams) == ["ground", "satellite"]
    other = read_recipe(_written(tmp_path, RECIPE.replace("seed = 5", "seed = 6")))
    assert other.sha256 != written.sha256


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_of_msm_are_found_by_name(path: Path):
    written = read_recipe(Path(path.stem))
    assert written.recipe.name == path.stem


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("steps = 150", "steps = 0"), "steps: Input should be greater than 0"),
        (("steps = 150", "step = 150"), "some.toml, step"),
        (("[satellite]", "[radar]"), "radar: Extra inputs"),
        (("seed = 5", "seed = five"), "is not TOML"),
        (
            ('optional = ["longwave_down"]', 'optional = ["rain"]'),
            "optional 'rain' is not an input",
        ),
        (("warm_up_days = 20", "warm_up_days = 60"), "warm_up_days must be fewer"),
        (('published = "ground"', 'published = "air"'), "published: Input should be 'ground' or"),
    ],
)
def test_a_bad_recipe_is_refused(tmp_path: Path, change: tuple[str, str], sentence: str):
    with pytest.raises(RecipeError, match=sentence):
        read_recipe(_written(tmp_path, RECIPE.replace(*change)))


def test_the_published_measurement_needs_a_stream(tmp_path: Path):
    without = RECIPE[: RECIPE.index("[ground]")] + RECIPE[RECIPE.index("[satellite]") :]
    with pytest.raises(RecipeError, match=r"published is 'ground', but there is no \[ground\]"):
        read_recipe(_written(tmp_path, without))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"none\.toml cannot be read .* one of .*multiscale"):
        read_recipe(Path("none"))
