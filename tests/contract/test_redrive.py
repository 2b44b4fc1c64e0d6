"""Rule B3 on a real Kafka: incidents go back to where they came from, once, whatever befalls the one who sends them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import Any

from confluent_kafka import Message

from orchestrator.cli import run
from orchestrator.names import Header, Reason
from orchestrator.wire.gate import Refusal
from orchestrator.wire.incidents import incident_from_refusal
from tests.brokers import fill
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_deadly_records import AT, purchase

LEARNT = "      - purchase.made\n"


def told(stage: Stage, capsys: Any, *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = run(["incidents", *arguments, "--json", *where(stage)])
    printed = capsys.readouterr().out
    return status, json.loads(printed) if printed else None


def where(stage: Stage) -> list[str]:
    return ["--topologies", str(stage.topologies), "--bootstrap-server", stage.broker.bootstrap]


def event_ids(stage: Stage) -> list[str]:
    return [handling["event_id"] for handling in stage.handlings() if handling["event_id"]]


def test_b3_what_was_refused_is_handled_once_when_its_cause_is_mended(stage_on_kafka: MakeStage, capsys: Any) -> None:
    stage = stage_on_kafka(partitions=2)
    streams = stage.topologies / "streams.yaml"
    complete = streams.read_text()
    assert LEARNT in complete
    streams.write_text(complete.replace(LEARNT, ""))
    sent = [{"key": b"c%d" % n, "value": purchase(f"c{n}", f"e{n}"), "timestamp": AT + n} for n in range(20)]
    fill(stage.broker.bootstrap, stage.events, [*sent, {"key": b"c1", "value": b'{"not": "avro"}', "timestamp": AT}])
    worker = stage.worker("w0")
    stage.wait_until("all are incidents", lambda: len(stage.incidents()) == 21)
    assert worker.stop() == 0

    assert told(stage, capsys, "count")[1] == [
        {"reason": "not_avro", "open": 1, "redriven": 0, "discarded": 0},
        {"reason": "not_declared", "open": 20, "redriven": 0, "discarded": 0},
    ]
    status, plan = told(stage, capsys, "redrive", "--reason", Reason.NOT_DECLARED)
    assert (status, plan["executed"], len(plan["incidents"])) == (0, False, 20)
    assert len(stage.rows(stage.events)) == 21, "a plan sends nothing"

    streams.write_text(complete)
    redrive = ("redrive", "--reason", Reason.NOT_DECLARED, "--original-time", "--execute")
    assert len(told(stage, capsys, *redrive)[1]["incidents"]) == 20
    assert told(stage, capsys, *redrive)[1]["incidents"] == [], "all have been"
    again = [row for row in stage.rows(stage.events) if row.headers]
    assert sorted((row.key, row.value, row.timestamp) for row in again) == sorted(
        (one["key"], one["value"], one["timestamp"]) for one in sent
    )
    assert {dict(row.headers)[Header.REDRIVE_ATTEMPT] for row in again} == {b"1"}

    stage.worker("w0")
    stage.wait_until("all are handled", lambda: len(event_ids(stage)) >= 20)
    assert sorted(event_ids(stage)) == sorted(f"e{n}" for n in range(20))

    junk = [each["id"] for each in told(stage, capsys, "list")[1]]
    assert len(junk) == 1
    assert told(stage, capsys, "discard", *junk, "--execute")[0] == 2, "a discard needs a reason"
    assert told(stage, capsys, "discard", *junk, "--why", "a test of the shop's", "--execute")[1]["discarded"] == junk
    assert told(stage, capsys, "list")[1] == []
    (kept,) = told(stage, capsys, "list", "--all", "--reason", "not_avro")[1]
    assert (kept["state"], kept["act"]["reason"]) == ("discarded", "a test of the shop's")


def test_b3_i3_a_redrive_that_is_killed_goes_on_and_sends_nothing_twice(stage_on_kafka: MakeStage, capsys: Any) -> None:
    """Thousands of incidents, in transactions of 500; the process is killed once some are visible."""
    count = 4_000
    stage = stage_on_kafka(partitions=2)
    rows = [as_incident(stage, offset) for offset in range(count)]
    fill(stage.broker.bootstrap, stage.topology.streams.incidents, rows)
    command = [sys.executable, "-m", "orchestrator", "incidents", "redrive", "--everything", "--execute", *where(stage)]
    for _ in range(2):
        before = len(stage.rows(stage.events))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(stage.rows(stage.events)) == before:
            time.sleep(0.02)
        process.kill()
        process.wait(30)

    assert told(stage, capsys, "redrive", "--everything", "--execute")[0] == 0
    sent = stage.rows(stage.events)
    assert sorted(row.value or b"" for row in sent) == sorted(b"%d" % offset for offset in range(count))
    for partition in range(2):
        mine = [int(row.value or b"") for row in sent if row.partition == partition]
        assert mine == sorted(mine), "in their order"
    assert told(stage, capsys, "count")[1] == [{"reason": "unknown_schema", "open": 0, "redriven": count, "discarded": 0}]


def as_incident(stage: Stage, offset: int) -> dict[str, Any]:
    message = Message(
        topic=stage.events, partition=offset % 2, offset=offset, key=b"c", value=b"%d" % offset, headers=None, timestamp=(1, AT)
    )
    key, value, headers = incident_from_refusal(message, Refusal(Reason.UNKNOWN_SCHEMA, "why"), "app", "1")
    return {"key": key, "value": value, "headers": headers, "timestamp": AT, "partition": offset % 2}


def test_b3_a_record_that_was_cut_comes_back_whole_from_its_source_or_not_at_all(stage_on_kafka: MakeStage, capsys: Any) -> None:
    stage = stage_on_kafka(partitions=1)
    large = random.Random(1).randbytes(1_000_400)  # more than librdkafka sends unless it is told to
    fill(
        stage.broker.bootstrap,
        stage.events,
        [{"key": b"c", "value": large, "timestamp": AT, "partition": 0}],
        **{"message.max.bytes": 2_000_000},
    )
    rows = []
    for offset in (0, 7):  # the one that is there, and one that never was
        message = Message(topic=stage.events, partition=0, offset=offset, key=b"c", value=large, headers=None, timestamp=(1, AT))
        key, value, headers = incident_from_refusal(message, Refusal(Reason.TOO_LARGE, "why"), "app", "1", limit=100)
        rows.append({"key": key, "value": value, "headers": headers, "timestamp": AT, "partition": 0})
    fill(stage.broker.bootstrap, stage.topology.streams.incidents, rows)
    status, done = told(stage, capsys, "redrive", "--everything", "--execute")
    assert status == 1
    assert ["refused" in each for each in done["incidents"]] == [False, True]
    assert [row.value for row in stage.rows(stage.events)] == [large, large]
    limit = ("--set", "kafka.message.max.bytes=500000")
    fill(stage.broker.bootstrap, stage.topology.streams.incidents, [{**rows[0], "headers": renamed(rows[0]["headers"])}])
    status, done = told(stage, capsys, "redrive", "another-0-0", "--execute", *limit)
    assert (status, "too large to be sent" in done["incidents"][0]["refused"]) == (1, True)


def renamed(headers: list[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """The same incident under another id."""
    return [(name, b"another-0-0" if name == Header.INCIDENT_ID else value) for name, value in headers]
