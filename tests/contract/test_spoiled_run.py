"""A replay of a run under a published program sees one spoiled action among many; headers for other tools are no difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from orchestrator.kafka import admin
from orchestrator.names import Header
from orchestrator.wire.programs import revision_of
from tests.brokers import Row, fill
from tests.contract.conftest import MakeStage
from tests.contract.operators import Shell
from tests.contract.stage import Stage
from tests.contract.test_publishing import DO, _handled, _logins, _make, _purchases

CUSTOMERS = [f"c{n}" for n in range(20)]


def _rewritten(stage: Stage, topic: str, rows: list[Row]) -> None:
    """Put these records in the place of all that the topic has: nobody can change a record of a log."""
    client = admin({"bootstrap.servers": stage.broker.bootstrap})
    for answer in client.delete_records([TopicPartition(topic, 0, -1)]).values():
        answer.result(30)
    copies = [
        {"key": r.key, "value": r.value, "headers": list(r.headers), "timestamp": r.timestamp, "partition": 0} for r in rows
    ]
    fill(stage.broker.bootstrap, topic, copies)


def test_r1_v4_one_spoiled_action_of_a_published_run_is_found(
    stage_on_kafka: MakeStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = _make(stage_on_kafka, 1)
    shell = Shell(stage, capsys)
    worker = stage.worker("w0", "--set", "incident_header_style=connect,spring")
    shell.json("apply", "--execute", *DO)
    fill(stage.broker.bootstrap, stage.events, [{"key": b"c", "value": b"no event", "partition": 0}])
    stage.produce([*_purchases(CUSTOMERS), *_logins(CUSTOMERS)])
    _handled(stage, 2 * len(CUSTOMERS) + 1)
    assert worker.stop() == 0
    assert 1 in {revision_of(record.program) for record, _ in stage.journal()}, "what was published ran"
    (incident,) = stage.incidents()
    assert {"__connect.errors.topic", "kafka_dlt-original-topic", Header.ERROR_TOPIC} <= dict(incident.headers).keys()

    topic = stage.topology.policy.channels["email"].topic
    rows = stage.rows(topic)
    assert len(rows) == len(CUSTOMERS)
    _rewritten(stage, topic, rows)
    same = shell.json("replay", "--out", str(tmp_path / "same"))
    assert same["differences"] == {"added": 0, "missing": 0, "changed": 0}
    assert (same["compared"]["action"], same["compared"]["incident"]) == (len(CUSTOMERS), 1)

    spoiled = rows[7]._replace(value=(rows[7].value or b"").replace(b"first", b"wrong"))
    assert spoiled != rows[7]
    _rewritten(stage, topic, [*rows[:7], spoiled, *rows[8:]])
    found = shell.json("replay", "--out", str(tmp_path / "spoiled"), status=1)
    assert found["differences"] == {"added": 0, "missing": 0, "changed": 1}
    (customer,) = found["customers"]
    assert (customer["customer"], customer["first"]["fields"]) == ((spoiled.key or b"").decode(), ["template"])
    assert (customer["first"]["log"]["template"], customer["first"]["replay"]["template"]) == ("wrong", "first")
