"""`config show`: each value with where it comes from, those of Kafka's and the registry's clients too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import cli
from orchestrator.names import ExitCode

FILE = """
bootstrap_server = "kafka-1:9092"
[kafka]
linger.ms = 7
[registry]
url = "https://registry:8081"
ssl.ca.location = "/etc/ca.pem"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "settings.toml"
    path.write_text(FILE)
    return str(path)


def _shown(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    assert cli.run(["config", "show", "--json", *args]) == ExitCode.OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_table_of_a_client_says_where_its_values_come_from(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user = tmp_path / "user"
    user.write_text("journeys:hunter2")
    monkeypatch.setenv("ORCHESTRATOR_REGISTRY__URL", "https://other:8081")
    secret = f"registry.basic.auth.user.info_file={user}"
    found = _shown(capsys, "--config", file, "--set", secret, "--set", "kafka.acks=all")
    assert found["kafka.linger.ms"] == {"value": "7", "from": file}
    assert found["kafka.acks"] == {"value": "all", "from": "command line"}
    assert found["registry.ssl.ca.location"] == {"value": "/etc/ca.pem", "from": file}
    assert found["registry.url"] == {"value": "https://other:8081", "from": "ORCHESTRATOR_REGISTRY__URL"}
    assert found["registry.basic.auth.user.info"] == {"value": "***", "from": "command line"}
    assert found["bootstrap_server"]["from"] == file
    assert found["topologies"]["from"] == "default"


def test_a_variable_with_a_whole_table_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ORCHESTRATOR_REGISTRY", '{"url": "https://registry:8081"}')
    assert _shown(capsys)["registry.url"] == {"value": "https://registry:8081", "from": "ORCHESTRATOR_REGISTRY"}
