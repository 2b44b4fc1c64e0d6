"""The broken payloads: the gate refuses each for the very reason it was made for (rule B1)."""

from __future__ import annotations

from collections import Counter

import pytest

from orchestrator.engine.record import Record
from orchestrator.language.model import EventTopic, Place, Streams
from orchestrator.names import RESERVED_EVENT_TYPES, Reason
from orchestrator.operate.demo.broken import Broken, broken
from orchestrator.operate.demo.events import utc_ms
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.lines import EventLine
from orchestrator.wire.schemas import SchemaSet, load_schemas

TOPIC = "customer.events"

# What no producer can cause on the shipped topic: no shipped schema nests, and the others are the engine's own.
NOT_FROM_PRODUCERS = {
    Reason.TOO_DEEP, Reason.KEY_MISSING, Reason.HANDLER_ERROR, Reason.LOOP, Reason.DOCUMENT_TOO_LARGE, Reason.CONTEXT_TOO_LARGE,
    Reason.OUTPUT_TOO_LARGE, Reason.ACTION_FAILED, Reason.MERGE_CYCLE, Reason.MERGE_ELSEWHERE, Reason.ALERT,
    Reason.UNUSABLE_EVENT, Reason.VERSION_MISSING, Reason.CRASHED_WORKER, Reason.PARTITION_STOPPED,
}  # fmt: skip


class Message:
    def __init__(self, record: Broken) -> None:
        self._record = record

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self._record.headers) or None

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.at


@pytest.fixture(scope="module")
def schemas() -> SchemaSet:
    return load_schemas()


@pytest.fixture(scope="module")
def records(schemas: SchemaSet) -> list[Broken]:
    def encode(event: EventLine) -> bytes:
        schema = schemas.get(event.event)
        assert schema is not None
        return schema.encode(event.customer, event.id, event.at, event.data)

    return broken(encode)


@pytest.fixture(scope="module")
def gate(schemas: SchemaSet) -> Gate:
    carried = tuple(sorted(schemas.types - {"action.outcome"}))
    return Gate(schemas, Streams(events=(EventTopic(TOPIC, Place("streams.yaml", 1, 1), carried),)), lambda event: True)


def test_b1_the_gate_refuses_each_for_its_reason(gate: Gate, records: list[Broken]) -> None:
    now = utc_ms(2026, 1, 1)
    for record in records:
        refusal = gate.admit(Message(record), now)
        assert isinstance(refusal, Refusal), record.reason
        assert refusal.reason == record.reason


def test_b1_the_sample_that_was_broken_is_whole_before(gate: Gate, records: list[Broken]) -> None:
    mismatch = next(record for record in records if record.reason == Reason.KEY_MISMATCH)
    whole = Broken(b"x002", mismatch.value, mismatch.at, "")
    assert isinstance(gate.admit(Message(whole), utc_ms(2026, 1, 1)), Record)


def test_b1_every_reason_that_a_producer_can_cause_is_there(records: list[Broken]) -> None:
    reasons = {value for name, value in vars(Reason).items() if name.isupper()} - NOT_FROM_PRODUCERS
    assert {record.reason for record in records} == reasons
    assert len(records) == 32
    assert Counter(record.reason for record in records)[Reason.UNDECODABLE] == 4


def test_no_broken_record_is_about_somebody_of_the_cohort(records: list[Broken]) -> None:
    assert all(not (record.key or b"").startswith(b"u") for record in records)
    assert "action.outcome" in RESERVED_EVENT_TYPES
