from __future__ import annotations

from pathlib import Path

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.settings import load_settings


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_load_settings__nothing_given__uses_defaults() -> None:
    settings = load_settings()
    assert settings.port == 8700
    assert settings.database == "sqlite:///.bailiwick/bailiwick.db"


def test_load_settings__file_environment_and_flag__the_later_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bailiwick.toml").write_text('port = 1001\nhost = "from-file"\nseed = 1\n')
    monkeypatch.setenv("BAILIWICK_PORT", "1002")
    monkeypatch.setenv("BAILIWICK_SEED", "2")
    settings = load_settings(port=1003)
    assert (settings.port, settings.seed, settings.host) == (1003, 2, "from-file")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("port = ", "cannot be read"),
        ("port = 99999", "port"),
        ("prot = 8700", "prot"),
        ('port = "many"', "port"),
    ],
)
def test_load_settings__bad_file__names_the_setting(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "bailiwick.toml").write_text(content)
    with pytest.raises(InvalidInput, match=complaint):
        load_settings()


def test_load_settings__named_file_is_missing__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAILIWICK_CONFIG", "nowhere.toml")
    with pytest.raises(InvalidInput, match="nowhere"):
        load_settings()


def test_load_settings__secret_of_the_wrong_type__is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(graph_password=["hunter2"])
    assert "hunter2" not in str(caught.value.fields())
