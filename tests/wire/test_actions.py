"""Actions on the wire: fastavro must agree about every byte, CloudEvents headers must tell commands apart (rule A1)."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.handling import Action
from orchestrator.engine.outputs import ConsentUsed
from orchestrator.wire.actions import ActionEncoder, command_id, decode_action
from orchestrator.wire.lines import action_line
from orchestrator.wire.ours import our_schema

TEXT = st.text(max_size=70)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
SCALARS = st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXT, SCALARS, max_size=3)
TIMES = st.integers(0, 4_000_000_000_000)
ACTIONS = st.builds(
    Action,
    kind=st.sampled_from(["send", "call", "cancel"]),
    created_at=TIMES,
    expires_at=TIMES,
    version=st.integers(1, 9999),
    attempt=st.integers(1, 9),
    urgency=st.sampled_from(["high", "medium", "low"]),
    urgent=st.booleans(),
    data=st.dictionaries(TEXT, VALUES, max_size=4),
    consent=st.none() | st.builds(ConsentUsed, status=TEXT, at=TIMES, source=TEXT, version=TEXT),
    arms=st.dictionaries(TEXT, TEXT, max_size=2),
    handoff=st.none() | st.dictionaries(TEXT, VALUES, max_size=2),
    **dict.fromkeys(
        ("action_id", "customer", "journey", "instance", "step", "channel", "purpose", "template", "action", "key"), TEXT
    ),
)
ENCODER = ActionEncoder("journeys")


def example(**changes: Any) -> Action:
    plain = {
        "kind": "send",
        "action_id": "a1",
        "customer": "c1",
        "journey": "winback",
        "version": 2,
        "instance": "i1",
        "step": "offer",
        "channel": "email",
        "created_at": 852_076_800_000,
        "expires_at": 852_163_200_000,
        "purpose": "winback",
        "template": "come-back",
    }
    return Action(**{**plain, **changes})


def by_fastavro(action: Action) -> bytes:
    """The same record, encoded by a library that reads the schema."""

    def value(each: Any) -> Any:
        return {"json": orjson.dumps(each, option=orjson.OPT_SORT_KEYS).decode()} if isinstance(each, list | dict) else each

    plain = action.fields() | {name: getattr(action, name) or None for name in ("template", "action", "key")}
    plain["data"] = {name: value(each) for name, each in action.data.items()}
    plain["handoff"] = None if action.handoff is None else {name: value(each) for name, each in action.handoff.items()}
    plain["consent"] = None
    if (used := action.consent) is not None:
        plain["consent"] = {
            "status": used.status,
            "at": used.at or None,
            "source": used.source or None,
            "version": used.version or None,
        }
    schema = our_schema("Action")
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, plain)
    return out.getvalue()


@given(ACTIONS)
def test_a1_the_bytes_are_those_of_fastavro(action: Action) -> None:
    key, value, _ = ENCODER.encode(action)
    assert value == by_fastavro(action)
    assert key == action.customer.encode()


@given(ACTIONS)
def test_a1_what_was_written_is_read(action: Action) -> None:
    found = decode_action(ENCODER.encode(action)[1])
    assert found["data"] == action.data
    assert found["handoff"] == action.handoff
    assert (found["created_at"], found["expires_at"], found["arms"]) == (action.created_at, action.expires_at, action.arms)


def test_values_that_avro_does_not_know_become_text() -> None:
    data = {
        "moment": datetime(2026, 1, 5, 11, tzinfo=UTC),
        "span": timedelta(hours=1),
        "raw": b"hi",
        "huge": 1 << 70,
        "nested": {"moment": datetime(2026, 1, 5, 11, tzinfo=UTC), "span": timedelta(seconds=1.5)},
        "deep": {"huge": 1 << 70},
    }
    found = decode_action(ENCODER.encode(example(data=data))[1])["data"]
    assert found == {
        "moment": "2026-01-05T11:00:00Z",
        "span": "3600.000s",
        "raw": "aGk=",
        "huge": str(1 << 70),
        "nested": {"moment": "2026-01-05T11:00:00Z", "span": "1.500s"},
        "deep": {"huge": pytest.approx(1 << 70)},
    }


def test_cloud_event_headers_say_what_and_from_where() -> None:
    assert ENCODER.encode(example())[2] == [
        ("ce_id", b"a1"),
        ("ce_type", b"journeys.action.send"),
        ("ce_time", b"1997-01-01T00:00:00.000Z"),
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/journeys"),
        ("content-type", b"application/avro"),
    ]


def test_a2_a_repeat_and_a_cancel_are_commands_of_their_own() -> None:
    """A service that drops a known ce_id must not drop these, though their action_id is the same."""
    commands = [example(), example(kind="call", attempt=2), example(kind="call", attempt=3), example(kind="cancel")]
    assert [command_id(each) for each in commands] == ["a1", "a1/2", "a1/3", "a1/cancel"]
    assert {decode_action(ENCODER.encode(each)[1])["action_id"] for each in commands} == {"a1"}


def test_the_trace_is_passed_on_and_nothing_else_is() -> None:
    source: list[tuple[str, bytes | None]] = [
        ("traceparent", b"00-1-2-01"),
        ("ce_id", b"other"),
        ("tracestate", b"k=v"),
        ("tracestate", None),
        ("secret", b"s"),
    ]
    added = ENCODER.encode(example(), source)[2][6:]
    assert added == [("traceparent", b"00-1-2-01"), ("tracestate", b"k=v")]
    assert len(ENCODER.encode(example())[2]) == 6, "nothing stays from the action before"


def test_an_action_as_a_line_begins_with_its_time_and_has_nothing_empty() -> None:
    line = action_line(decode_action(ENCODER.encode(example(data={"n": 0, "gone": None}))[1]))
    assert line == {
        "at": "1997-01-01T00:00:00Z",
        "kind": "send",
        "journey": "winback",
        "version": 2,
        "step": "offer",
        "channel": "email",
        "purpose": "winback",
        "template": "come-back",
        "urgency": "medium",
        "urgent": False,
        "action_id": "a1",
        "customer": "c1",
        "instance": "i1",
        "attempt": 1,
        "data": {"n": 0, "gone": None},
        "expires_at": "1997-01-02T00:00:00Z",
    }
    assert next(iter(line)) == "at"
