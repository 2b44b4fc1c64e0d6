"""Any bytes whatever: the gate answers with a record, a refusal or nothing, and never with an exception."""

from __future__ import annotations

import random

from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.record import Record
from orchestrator.names import Reason
from orchestrator.wire.gate import Gate, Refusal
from tests.wire.messages import NOW, SCHEMAS, STREAMS, event, kafka_message

GATE = Gate(SCHEMAS, STREAMS, lambda _: True)
SKIMMING = Gate(SCHEMAS, STREAMS, lambda _: True, reads=lambda _: frozenset({"price"}))

SAMPLES = [
    event("purchase.made", {"quantity": 2, "price": 11.77}),
    event("signup.created", {"plan": "pro", "email": "a@b.example"}),
    event("payment.failed", {"amount": 12, "currency": "AUD", "reason": "card_declined"}),
    event("consent.changed", {"channel": "*", "purpose": "p", "status": "granted", "time": 5, "source": "form"}),
    event("profile.updated", {"a": None, "b": True, "c": 5, "d": 0.5, "e": "x", "f": ["y", "z"], "g": {"h": 1.0}}),
    event("action.outcome", {"action_id": "a", "status": "failed", "data": {"k": "v"}}),
]
FRAMES = [sample[:10] for sample in SAMPLES]
NAMES = st.sampled_from(["ce_id", "__value_schema_id", "x"])
HEADERS = st.none() | st.lists(st.tuples(NAMES, st.none() | st.binary()), max_size=70)


def check(message: Message) -> None:
    found = GATE.admit(message, NOW)
    assert found is None or isinstance(found, Record | Refusal)
    skimmed = SKIMMING.admit(message, NOW)
    if isinstance(found, Record):
        assert found.customer.encode() == message.key()
        assert isinstance(skimmed, Record)
        of_those = {name: value for name, value in found.payload.items() if name in skimmed.payload}
        assert str(skimmed.payload) == str(of_those), "as text: a NaN is not equal to itself"
    if isinstance(found, Refusal) and found != skimmed:
        assert found.reason == Reason.UNDECODABLE, "text that nobody reads may be no text"
        assert "UnicodeDecodeError" in found.message


@given(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=20), HEADERS, st.integers(-(1 << 63), (1 << 63) - 1))
def test_b1_random_messages_never_raise(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]] | None, time: int
) -> None:
    check(kafka_message(value, key=key, headers=headers, timestamp=(1, time)))


@settings(max_examples=500)
@given(st.sampled_from(FRAMES), st.binary(max_size=200))
def test_b1_random_bodies_behind_a_good_frame_never_raise(frame: bytes, body: bytes) -> None:
    check(kafka_message(frame + body))


@settings(max_examples=500)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
def test_b1_mutated_events_never_raise(sample: bytes, changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(sample)
    for position, byte in changes:
        mutated[position % len(mutated)] = byte
    check(kafka_message(bytes(mutated)))


def test_b1_every_single_byte_changed_to_every_extreme_never_raises() -> None:
    for sample in SAMPLES:
        for position in range(len(sample)):
            for byte in (0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFE, 0xFF):
                check(kafka_message(sample[:position] + bytes([byte]) + sample[position + 1 :]))


def test_b1_a_record_changed_in_one_bit_is_another_record_or_a_refusal_but_never_a_crash() -> None:
    seed = 20_261_122
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(3_000):
        sample = bytearray(chance.choice(SAMPLES))
        sample[chance.randrange(len(sample))] ^= 1 << chance.randrange(8)
        check(kafka_message(bytes(sample)))
