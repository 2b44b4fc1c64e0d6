"""What each of a worker's processes is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.settings import Settings
from orchestrator.stream.processes import shares


def told(**settings: Any) -> list[dict[str, str]]:
    return [each.settings for each in shares(Settings.load(overrides={"processes": 2, **settings}), "w")]


def test_each_process_has_a_state_directory_and_an_id_of_its_own() -> None:
    first, second = told(state_dir=Path("kept"))
    assert first == {"processes": "1", "state_dir": "kept/process-0", "worker_id": "w-0"}
    assert second == {"processes": "1", "state_dir": "kept/process-1", "worker_id": "w-1"}


@pytest.mark.parametrize("name", ["http_address", "metrics_address", "advertised"])
@pytest.mark.parametrize(
    ("address", "second"),
    [("9400", "9401"), ("0.0.0.0:9499", "0.0.0.0:9500"), ("[::1]:9400", "[::1]:9401"), ("host:0", "host:0"), ("0", "0")],
)
def test_the_second_has_the_next_port(name: str, address: str, second: str) -> None:
    assert [each[name] for each in told(**{name: address})] == [address, second]


def test_an_address_without_a_port_is_refused_with_its_name() -> None:
    with pytest.raises(UsageError) as caught:
        told(http_address="host:http")
    assert caught.value.where == "http_address=host:http"
    assert "9400" in caught.value.next_step
