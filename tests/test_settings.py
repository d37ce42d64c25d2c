"""Settings: which layer wins, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from aiops import settings
from aiops.errors import ConfigError


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for setting in settings.TABLE:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    return tmp_path


def test_flag_beats_environment_beats_file_beats_default(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load().text("service.listen") == "127.0.0.1:8642"
    (clean / "config.toml").write_text('[service]\nlisten = "127.0.0.1:1"\n')
    assert settings.load().text("service.listen") == "127.0.0.1:1"
    monkeypatch.setenv("AIOPS_SERVICE__LISTEN", "127.0.0.1:2")
    assert settings.load().text("service.listen") == "127.0.0.1:2"
    loaded = settings.load({"service.listen": "127.0.0.1:3"})
    assert loaded.text("service.listen") == "127.0.0.1:3"
    assert loaded.origins["service.listen"] == "flag"


def test_template_is_toml_and_each_line_is_a_known_setting(clean: Path) -> None:
    text = settings.template()
    assert tomllib.loads(text) == {s.section: {} for s in settings.TABLE}
    live = re.sub(r"^# (\w+ = .*)$", r"\1", text, flags=re.MULTILINE)
    (clean / "config.toml").write_text(live)
    assert settings.load().values == {s.name: s.default for s in settings.TABLE}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"diagnosis.deadline_s": "soon"}, "is no float"),
        ({"diagnosis.deadline_s": "-1"}, "above 0"),
        ({"diagnosis.timezone": "Mars/Base"}, "no time zone"),
        ({"sources.metrics": "prometheus+http://user:hush@host"}, "must not hold a password"),
        ({"sources.metrics": "prometheus+http://user:hush@[::1"}, "is no URL"),
        ({"nothing.such": "1"}, "no such setting"),
        ({"diagnosis.priors": "maybe"}, "neither true nor false"),
        ({"model.timeout_s": "121"}, "above 120"),
    ],
)
def test_wrong_values_are_refused(flags: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        settings.load(flags)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("text", "truth"), [("true", True), ("False", False), ("TRUE", True)])
def test_true_and_false_are_words(text: str, truth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_DIAGNOSIS__PRIORS", text)
    assert settings.load().truth("diagnosis.priors") is truth


def test_a_typing_error_in_a_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_SERVICE__LISTN", "x")
    with pytest.raises(ConfigError, match="AIOPS_SERVICE__LISTN"):
        settings.load()


def test_a_broken_file_is_named(clean: Path) -> None:
    (clean / "config.toml").write_text("[service\n")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        settings.load()


def test_secrets_come_from_files(clean: Path) -> None:
    (clean / "token").write_text("s3cret\n")
    assert settings.load({"sources.token_file": str(clean / "token")}).secret("sources.token_file") == "s3cret"
    with pytest.raises(ConfigError, match="can't read"):
        settings.load({"sources.token_file": str(clean / "absent")}).secret("sources.token_file")
