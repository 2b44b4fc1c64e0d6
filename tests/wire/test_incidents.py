"""Incidents: the original untouched, what happened in headers, nothing of the contents in any of them (rules B1, A5)."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from confluent_kafka import Message

from orchestrator.engine.handling import Handling
from orchestrator.engine.outputs import Incident
from orchestrator.names import Reason
from orchestrator.wire.gate import Refusal
from orchestrator.wire.incidents import incident_from_engine, incident_from_refusal, incident_timestamp
from tests.wire.messages import NOW, kafka_message

REFUSAL = Refusal(Reason.TRAILING_BYTES, "bytes follow the end of the record", "abcd")
ORIGINAL: list[tuple[str, bytes | None]] = [("x-source", b"shop"), ("x-source", b"again"), ("empty", None)]
LIMIT = 1_000


def refused(message: Message, refusal: Refusal = REFUSAL) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]:
    return incident_from_refusal(message, refusal, "journeys", "1.2.3", LIMIT)


def test_b1_the_original_is_untouched_and_the_reason_stands_in_headers() -> None:
    key, value, headers = refused(kafka_message(b"\x00broken", key=b"\xff", headers=ORIGINAL))
    assert (key, value) == (b"\xff", b"\x00broken")
    assert headers[:3] == ORIGINAL
    assert dict(headers[3:]) == {
        "__streams.errors.exception": b"orchestrator.trailing_bytes",
        "__streams.errors.message": b"bytes follow the end of the record",
        "__streams.errors.topic": b"customer.events",
        "__streams.errors.partition": b"3",
        "__streams.errors.offset": b"42",
        "orchestrator.incident.id": b"customer.events-3-42",
        "orchestrator.incident.reason": b"trailing_bytes",
        "orchestrator.incident.stage": b"gate",
        "orchestrator.source.timestamp": str(NOW - 1000).encode(),
        "orchestrator.schema.id": b"abcd",
        "orchestrator.app": b"journeys",
        "orchestrator.app.version": b"1.2.3",
        "orchestrator.severity": b"error",
    }


def test_b1_a_record_without_value_or_key_keeps_having_none() -> None:
    key, value, _ = refused(kafka_message(None, key=None))
    assert (key, value) == (None, None)


def test_b1_exactly_the_limit_is_whole() -> None:
    _, value, headers = refused(kafka_message(b"x" * LIMIT))
    assert value == b"x" * LIMIT
    assert "orchestrator.truncated" not in dict(headers)


def test_b1_what_no_topic_takes_is_cut_and_says_so() -> None:
    original = b"x" * LIMIT + b"y"
    message = kafka_message(original, key=b"k" * 5000, headers=[("h", b"z" * 10_000)] * 3)
    key, value, headers = refused(message, Refusal(Reason.TOO_LARGE, "too large"))
    assert (key, value) == (b"k" * 1024, b"x" * LIMIT)
    assert headers[0] == ("h", b"z" * 10_000)
    assert [name for name, _ in headers].count("h") == 1
    told = dict(headers)
    assert told["orchestrator.truncated"] == b"value,key,headers"
    assert told["orchestrator.sha256"] == hashlib.sha256(original).hexdigest().encode()
    assert told["__streams.errors.offset"] == b"42", "where the whole of it still is"


def test_b1_ten_thousand_headers_do_not_pass() -> None:
    _, _, headers = refused(kafka_message(b"", headers=[("", b"")] * 10_000))
    assert len(headers) < 100
    assert dict(headers)["orchestrator.truncated"] == b"headers"


def test_b1_a_time_that_a_broker_would_refuse_is_not_used() -> None:
    times = [(1, 5), (1, NOW), (1, NOW + 1), (1, -1), (0, -1), (1, (1 << 63) - 1)]
    messages = [kafka_message(b"", timestamp=time) for time in times]
    assert [incident_timestamp(each, REFUSAL, NOW) for each in messages] == [5, NOW, NOW, NOW, NOW, NOW]


def engine_incident(
    message: Message | None, handling: Handling, index: int = 0
) -> tuple[bytes | None, bytes | None, dict[str, Any]]:
    stage: Any = "engine" if handling.event else "timer"
    incident = Incident(Reason.LOOP, "100 transitions", "onboarding", 3, "i-1", "welcome", stage=stage)
    key, value, headers = incident_from_engine(incident, handling, index, message, ("journeys", "1.2.3"))
    return key, value, dict(headers)


def test_a5_an_incident_of_the_engine_carries_the_record_and_the_place_in_the_journey() -> None:
    key, value, headers = engine_incident(kafka_message(b"bytes", headers=ORIGINAL), Handling("c1", NOW, "auth.login", "e1"), 1)
    assert (key, value) == (b"c1", b"bytes")
    assert headers["x-source"] == b"again"
    assert headers["orchestrator.incident.id"] == b"customer.events-3-42/1"
    assert headers["orchestrator.incident.reason"] == b"loop"
    assert headers["orchestrator.incident.stage"] == b"engine"
    assert headers["orchestrator.journey"] == b"onboarding"
    assert headers["orchestrator.journey.version"] == b"3"
    assert headers["orchestrator.step"] == b"welcome"


def test_a5_a_timers_incident_says_itself_what_there_is_to_say() -> None:
    for at_hand in (None, kafka_message(b"a record that has nothing to do with it")):
        key, value, headers = engine_incident(at_hand, Handling("c1", NOW), 2)
        assert key == b"c1"
        assert value is not None
        assert orjson.loads(value) == {
            "reason": "loop",
            "message": "100 transitions",
            "customer": "c1",
            "at": NOW,
            "journey": "onboarding",
            "version": 3,
            "instance": "i-1",
            "step": "welcome",
            "severity": "error",
        }
        assert headers["orchestrator.incident.id"] == f"i-1@{NOW}/2".encode()
        assert "__streams.errors.offset" not in headers


def test_i3_the_same_incident_has_the_same_id() -> None:
    handling = Handling("c1", NOW)
    assert engine_incident(None, handling) == engine_incident(None, handling)
