"""Kafka messages for tests of the wire room: librdkafka's own, without a broker."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Message

from orchestrator.language.model import EventTopic, Place, Streams
from orchestrator.wire.schemas import SchemaSet, load_schemas

HERE = Place("streams.yaml", 1, 1)
TOPIC = "customer.events"
NOW = 1_800_000_000_000
STREAMS = Streams(events=(EventTopic(TOPIC, HERE),))


def kafka_message(
    value: bytes | None,
    *,
    key: bytes | None = b"c1",
    headers: list[tuple[str, bytes | None]] | None = None,
    timestamp: tuple[int, int] = (1, NOW - 1000),
    topic: str = TOPIC,
) -> Message:
    """What librdkafka would hand out, at partition 3, offset 42."""
    return Message(topic=topic, partition=3, offset=42, key=key, value=value, headers=headers, timestamp=timestamp)


SCHEMAS: SchemaSet = load_schemas()


def event(type_: str, payload: dict[str, Any] | None = None, *, customer: str = "c1", event_id: str = "e1") -> bytes:
    """A whole event as Avro single object."""
    schema = SCHEMAS.get(type_)
    assert schema is not None
    return schema.encode(customer, event_id, NOW - 5000, payload or {})
