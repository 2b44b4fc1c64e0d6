"""Incidents with the headers of Kafka Connect and Spring besides ours: for their tools, and in nobody's way."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.names import Reason
from orchestrator.operate.incidents.incident import read_incident
from orchestrator.wire.foreign import foreign, own, styles_of
from orchestrator.wire.gate import Refusal
from orchestrator.wire.incidents import incident_from_refusal

AT = 1_767_571_200_000
OWN: list[tuple[str, bytes | None]] = [("x-source", b"till"), ("__connect.errors.topic", b"of an earlier life")]


def refused(reason: str = Reason.NOT_AVRO) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    message: Any = Message(topic="events", partition=3, offset=42, key=b"c", value=b"?", headers=OWN, timestamp=(1, AT))
    return incident_from_refusal(message, Refusal(reason, "why"), "shop", "1")


@pytest.mark.parametrize(
    ("setting", "styles"),
    [
        ("kip-1034", set()),
        ("connect", {"connect"}),
        ("kip-1034,spring", {"spring"}),
        ("connect,spring", {"connect", "spring"}),
    ],
)
def test_a_setting_names_what_is_written_besides(setting: str, styles: set[str]) -> None:
    assert styles_of(setting) == styles


def test_b1_connects_names_are_text() -> None:
    found = dict(foreign(refused()[2], {"connect"}, 1))
    assert found == {
        "__connect.errors.topic": b"events",
        "__connect.errors.partition": b"3",
        "__connect.errors.offset": b"42",
        "__connect.errors.connector.name": b"shop",
        "__connect.errors.task.id": b"3",
        "__connect.errors.stage": b"VALUE_CONVERTER",
        "__connect.errors.class.name": b"orchestrator",
        "__connect.errors.exception.class.name": b"orchestrator.not_avro",
        "__connect.errors.exception.message": b"why",
    }
    assert dict(foreign(refused(Reason.KEY_ABSENT)[2], {"connect"}, 1))["__connect.errors.stage"] == b"KEY_CONVERTER"


def test_b1_springs_numbers_are_big_endian() -> None:
    found = dict(foreign(refused()[2], {"spring"}, 2))
    assert struct.unpack(">i", found["kafka_dlt-original-partition"] or b"") == (3,)
    assert struct.unpack(">q", found["kafka_dlt-original-offset"] or b"") == (42,)
    assert struct.unpack(">q", found["kafka_dlt-original-timestamp"] or b"") == (AT,)
    assert (found["kafka_dlt-original-topic"], found["kafka_dlt-original-timestamp-type"]) == (b"events", b"LogAppendTime")
    assert (found["kafka_dlt-original-consumer-group"], found["kafka_dlt-exception-fqcn"]) == (b"shop", b"orchestrator.not_avro")


def test_b1_nothing_is_added_unless_asked_or_where_there_is_no_record() -> None:
    assert foreign(refused()[2], (), 1) == []
    assert foreign([("orchestrator.incident.id", b"journey@1/0")], {"connect", "spring"}, 1) == []


def test_b1_what_is_added_is_neither_taken_for_the_records_own_nor_compared() -> None:
    key, value, headers = refused()
    styled = headers + foreign(headers, {"connect", "spring"}, 1)
    found = read_incident(Message(topic="i", partition=3, offset=0, key=key, value=value, headers=styled, timestamp=(1, AT)))
    assert found is not None
    assert (found.headers, found.source, found.partition, found.offset) == (OWN, "events", 3, 42)
    assert own(styled) == own(headers) == headers
