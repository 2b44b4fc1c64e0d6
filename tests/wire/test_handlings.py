"""The decision log's bytes: written by hand for speed, so held against fastavro field by field."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.handling import Decision, Handling
from orchestrator.names import Kind
from orchestrator.wire import handlings
from orchestrator.wire.handlings import HandlingEncoder, decode_handling
from orchestrator.wire.ours import our_schema

WORDS = ("journey", "state", "step", "reason", "by", "outcome", "arm", "channel", "instance", "key", "action_id")
TEXT = st.text(max_size=70)
DECISIONS = st.builds(
    Decision,
    kind=st.sampled_from([Kind.ENTERED, Kind.HOLD_STARTED, Kind.ALERT]),
    version=st.integers(0, 5000),
    detail=st.none() | st.dictionaries(TEXT, TEXT, max_size=3),
    **dict.fromkeys(WORDS, TEXT),
)
HANDLINGS = st.builds(
    Handling,
    customer=TEXT,
    at=st.integers(-(1 << 63), (1 << 63) - 1),
    event=TEXT,
    event_id=TEXT,
    decisions=st.lists(DECISIONS, max_size=8),
)
ENCODER = HandlingEncoder()


def by_fastavro(handling: Handling, source: dict[str, Any] | None) -> bytes:
    """The same record, encoded by a library that reads the schema."""
    schema = our_schema("Handling")
    decisions = [
        {"kind": d.kind, "version": d.version, "detail": d.detail or {}, **{name: getattr(d, name) or None for name in WORDS}}
        for d in handling.decisions
    ]
    plain = {
        "customer": handling.customer,
        "at": handling.at,
        "event": handling.event or None,
        "event_id": handling.event_id or None,
        "source": source,
        "decisions": decisions,
    }
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, plain)
    return out.getvalue()


@given(HANDLINGS, st.integers(0, 1 << 40))
def test_the_bytes_are_those_of_fastavro(handling: Handling, offset: int) -> None:
    source = {"topic": "customer.events", "partition": 7, "offset": offset} if handling.event else None
    key, value, headers = ENCODER.encode(handling, "customer.events", 7, offset)
    assert value == by_fastavro(handling, source)
    assert (key, headers) == (handling.customer.encode(), [])


def test_a_timer_has_no_source_even_where_a_record_is_at_hand() -> None:
    _, value, _ = ENCODER.encode(Handling("c1", 5), "customer.events", 7, 9)
    found = decode_handling(value)
    assert found == {"customer": "c1", "at": 5, "event": None, "event_id": None, "source": None, "decisions": []}


def test_what_is_kept_does_not_leak_from_one_decision_to_the_next() -> None:
    decisions = [
        Decision(Kind.ENTERED, "j", 1, instance="i1", state="a"),
        Decision(Kind.ENTERED, "j", 1, instance="i2", state="a", key="k"),
        Decision(Kind.ENTERED, "j", 1, state="a"),
        Decision(Kind.ACTION_EMITTED, "j", 1, instance="i2", action_id="x", detail={"a": "b"}),
    ]
    found = decode_handling(ENCODER.encode(Handling("c", 1, "e", "id", decisions))[1])["decisions"]
    shown = [(each["instance"], each["key"], each["action_id"], each["detail"]) for each in found]
    assert shown == [("i1", None, None, {}), ("i2", "k", None, {}), (None, None, None, {}), ("i2", None, "x", {"a": "b"})]


@pytest.mark.interpreted
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlings, "_KEPT", 3)
    encoder = HandlingEncoder()
    for number in range(10):
        handling = Handling("c", 1, "e", "id", [Decision(Kind.ALERT, reason=str(number))])
        assert encoder.encode(handling)[1] == by_fastavro(handling, None)
    assert len(encoder._repeated) <= 3


@pytest.mark.parametrize("damage", [b"", b"\xc3\x01", b"x" * 40])
def test_other_bytes_are_no_handling(damage: bytes) -> None:
    with pytest.raises(ValueError, match="not a Handling record"):
        decode_handling(damage)


def test_a_damaged_handling_is_said_to_be_damaged() -> None:
    value = ENCODER.encode(Handling("c1", 5, "e", "id", [Decision(Kind.ENTERED)]))[1]
    for damaged in (value[:-1], value + b"\x00", value[:11]):
        with pytest.raises(ValueError, match="damaged Handling"):
            decode_handling(damaged)
