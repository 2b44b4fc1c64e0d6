"""The worker's HTTP side on a running worker: health, metrics and state, none of which disturbs it."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.engine.engine import NEVER, next_due
from tests.contract.cdnow import assert_as_the_oracle_says, some_purchases, wait_for_all
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage, WorkerProcess

NOBODY = "127.0.0.1:1"
SAMPLE = 24
READ, REVEAL = "r" * 32, "v" * 32


def seen(worker: WorkerProcess, stage: Stage) -> str:
    """The address that a worker serves on, once it says so."""
    stage.wait_until("HTTP is served", lambda: '"http_served"' in worker.log.read_text())
    (line,) = [json.loads(line) for line in worker.log.read_text().splitlines() if '"http_served"' in line]
    return str(line["address"])


def ask(address: str, path: str, token: str = "", body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Ask a worker; JSON where the answer is."""
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if answer.headers["Content-Type"] == "application/json" else text


def with_http(folder: Path) -> dict[str, str]:
    """The settings of a worker that serves on a free port."""
    access = folder / "access"
    access.write_text(f"reader read token:{READ}\nrevealer read,reveal token:{REVEAL}\n")
    (folder / "log-key").write_text("a key of the test's own")
    return {
        "ORCHESTRATOR_HTTP_ADDRESS": "127.0.0.1:0", "ORCHESTRATOR_HTTP_ACCESS_FILE": str(access),
        "ORCHESTRATOR_LOG_KEY_FILE": str(folder / "log-key"),
    }  # fmt: skip


def counted(page: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    total = 0.0
    for given, value in re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", page, re.MULTILINE):
        if all(f'{label}="{word}"' in given for label, word in labels.items()):
            total += float(value)
    return total


def test_a_worker_without_kafka_is_alive_and_not_ready(stage_on: MakeStage, tmp_path: Path) -> None:
    stage = stage_on(partitions=1)
    stage._address = NOBODY
    worker = stage.worker(**with_http(tmp_path))
    address = seen(worker, stage)
    assert ask(address, "/health/live") == (200, {"status": "alive"})
    assert ask(address, "/health/ready") == (503, {"status": "not ready", "why": "waiting for Kafka"})
    assert ask(address, "/health/startup")[0] == 503
    assert ask(address, "/status", READ)[0] == 503


def test_what_a_running_worker_shows(stage_on: MakeStage, tmp_path: Path) -> None:
    stage = stage_on(partitions=2)
    purchases = some_purchases(SAMPLE)
    records = stage.produce(purchases)
    worker = stage.worker(**with_http(tmp_path))
    address = seen(worker, stage)
    host, port = address.split(":")
    hostile = [socket.create_connection((host, int(port)), timeout=30) for _ in range(100)]
    for each in hostile[-20:]:
        each.sendall(b"GET /status HTTP/1.1\r\nAuthorization: Bearer " + b"x" * 1000)
    wait_for_all(stage, records)
    assert_as_the_oracle_says(stage, SAMPLE)
    assert ask(address, "/health/ready") == (200, {"status": "ready"})
    assert ask(address, "/health/startup") == (200, {"status": "started"})
    _assert_metrics_are_right(stage, lambda: str(ask(address, "/metrics")[1]))
    _assert_state_is_right(stage, address, purchases[0].customer)
    for each in hostile:
        each.close()
    text = worker.log.read_text()
    assert not [customer for customer in {line.customer for line in purchases} if f'"{customer}"' in text]
    assert READ not in text
    assert worker.stop() == 0


def _assert_metrics_are_right(stage: Stage, page: Callable[[], str]) -> None:
    handlings = stage.handlings()
    decisions = [decision for handling in handlings for decision in handling["decisions"]]
    stage.wait_until("the gauges were looked at", lambda: "orchestrator_timers_pending{" in page())
    text = page()
    for kind, name in (
        ("entered", "journey_entries"), ("action_emitted", "actions_emitted"), ("exited", "journey_ends"),
        ("state_entered", "journey_states_entered"), ("entry_refused", "journey_entries_refused"),
    ):  # fmt: skip
        expected = [each for each in decisions if each["kind"] == kind]
        given = {"kind": kind} if name == "journey_ends" else {}
        assert counted(text, f"orchestrator_{name}_total", **given) == len(expected), name
    emitted = [each for each in decisions if each["kind"] == "action_emitted" and each["step"] == "miss-you"]
    assert counted(text, "orchestrator_actions_emitted_total", step="miss-you", channel="email") == len(emitted) > 0
    waiting = [document for document in stage.changelog_documents().values() if next_due(document) != NEVER]
    stage.wait_until("the timers are counted", lambda: counted(page(), "orchestrator_timers_pending") == len(waiting))
    stage.wait_until("nothing waits", lambda: counted(page(), "orchestrator_lag_records") == 0)  # looked at every 15 s
    assert counted(page(), "orchestrator_ready") == 1
    assert counted(page(), "orchestrator_commit_seconds_count") >= max(record.cycle for record, _ in stage.journal())


def _assert_state_is_right(stage: Stage, address: str, customer: str) -> None:
    assert ask(address, "/status")[0] == 401
    status, told = ask(address, "/status", READ)
    assert (status, told["worker"], told["ready"], [each["partition"] for each in told["partitions"]]) == (
        200,
        "w0",
        True,
        [0, 1],
    )
    assert sum(sum(each["next"].values()) for each in told["partitions"]) == stage.handled_records()
    assert all(each["caught_up"] and not each["stopped"] for each in told["partitions"])
    assert ask(address, "/inspect", READ, {})[0] == 400
    status, masked = ask(address, "/inspect", READ, {"customer": customer})
    assert status == 200
    assert masked["document"]["journeys_before"][0]["journey"] == "winback"
    assert ask(address, "/reveal", READ, {"customer": customer})[0] == 403
    assert ask(address, "/reveal", REVEAL, {"customer": customer})[0] == 200
    assert ask(address, "/inspect", READ, {"customer": "nobody at all"}) == (200, {"worker": "w0", "document": None})
