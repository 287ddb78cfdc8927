import os
from pathlib import Path

import pytest

from service.settings import PREFIX, Settings, SettingsError, describe, read_settings, variable


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting of ours."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_everything_has_a_default_and_a_description(environment: pytest.MonkeyPatch) -> None:
    settings = read_settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8000
    assert settings.model == Path("weights/att_loc_cgrnn.onnx")
    assert settings.device == "auto"
    assert settings.timeline_url == "sqlite:///data/timeline.db"
    assert all(description for _, _, description in describe())
    assert len(describe()) == len(Settings.model_fields)


def test_reads_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATTLOC_PORT", "9000")
    environment.setenv("ATTLOC_DATABASE_URL", "postgresql://db/attloc")
    settings = read_settings()
    assert settings.port == 9000
    assert settings.timeline_url == "postgresql://db/attloc"


def test_empty_means_unset(environment: pytest.MonkeyPatch) -> None:
    defaults = read_settings()
    for field in Settings.model_fields:
        environment.setenv(variable(field), "")
    assert read_settings() == defaults


def test_an_ill_value_is_named_with_what_would_be_right(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATTLOC_PORT", "eighty")
    environment.setenv("ATTLOC_DEVICE", "tpu")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    message = str(caught.value)
    assert "ATTLOC_PORT='eighty'" in message
    assert "integer" in message
    assert "ATTLOC_DEVICE='tpu'" in message
    assert "'cuda'" in message


@pytest.mark.parametrize("field", ["grace_s", "retention_days", "max_duration_s", "heartbeat_s"])
def test_no_setting_is_without_end(environment: pytest.MonkeyPatch, field: str) -> None:
    environment.setenv(variable(field), "inf")
    with pytest.raises(SettingsError, match=f"{variable(field)}='inf'.*finite"):
        read_settings()


def test_no_retention_is_longer_than_a_clock_can_tell(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATTLOC_RETENTION_DAYS", "1e300")
    with pytest.raises(SettingsError, match=r"ATTLOC_RETENTION_DAYS='1e300'.*36500"):
        read_settings()


def test_a_misspelt_variable_is_refused_and_the_right_one_suggested(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ATTLOC_MAX_DURATION", "60")
    with pytest.raises(SettingsError, match=r"ATTLOC_MAX_DURATION is no setting.*ATTLOC_MAX_DURATION_S"):
        read_settings()


@pytest.mark.parametrize(
    ("host", "allowed", "names"),
    [
        ("127.0.0.1", "", ()),
        ("0.0.0.0", "", ("*",)),
        ("127.0.0.1", "sounds.example, attloc,", ("sounds.example", "attloc")),
        ("0.0.0.0", "attloc", ("attloc",)),
    ],
)
def test_names_are_limited_on_loopback_and_where_they_are_given(
    environment: pytest.MonkeyPatch, host: str, allowed: str, names: tuple[str, ...]
) -> None:
    environment.setenv("ATTLOC_HOST", host)
    environment.setenv("ATTLOC_ALLOWED_HOSTS", allowed)
    assert read_settings().hosts == names


@pytest.mark.parametrize("name", ["https://sounds.example", "sounds.example:8443", "*.example", "a.example."])
def test_what_no_header_can_hold_is_no_name(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv("ATTLOC_ALLOWED_HOSTS", f"attloc, {name}")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value).startswith(f"ATTLOC_ALLOWED_HOSTS='attloc, {name}': '{name}' is no name: ")


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False)])
def test_loopback(host: str, loopback: bool) -> None:
    assert Settings(host=host).loopback is loopback
