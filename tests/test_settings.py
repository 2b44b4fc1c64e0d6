"""Settings: where each value comes from, which one wins, and that no secret is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.settings import Settings, client_config, is_secret, overrides_from

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for variable in list(os.environ):
        if variable.startswith("ORCHESTRATOR_"):
            monkeypatch.delenv(variable)


def toml(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def refusal(config: Path | None = None, overrides: dict[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        Settings.load(config, overrides)
    return str(caught.value)


def test_without_anything_there_are_defaults() -> None:
    settings = Settings.load()
    assert settings.bootstrap_server == "localhost:9092"
    assert client_config(settings) == {"bootstrap.servers": "localhost:9092"}


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(tmp_path, 'bootstrap_server = "file:1"\nworker_id = "file"\nlog_level = "error"\n')
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVER", "environment:1")
    monkeypatch.setenv("ORCHESTRATOR_WORKER_ID", "environment")
    settings = Settings.load(path, {"bootstrap_server": "flag:1", "schemas": None})
    assert (settings.bootstrap_server, settings.worker_id, settings.log_level) == ("flag:1", "environment", "error")


def test_kafka_settings_of_all_sources_meet_under_librdkafkas_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "[kafka]",
        'security.protocol = "SSL"',
        '"ssl.ca.location" = "/ca"',
        "linger.ms = 5",
        "enable.idempotence = true",
        'client.rack = "a"',
    )
    path = toml(tmp_path, "\n".join(lines))
    monkeypatch.setenv("ORCHESTRATOR_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("ORCHESTRATOR_KAFKA__CLIENT_RACK", "b")
    settings = Settings.load(path, overrides_from(["kafka.client.rack=c"]))
    assert settings.kafka == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca",
        "linger.ms": "5",
        "enable.idempotence": "true",
        "client.rack": "c",
    }


def test_the_file_can_be_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", str(toml(tmp_path, 'worker_id = "w"')))
    assert Settings.load().worker_id == "w"


def test_what_the_caller_relies_on_cannot_be_overridden() -> None:
    settings = Settings.load(None, overrides_from(["kafka.enable.auto.commit=true", "kafka.fetch.max.bytes=5"]))
    conf = client_config(settings, enable_auto_commit=False, group_id="g")
    assert conf == {
        "bootstrap.servers": "localhost:9092",
        "enable.auto.commit": False,
        "fetch.max.bytes": "5",
        "group.id": "g",
    }


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    path = toml(tmp_path, f'[kafka]\nssl.key.password_file = "{tmp_path}/secret"\n')
    monkeypatch.setenv("ORCHESTRATOR_KAFKA__SASL_PASSWORD_FILE", str(tmp_path / "secret"))
    settings = Settings.load(path, overrides_from([f"kafka.sasl.oauthbearer.client.secret={SECRET}", "kafka.sasl.username=me"]))
    for name in ("ssl.key.password", "sasl.password", "sasl.oauthbearer.client.secret"):
        assert settings.kafka[name] == SECRET
        assert settings.shown()["kafka"][name] == "***"
    for text in (repr(settings), str(settings), f"{settings}"):
        assert SECRET not in text
        assert "'sasl.username': 'me'" in text


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refusal(None, overrides_from([f"kafka.sasl.password_file={tmp_path}/none"]))
    assert "kafka.sasl.password cannot be read" in said
    assert "none" in said


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret"])
def test_what_is_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["sasl.username", "ssl.ca.location", "sasl.oauthbearer.token.endpoint.url", "security.protocol"])
def test_what_is_none(name: str) -> None:
    assert not is_secret(name)


def test_a_misspelt_name_is_an_error_with_a_suggestion_in_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(tmp_path, "bootstrap_serve = 1")
    assert "there is no setting bootstrap_serve" in refusal(path)
    assert "did you mean bootstrap_server?" in refusal(path)
    assert "did you mean worker_id?" in refusal(None, overrides_from(["worker_idd=1"]))
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVERS", "x")
    assert "did you mean ORCHESTRATOR_BOOTSTRAP_SERVER?" in refusal()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"commit_interval_ms": "soon"}, "setting commit_interval_ms"),
        ({"commit_interval_ms": 0}, "greater than or equal to 1"),
        ({"log_level": "loud"}, "setting log_level"),
        ({"kafka": "x"}, "kafka must be a table"),
        ({"kafka": {"bootstrap.servers": "x"}}, "use bootstrap_server"),
        ({"kafka": {"security.protocol": "SASL_PLAINTEXT"}}, "not encrypted"),
    ],
)
def test_wrong_values_are_usage_errors(overrides: dict[str, Any], said: str) -> None:
    assert said in refusal(None, overrides)


def test_an_open_password_can_be_asked_for() -> None:
    overrides = overrides_from(["kafka.security.protocol=SASL_PLAINTEXT", "allow_sasl_plaintext=true"])
    assert Settings.load(None, overrides).allow_sasl_plaintext


@pytest.mark.parametrize("text", ["kafka.x", "=1", ""])
def test_an_assignment_without_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected name=value"):
        overrides_from([text])


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.toml")
    assert "not TOML" in refusal(toml(tmp_path, "a = = 1"))
    (tmp_path / "settings.toml").write_bytes(b"\xff\xfe")
    assert "not TOML" in refusal(tmp_path / "settings.toml")


def test_help_does_not_pay_for_settings_and_clients() -> None:
    heavy = "{'pydantic_settings', 'confluent_kafka', 'fastavro'} & sys.modules.keys()"
    code = f"import sys; from orchestrator import cli; cli.run(['produce', '--help']); sys.exit(','.join({heavy}) or 0)"
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, b"")


@pytest.mark.parametrize(
    "registry",
    [
        {"url": "http://registry:8081", "basic.auth.user.info": "me:hush"},
        {"url": "http://registry:8081", "bearer.auth.token": "hush"},
        {"url": "https://me:hush@registry:8081"},
    ],
)
def test_a_registrys_password_is_neither_sent_open_nor_shown(registry: dict[str, str]) -> None:
    with pytest.raises(UsageError) as raised:
        Settings.load(overrides={"registry": registry})
    assert "hush" not in str(raised.value)
