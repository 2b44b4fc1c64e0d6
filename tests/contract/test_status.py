"""`status` when not all is well, on a real Kafka: what is stopped, parked, being restored, dead or not to be reached."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run
from orchestrator.cli.status import _look_again
from orchestrator.errors import Unreachable
from orchestrator.wire.lines import EventLine
from orchestrator.wire.partitioning import partition_for
from tests.brokers import fill
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_breaker import FEW, bad
from tests.contract.test_http import READ, ask, seen, with_http

PARTITIONS = 3
FAILED = {"amount": 5.0, "currency": "AUD", "attempt": 1, "reason": "card"}

HELP = """\
journey: help
version: 1
owner: care-team
purpose: service
entry: {on: payment.failed, reentry: always}
start: asking
states:
  asking:
    steps:
      - {id: open-case, call: {action: open-case, timeout: 1s}}
      - {id: over, end: {outcome: helped}}
"""


class Screen:
    """What `status` says of a stage's group."""

    def __init__(self, stage: Stage, folder: Path, capsys: Any) -> None:
        (folder / "token").write_text(READ)
        self.command = [
            "status", "--topologies", str(stage.topologies), "--bootstrap-server", stage.broker.bootstrap,
            "--set", f"http_token_file={folder / 'token'}",
        ]  # fmt: skip
        self._capsys = capsys

    def text(self, *more: str, code: int = 1) -> str:
        self._capsys.readouterr()
        status = run([*self.command, *more])
        out, err = self._capsys.readouterr()
        assert status == code, out + err
        assert max(map(len, out.splitlines())) <= 80, out
        return str(out)

    def json(self, *more: str) -> dict[str, Any]:
        self._capsys.readouterr()
        status = run([*self.command, "--json", *more])
        told: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        assert told["well"] == (status == 0)
        return told


def _customer_of(partition: int) -> str:
    return next(name for name in (f"c{n}" for n in range(99)) if partition_for(name.encode(), PARTITIONS) == partition)


def test_b2_a4_what_is_stopped_parked_or_being_restored_is_on_the_screen(
    stage_on_kafka: MakeStage, tmp_path: Path, capsys: Any
) -> None:
    stage = stage_on_kafka(journeys=(), partitions=PARTITIONS, own={"journeys/help.yaml": HELP})
    screen = Screen(stage, tmp_path, capsys)
    worker = stage.worker("w0", *FEW, **with_http(tmp_path))
    address = seen(worker, stage)
    stage.wait_until("it is ready", lambda: ask(address, "/health/ready")[0] == 200)
    assert "Parked: nobody" in screen.text("--parked", code=0)

    stage.produce([EventLine(time.time_ns() // 1_000_000, _customer_of(0), "payment.failed", "e1", FAILED)])
    stage.wait_until("a call is parked", lambda: screen.json()["incidents"] == {"action_failed": 1})
    fill(stage.broker.bootstrap, stage.events, [bad(0, n) for n in range(1, 9)])
    stage.wait_until("it is stopped", lambda: any(each["stopped_at"] for each in screen.json()["partitions"]))
    shown = screen.text("--parked")
    assert "stopped before offset 7 of" in shown
    assert "orchestrator partitions resume 0 --execute" in shown
    assert "Parked: help/open-case action_failed 1" in shown
    assert "may have left an instance parked: see with --parked" in screen.text()
    told = screen.json("--parked")
    assert (told["parked_now"], told["parked"]) == ({"help/open-case action_failed": 1}, 1)
    assert screen.json()["parked_now"] is None, "nobody asked"
    _watched(screen)

    # The same worker on a new disk; it forgets what it met, but not what stands parked.
    assert worker.stop() == 0
    shown = screen.text()
    assert "Unknown: w0 does not answer" in shown
    shutil.rmtree(stage.state_of("w0"))
    # At the address that it had: of a static member that comes back Kafka keeps the client.id.
    again = with_http(tmp_path) | {"ORCHESTRATOR_HTTP_ADDRESS": address}
    stage.worker("w0", *FEW, **again, ORCHESTRATOR_FAILPOINT="restore_batch_ready=sleep:8")
    stage.wait_until("it restores", lambda: any(each["restoring"] for each in screen.json()["partitions"]))
    shown = screen.text()
    assert " no " in shown, "not ready"
    assert "offsets to go; stopped before" in shown, "both, in one line"
    stage.wait_until("it is ready", lambda: all(each["says"].get("ready") for each in screen.json()["workers"]))
    shown = screen.text("--parked")
    assert "offsets to go" not in shown
    assert "Parked: help/open-case action_failed 1" in shown


def _watched(screen: Screen) -> None:
    """A screen after another until Ctrl-C, each at once though standard output is no terminal."""
    command = [sys.executable, "-m", "orchestrator", *screen.command, "--watch", "--every", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        seen_so_far, deadline = b"", time.monotonic() + 60
        while seen_so_far.count(b"WHAT IS THE MATTER") < 2:
            assert time.monotonic() < deadline, seen_so_far
            if select.select([watching.stdout], [], [], 1.0)[0]:
                seen_so_far += os.read(watching.stdout.fileno(), 65_536)
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert b"\x1b" not in seen_so_far, "no terminal, no codes for one"
    assert err == b""


def test_who_watches_is_told_when_kafka_does_not_answer_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> Any:
        raise Unreachable("the group cannot be asked: no answer", where="journeys")

    _look_again(look, json=False)
    assert "the group cannot be asked" in capsys.readouterr().err
