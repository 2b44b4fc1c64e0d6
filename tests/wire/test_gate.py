"""The gate: what is an event, what is an incident, and that nothing else can happen (rule B1)."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Message

from orchestrator.engine.record import Record
from orchestrator.errors import Unreachable
from orchestrator.language.model import EventTopic, Streams
from orchestrator.names import Reason
from orchestrator.wire import framing
from orchestrator.wire.gate import Gate, GateLimits, Refusal
from orchestrator.wire.schemas import EventType
from tests.wire.messages import HERE, NOW, SCHEMAS, STREAMS, TOPIC, event, kafka_message

DAY = 86_400_000
PURCHASE = event("purchase.made", {"quantity": 2, "price": 11.77})
FRAME = 10  # bytes of C3 01 and the fingerprint


def everything(_: str) -> bool:
    return True


def gate(**options: Any) -> Gate:
    return Gate(SCHEMAS, options.pop("streams", STREAMS), options.pop("hears", everything), **options)


def refused(message: Message, **options: Any) -> Refusal:
    found = gate(**options).admit(message, NOW)
    assert isinstance(found, Refusal), found
    return found


def test_t2_a_purchase_becomes_a_record_with_the_kafka_time() -> None:
    found = gate().admit(kafka_message(PURCHASE), NOW)
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    assert found == Record(
        type="purchase.made",
        customer="c1",
        event_id="e1",
        time=NOW - 1000,
        payload={"quantity": 2, "price": 11.77},
        topic=TOPIC,
        partition=3,
        offset=42,
        occurred_at=NOW - 5000,
        schema_id=schema.schema_id,
    )


def test_reserved_fields_are_not_in_the_payload_and_nulls_are() -> None:
    found = gate().admit(kafka_message(event("signup.created", {"plan": "pro"})), NOW)
    assert isinstance(found, Record)
    assert found.payload == {"account_id": None, "plan": "pro", "email": None, "country": None}


def test_a69_profile_fields_stand_at_the_top_of_the_payload() -> None:
    fields = {"email": "a@b.example", "phone": None, "segments": ["vip"], "scores": {"churn": 0.5}, "shoe_size": 43}
    for type_ in ("profile.updated", "preference.updated"):
        found = gate().admit(kafka_message(event(type_, fields)), NOW)
        assert isinstance(found, Record)
        assert found.payload == fields


def test_a55_consent_times_are_integer_milliseconds() -> None:
    payload = {"channel": "*", "purpose": "promotion", "status": "withdrawn", "time": "2026-01-05T00:00:00+01:00"}
    found = gate().admit(kafka_message(event("consent.changed", payload)), NOW)
    assert isinstance(found, Record)
    assert found.payload["time"] == 1_767_567_600_000
    assert found.payload["status"] == "withdrawn"
    assert found.payload["expiry"] is None


def test_an_older_version_is_read_as_the_current_one() -> None:
    old = next(each for each in SCHEMAS.versions() if (each.type, each.version) == ("payment.failed", "1.1"))
    value = old.encode("c1", "e1", 0, {"amount": "12.50", "currency": "AUD"})
    found = gate().admit(kafka_message(value), NOW)
    assert isinstance(found, Record)
    assert found.payload == {"amount": 12.5, "currency": "AUD", "reason": None, "attempt": 1}
    assert found.schema_id == old.schema_id


BROKEN = {
    "tombstone": (kafka_message(None), Reason.NO_VALUE),
    "empty": (kafka_message(b""), Reason.NOT_AVRO),
    "json": (kafka_message(b'{"event": "purchase.made"}'), Reason.NOT_AVRO),
    "wrong second byte": (kafka_message(b"\xc3\x02" + PURCHASE[2:]), Reason.NOT_AVRO),
    "object container file": (kafka_message(b"Obj\x01" + PURCHASE), Reason.NOT_AVRO),
    "only the first byte": (kafka_message(PURCHASE[:1]), Reason.TRUNCATED),
    "half a fingerprint": (kafka_message(PURCHASE[:6]), Reason.TRUNCATED),
    "half a registry id": (kafka_message(b"\x00\x00\x01"), Reason.TRUNCATED),
    "frame without body": (kafka_message(PURCHASE[:FRAME]), Reason.TRUNCATED),
    "last byte missing": (kafka_message(PURCHASE[:-1]), Reason.TRUNCATED),
    "one byte left over": (kafka_message(PURCHASE + b"\x00"), Reason.TRAILING_BYTES),
    "two records": (kafka_message(PURCHASE * 2), Reason.TRAILING_BYTES),
    "unknown fingerprint": (kafka_message(PURCHASE[:2] + b"\x01" * 8 + PURCHASE[FRAME:]), Reason.UNKNOWN_SCHEMA),
    "registry id without a registry": (kafka_message(framing.confluent(7) + PURCHASE[FRAME:]), Reason.UNKNOWN_SCHEMA),
    "text that is no UTF-8": (kafka_message(PURCHASE[:FRAME] + b"\x04\xff\xfe" + PURCHASE[FRAME:]), Reason.UNDECODABLE),
    "no such union branch": (kafka_message(event("account.closed")[:-1] + b"\x12"), Reason.UNDECODABLE),
    "huge length of text": (kafka_message(PURCHASE[:FRAME] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Reason.TRUNCATED),
    "no key": (kafka_message(PURCHASE, key=None), Reason.KEY_ABSENT),
    "empty key": (kafka_message(PURCHASE, key=b""), Reason.KEY_ABSENT),
    "key that is no UTF-8": (kafka_message(PURCHASE, key=b"\xff"), Reason.KEY_MISMATCH),
    "a key of the engine's own": (kafka_message(PURCHASE, key=b"\x00c1"), Reason.KEY_MISMATCH),
    "somebody else's key": (kafka_message(PURCHASE, key=b"c2"), Reason.KEY_MISMATCH),
    "huge key": (kafka_message(PURCHASE, key=b"k" * 1025), Reason.TOO_LARGE),
    "too many headers": (kafka_message(PURCHASE, headers=[("h", b"")] * 65), Reason.TOO_LARGE),
    "too long headers": (kafka_message(PURCHASE, headers=[("h", b"x" * 16_384)]), Reason.TOO_LARGE),
    "no time": (kafka_message(PURCHASE, timestamp=(0, -1)), Reason.TIME_ABSURD),
    "negative time": (kafka_message(PURCHASE, timestamp=(1, -1)), Reason.TIME_ABSURD),
    "more than a day ahead": (kafka_message(PURCHASE, timestamp=(1, NOW + DAY + 1)), Reason.TIME_ABSURD),
    "the year 292278994": (kafka_message(PURCHASE, timestamp=(1, (1 << 63) - 1)), Reason.TIME_ABSURD),
    "a topic nobody named": (kafka_message(PURCHASE, topic="elsewhere"), Reason.NOT_DECLARED),
}


@pytest.mark.parametrize("name", BROKEN)
def test_b1_a_broken_record_is_refused_for_its_reason(name: str) -> None:
    message, reason = BROKEN[name]
    found = refused(message)
    assert found.reason == reason
    assert found.stage == "gate"


@pytest.mark.parametrize("name", BROKEN)
def test_b1_a_refusal_says_nothing_of_the_contents(name: str) -> None:
    """The customer id and the event id of every sample above must not come out in the text."""
    message, _ = BROKEN[name]
    assert "c1" not in refused(message).message
    assert "e1" not in refused(message).message.split()


@pytest.mark.parametrize("cut", range(FRAME, len(PURCHASE)))
def test_b1_a_record_cut_anywhere_is_truncated(cut: int) -> None:
    assert refused(kafka_message(PURCHASE[:cut])).reason == Reason.TRUNCATED


def test_b1_limits_are_inclusive() -> None:
    exact = GateLimits(value_bytes=len(PURCHASE), key_bytes=2, headers=1, header_bytes=3)
    message = kafka_message(PURCHASE, headers=[("ab", b"c")])
    assert isinstance(gate(limits=exact).admit(message, NOW), Record)
    for smaller in (
        GateLimits(value_bytes=len(PURCHASE) - 1),
        GateLimits(key_bytes=1),
        GateLimits(headers=0),
        GateLimits(header_bytes=2),
    ):
        assert refused(message, limits=smaller).reason == Reason.TOO_LARGE


def test_b1_exactly_a_day_ahead_is_taken() -> None:
    assert isinstance(gate().admit(kafka_message(PURCHASE, timestamp=(1, NOW + DAY)), NOW), Record)


def test_b1_the_schema_id_is_named_where_the_record_named_one() -> None:
    assert refused(kafka_message(framing.confluent(7))).schema_id == "7"
    assert refused(kafka_message(PURCHASE[:2] + b"\xab" * 8)).schema_id == "ab" * 8
    assert refused(kafka_message(PURCHASE + b"!")).schema_id == PURCHASE[2:FRAME].hex()


def test_a_type_that_the_topic_does_not_list_is_not_declared() -> None:
    streams = Streams(events=(EventTopic(TOPIC, HERE, ("auth.login",)), EventTopic("shop", HERE, ("purchase.made",))))
    assert refused(kafka_message(PURCHASE), streams=streams).reason == Reason.NOT_DECLARED
    shared = gate(streams=streams)
    assert isinstance(shared.admit(kafka_message(PURCHASE, topic="shop"), NOW), Record)
    assert isinstance(shared.admit(kafka_message(PURCHASE), NOW), Refusal), "what one topic may carry says nothing of another"
    assert isinstance(shared.admit(kafka_message(event("auth.login")), NOW), Record)


def test_the_outcomes_topic_carries_outcomes_only() -> None:
    outcome = event("action.outcome", {"action_id": "a1", "status": "failed", "code": "throttled", "data": {"n": 1}})
    found = gate().admit(kafka_message(outcome, topic=STREAMS.outcomes), NOW)
    assert isinstance(found, Record)
    assert found.payload == {"action_id": "a1", "status": "failed", "code": "throttled", "data": {"n": 1}}
    assert refused(kafka_message(PURCHASE, topic=STREAMS.outcomes)).reason == Reason.NOT_DECLARED


def test_the_messages_of_a_block_are_admitted_as_each_would_be_alone() -> None:
    broken = [message for message, _ in BROKEN.values() if message.topic() == kafka_message(PURCHASE).topic()]
    block = [kafka_message(PURCHASE), *broken, kafka_message(event("auth.login")), kafka_message(PURCHASE, timestamp=(1, NOW))]
    assert len(broken) > 3
    assert gate().admit_all(block, NOW) == [gate().admit(message, NOW) for message in block]


def test_a_type_that_nobody_hears_is_passed_over_but_its_frame_is_judged() -> None:
    def nothing(_: str) -> bool:
        return False

    deaf = gate(hears=nothing)
    assert deaf.admit(kafka_message(PURCHASE), NOW) is None
    assert deaf.admit(kafka_message(PURCHASE[:-1]), NOW) is None, "the body is not decoded"
    for name in ("no key", "huge key", "negative time", "unknown fingerprint", "half a fingerprint", "a topic nobody named"):
        assert isinstance(deaf.admit(BROKEN[name][0], NOW), Refusal), name


class OneSchema:
    """A registry that knows one id and one GUID."""

    def __init__(self, known: EventType) -> None:
        self.asked: list[str] = []
        self._known = known

    def resolve(self, ref: framing.SchemaRef) -> EventType | None:
        self.asked.append(f"{ref.kind} {ref}")
        return self._known if ref.name in (b"\x00\x00\x00\x07", b"\x11" * 16) else None


def registry() -> OneSchema:
    known = SCHEMAS.get("purchase.made")
    assert known is not None
    return OneSchema(known)


def test_a_registry_id_is_looked_up_once() -> None:
    source = registry()
    with_registry = gate(registry=source)
    value = framing.confluent(7) + PURCHASE[FRAME:]
    for _ in range(3):
        found = with_registry.admit(kafka_message(value), NOW)
        assert isinstance(found, Record)
        assert found.schema_id == "7"
    assert source.asked == ["id 7"]
    assert refused(kafka_message(framing.confluent(8)), registry=source).reason == Reason.UNKNOWN_SCHEMA


def test_the_guid_header_is_read_and_the_value_is_the_bare_body() -> None:
    header = [("traceparent", b"00-1-2-01"), (framing.GUID_HEADER, b"\x01" + b"\x11" * 16)]
    found = gate(registry=registry()).admit(kafka_message(PURCHASE[FRAME:], headers=header), NOW)
    assert isinstance(found, Record)
    assert found.payload == {"quantity": 2, "price": 11.77}


def test_the_guid_header_wins_over_what_the_value_looks_like() -> None:
    """A bare body may begin with C3 01 by chance."""
    header: list[tuple[str, bytes | None]] = [(framing.GUID_HEADER, b"\x01" + b"\x22" * 16)]
    shared = gate(registry=registry())
    assert isinstance(shared.admit(kafka_message(PURCHASE), NOW), Record)
    found = shared.admit(kafka_message(PURCHASE, headers=header), NOW)
    assert isinstance(found, Refusal)
    assert found.reason == Reason.UNKNOWN_SCHEMA


def test_a_registry_that_is_down_stops_the_reader_instead_of_making_incidents() -> None:
    class Down:
        def resolve(self, ref: framing.SchemaRef) -> EventType | None:
            raise Unreachable("the registry does not answer")

    with pytest.raises(Unreachable):
        gate(registry=Down()).admit(kafka_message(framing.confluent(7)), NOW)


def test_i2_the_cloud_event_id_stands_in_for_a_missing_event_id_only() -> None:
    headers: list[tuple[str, bytes | None]] = [("ce_id", b"42"), ("ce_source", b"/shop")]
    nameless = event("purchase.made", {"quantity": 1, "price": 1}, event_id="")
    ids = [
        found.event_id
        for found in (
            gate().admit(kafka_message(nameless, headers=headers), NOW),
            gate().admit(kafka_message(nameless, headers=headers[:1]), NOW),
            gate().admit(kafka_message(nameless), NOW),
            gate().admit(kafka_message(PURCHASE, headers=headers), NOW),
        )
        if isinstance(found, Record)
    ]
    assert ids == ["/shop#42", "42", "", "e1"]
