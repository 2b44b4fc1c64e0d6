"""Where a redrive takes the record from when the incident has only a part of it."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.errors import Unreachable
from orchestrator.names import Reason
from orchestrator.operate import documents
from orchestrator.operate.incidents.incident import read_incident
from orchestrator.operate.incidents.redrive import Original, _original
from orchestrator.wire.gate import Refusal
from orchestrator.wire.incidents import incident_from_refusal
from tests.brokers import Broker, fill, unique

AT = 1_767_571_200_000


def incident_of(topic: str, value: bytes, offset: int = 0) -> Any:
    record = Message(topic=topic, partition=0, offset=offset, key=b"c", value=value, headers=[], timestamp=(1, AT))
    key, kept, headers = incident_from_refusal(record, Refusal(Reason.TOO_LARGE, "why"), "app", "1", limit=10)
    found = read_incident(Message(topic="i", partition=0, offset=0, key=key, value=kept, headers=headers, timestamp=(1, AT)))
    assert found is not None
    return found


@pytest.fixture
def topic(embedded: Broker) -> str:
    name = unique("cut")
    embedded.create_topic(name, 1)
    fill(embedded.bootstrap, name, [{"key": b"c", "value": b"the whole of it", "timestamp": AT, "partition": 0}])
    return name


def test_b3_what_was_cut_is_taken_whole_from_its_source(embedded: Broker, topic: str) -> None:
    found = _original({"bootstrap.servers": embedded.bootstrap}, incident_of(topic, b"the whole of it"))
    assert found == Original(b"c", b"the whole of it", [])


def test_b3_what_is_there_no_more_or_is_another_is_told_apart(embedded: Broker, topic: str) -> None:
    conf = {"bootstrap.servers": embedded.bootstrap}
    assert "another record" in str(_original(conf, incident_of(topic, b"something else of this length")))
    assert "no more" in str(_original(conf, incident_of(topic, b"the whole of it", offset=7)))


def test_b3_an_outage_says_nothing_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_TIMEOUT_S", 0.5)
    with pytest.raises(Unreachable):
        _original({"bootstrap.servers": "127.0.0.1:1"}, incident_of("t", b"the whole of it"))
