"""Events that name their schema by a registry's id, on a real Kafka with a real Apicurio (fault matrix row 18, rule B1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run
from orchestrator.names import Header
from orchestrator.operate.contract.subjects import schema_text
from orchestrator.stream.registry import connect
from orchestrator.wire import framing
from orchestrator.wire.partitioning import partition_for
from tests.brokers import Broker, fill
from tests.brokers.apicurio import Apicurio
from tests.contract.stage import Stage
from tests.wire.messages import SCHEMAS

AT = 1_767_571_200_000


@pytest.fixture
def stage(kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(kafka, tmp_path, partitions=2)
    yield made
    made.close()


def command(stage: Stage, registry: Apicurio, *arguments: str) -> int:
    where = ["--topologies", str(stage.topologies), "--set", f"registry.url={registry.url}"]
    return run([*arguments, *where])


def told(stage: Stage, registry: Apicurio, capsys: Any, *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = command(stage, registry, *arguments, "--json")
    printed = capsys.readouterr().out
    return status, json.loads(printed) if printed else None


def customer_in(partition: int, prefix: str = "c") -> str:
    return next(name for n in range(100) if partition_for((name := f"{prefix}{n}").encode(), 2) == partition)


def body(customer: str, event_id: str) -> bytes:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    return schema.encode(customer, event_id, AT, {"quantity": 1, "price": 9.5})[len(schema.frame) :]


def ids(stage: Stage) -> set[str]:
    return {handling["event_id"] for handling in stage.handlings() if handling["event_id"]}


def registered(stage: Stage, registry: Apicurio, *, event_type: str = "purchase.made", topic: str = "", **changes: Any) -> int:
    """A version of an event type that somebody registers on their own."""
    from confluent_kafka.schema_registry import Schema

    event = SCHEMAS.get(event_type)
    assert event is not None
    schema = json.loads(schema_text(event))
    schema["fields"] += changes.pop("more", [])
    with connect({"url": registry.url}) as client:
        return int(client.register_schema(f"{topic or stage.events}-{event.name}", Schema(json.dumps(schema | changes), "AVRO")))


def test_b1_schemas_are_registered_and_events_by_their_ids_are_handled(
    stage: Stage, apicurio: Apicurio, capsys: Any, tmp_path: Path
) -> None:
    status, planned = told(stage, apicurio, capsys, "schemas", "register")
    assert status == 0
    assert {each["state"] for each in planned["subjects"]} == {"new subject"}
    assert told(stage, apicurio, capsys, "schemas", "register", "--execute")[0] == 0
    status, checked = told(stage, apicurio, capsys, "schemas", "check")
    assert status == 0
    assert {each["state"] for each in checked["subjects"]} == {"registered"}

    lines = [
        {
            "at": "2026-01-05T00:00:00Z",
            "customer": "ada",
            "event": "purchase.made",
            "id": "e1",
            "data": {"quantity": 1, "price": 2},
        }
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    assert command(stage, apicurio, "produce", str(file), "--bootstrap-server", stage.broker.bootstrap) == 0
    (row,) = stage.rows(stage.events)
    assert (row.value or b"")[:1] == framing.CONFLUENT

    newer = registered(stage, apicurio, more=[{"name": "shop", "type": ["null", "string"], "default": None}])
    value = framing.confluent(newer) + body("ada", "e2") + b"\x00"
    fill(stage.broker.bootstrap, stage.events, [{"key": b"ada", "value": value, "timestamp": AT}])
    stage.worker("w0", "--set", f"registry.url={apicurio.url}")
    stage.wait_until("both are handled", lambda: {"e1", "e2"} <= ids(stage))
    assert stage.incidents() == []


def test_b1_a_schema_that_the_registry_does_not_know_or_that_is_hostile_makes_incidents(stage: Stage, apicurio: Apicurio) -> None:
    recursive = {"name": "more", "type": ["null", "journeys.events.PurchaseMade"], "default": None}
    hostile = registered(stage, apicurio, more=[recursive])
    customer = customer_in(0)
    rows = [(framing.confluent(999_999), "e1"), (framing.confluent(hostile), "e2")]
    fill(
        stage.broker.bootstrap,
        stage.events,
        [{"key": customer.encode(), "value": start + body(customer, event), "timestamp": AT} for start, event in rows],
    )
    worker = stage.worker("w0", "--set", f"registry.url={apicurio.url}")
    stage.wait_until("both are incidents", lambda: len(stage.incidents()) == 2)
    assert {dict(row.headers)[Header.INCIDENT_REASON] for row in stage.incidents()} == {b"unknown_schema"}
    assert {dict(row.headers)[Header.SCHEMA_ID] for row in stage.incidents()} == {b"999999", str(hostile).encode()}
    assert "recursive schemas are refused" in worker.log.read_text()


def test_b1_while_the_registry_is_away_its_records_wait_and_others_go_on(stage: Stage, apicurio: Apicurio) -> None:
    known = registered(stage, apicurio)
    waits, goes = customer_in(0), customer_in(1)

    def event(customer: str, event_id: str, schema_id: int) -> dict[str, Any]:
        return {"key": customer.encode(), "value": framing.confluent(schema_id) + body(customer, event_id), "timestamp": AT}

    fill(stage.broker.bootstrap, stage.events, [event(goes, "e1", known), event(waits, "e2", known)])
    worker = stage.worker("w0", "--set", f"registry.url={apicurio.url}")
    stage.wait_until("the first are handled", lambda: {"e1", "e2"} <= ids(stage))
    new = registered(stage, apicurio, more=[{"name": "till", "type": "int", "default": 0}])
    apicurio.pause()
    try:
        till = event(waits, "e3", new)
        fill(stage.broker.bootstrap, stage.events, [{**till, "value": till["value"] + b"\x02"}, event(waits, "e4", known)])
        stage.wait_until("it waits", lambda: "registry_away" in worker.log.read_text())
        fill(stage.broker.bootstrap, stage.events, [event(goes, "e5", known)])
        stage.wait_until("the other partition goes on", lambda: "e5" in ids(stage))
        assert not {"e3", "e4"} & ids(stage)
    finally:
        apicurio.resume()
    stage.wait_until("it goes on", lambda: {"e3", "e4"} <= ids(stage))
    assert stage.incidents() == []
