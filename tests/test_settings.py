import pytest

from msm.errors import MsmError
from msm.settings import Settings, read_settings


def test_arguments_come_before_environment_before_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "msm.toml").write_text('domain = "global"\nreaders = 3\nconnections = 4\n')
    monkeypatch.setenv("MSM_READERS", "5")
    settings = read_settings(connections=6, domain=None)
    assert (settings.domain, settings.readers, settings.connections) == ("global", 5, 6)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("readers = 0\n", r"Setting readers \(MSM_READERS or msm.toml\) is not valid"),
        ("reader = 1\n", "Setting reader .* not permitted"),
        ('device = "tpu"\n', "Setting device"),
    ],
)
def test_a_wrong_setting_is_told_by_name(tmp_path, monkeypatch, toml, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "msm.toml").write_text(toml)
    with pytest.raises(MsmError, match=said):
        read_settings()


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().domain = "global"
