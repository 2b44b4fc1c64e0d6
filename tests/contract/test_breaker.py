"""Rule B2 on a real Kafka: one partition stops, the others go on, nothing is lost, and a command lets it go on."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.cli import run
from tests.brokers import Row, fill
from tests.contract.cdnow import assert_journal_is_one_chain
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_deadly_records import AT, purchase

FEW = ("--set", "breaker_incidents=5", "--set", "breaker_window=50")


def good(partition: int, number: int) -> dict[str, Any]:
    customer = f"p{partition}-{number}"
    value = purchase(customer, f"e{number}")
    return {"key": customer.encode(), "value": value, "timestamp": AT + number, "partition": partition}


def bad(partition: int, number: int) -> dict[str, Any]:
    return {"key": b"c", "value": b"? %d" % number, "timestamp": AT + number, "partition": partition}


def dead_letters(stage: Stage, partition: int) -> list[Row]:
    return [row for row in stage.incidents() if row.partition == partition and row.key is not None]


def customers(stage: Stage, partition: int) -> set[bytes]:
    return {key for key in stage.changelog_documents() if key.startswith(b"p%d-" % partition)}


def command(stage: Stage, capsys: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = run([*arguments, "--json", "--topologies", str(stage.topologies), "--bootstrap-server", stage.broker.bootstrap])
    printed = capsys.readouterr().out
    return status, json.loads(printed) if printed else {}


def test_b2_i3_a_partition_with_too_many_incidents_stops_until_a_command_lets_it_go_on(
    stage_on_kafka: MakeStage, capsys: Any
) -> None:
    stage = stage_on_kafka(partitions=2)
    poisoned = [good(0, 0), *(bad(0, n) for n in range(1, 9)), good(0, 9)]  # 8 of them: 6 trip, 2 are left
    fill(stage.broker.bootstrap, stage.events, [*poisoned, *(good(1, n) for n in range(3))])
    worker = stage.worker("w0", *FEW)
    stage.wait_until("partition 0 is stopped", lambda: "partition_stopped" in worker.log.read_text())
    stage.wait_until("partition 1 is handled", lambda: len(customers(stage, 1)) == 3)

    assert [row.value for row in dead_letters(stage, 0)] == [record["value"] for record in poisoned[1:7]]
    (alert,) = (row for row in stage.incidents() if row.key is None)
    assert json.loads(alert.value or b"")["reason"] == "partition_stopped"
    status, shown = command(stage, capsys, "partitions", "list")
    assert status == 0
    assert [(stop["partition"], stop["offset"]) for stop in shown["stopped"]] == [(0, 7)]
    assert command(stage, capsys, "partitions", "resume", "1", "--execute")[0] == 4, "that one goes"

    # Another process, as after a crash: what holds is in Kafka. The other partition goes on.
    worker.kill()
    fill(stage.broker.bootstrap, stage.events, [good(1, 3)])
    worker = stage.worker("w1", *FEW)
    stage.wait_until("the other goes on", lambda: len(customers(stage, 1)) == 4)
    assert "partition_stands_still" in worker.log.read_text()
    assert command(stage, capsys, "partitions", "resume", "0") == (0, {"executed": False, **shown})
    assert len(dead_letters(stage, 0)) == 6, "a plan does nothing"

    assert command(stage, capsys, "partitions", "resume", "0", "--execute") == (0, {"executed": True, **shown})
    stage.wait_until("the rest is handled", lambda: b"p0-9" in customers(stage, 0))
    assert [row.value for row in dead_letters(stage, 0)] == [record["value"] for record in poisoned[1:9]]
    assert customers(stage, 0) == {b"p0-0", b"p0-9"}
    assert command(stage, capsys, "partitions", "list")[1] == {"stopped": []}
    assert command(stage, capsys, "partitions", "resume", "--execute")[0] == 4
    assert worker.stop() == 0
    assert_journal_is_one_chain(stage)
