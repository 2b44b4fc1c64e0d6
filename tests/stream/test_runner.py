"""What a worker tells others of where it is reached."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.names import ExitCode
from orchestrator.settings import Settings
from orchestrator.stream.runner import app_from_environment, serve_http


@pytest.mark.parametrize(
    ("address", "advertised", "told"),
    [
        ("127.0.0.1:0", "", r"127\.0\.0\.1:[1-9]\d*"),
        ("0", "", r"127\.0\.0\.1:[1-9]\d*"),
        ("0.0.0.0:0", "", re.escape(socket.gethostname()) + r":[1-9]\d*"),
        ("0.0.0.0:0", "journeys-0.journeys:9400", r"journeys-0\.journeys:9400"),
        ("", "", ""),
    ],
)
def test_a_worker_tells_an_address_at_which_others_may_find_it(address: str, advertised: str, told: str) -> None:
    _, found = serve_http(Settings(http_address=address, advertised=advertised))
    assert re.fullmatch(told, found)


def test_the_faust_command_refuses_to_run_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_PROCESSES", "2")
    with pytest.raises(UsageError, match="runs one process"):
        app_from_environment()


def test_a_wrong_address_of_a_collector_is_told_before_kafka_is_waited_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orchestrator", "worker", "--bootstrap-server", "127.0.0.1:1", "--state-dir", str(tmp_path)]
    done = subprocess.run([*command, "--set", "traces_endpoint=collector:4317"], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: ORC-001 traces_endpoint collector:4317 is no http or https address\n")
