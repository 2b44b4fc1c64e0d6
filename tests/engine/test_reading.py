"""Which fields of an event a program reads: what its expressions name, and all of what is kept whole.

That nothing else matters is held against any history in test_any_history and against the model in tests/model.
"""

from __future__ import annotations

import json

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.names import RESERVED_EVENT_TYPES
from tests.engine.world import POLICY, journey_of, topology

END = "- {id: stop, end: {}}"


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ("now", set()),
        ("event.price * 2.0", {"price"}),
        ("event.device.os == 'x' && has(event.colour)", {"device", "colour"}),
        ("event.occurred_at > now", {"occurred_at"}),
        ("event.customer_id + event.event_id", set()),
        ("'event.price'", set()),
    ],
)
def test_fields_are_read_by_name(data: str, read: set[str]) -> None:
    engine = Engine(topology(journey_of(f"- id: s\n  set: {{journey.x: {json.dumps(data)}}}\n{END}")))
    assert engine.reads("began") == read
    assert engine.reads("other") == frozenset(), "nobody hears it"


def test_entry_exit_goals_keys_context_and_policy_read() -> None:
    journey = journey_of(
        END,
        entry='{on: began, when: event.a == "x", key: event.b, reentry: always}',
        more="""
            context: {c: event.c}
            exit: [{on: left, when: event.d > 1}]
            goals: [{id: g, on: bought, when: event.e > 1, within: 1d}]
        """,
    )
    policy = POLICY + "suppress: [{id: s, on: left, when: event.f > 1, for: 1d, purposes: [care]}]\n"
    engine = Engine(topology(journey, policy=policy))
    assert engine.reads("began") == set("abcdef"), "whatever the type that it is asked of"


def test_what_is_named_kept_to_look_back_or_reserved_is_read_whole() -> None:
    named = journey_of(f"- {{id: w, hold_until: [{{on: bought, as: order}}, {{on: left}}], timeout: 1d}}\n{END}")
    assert Engine(topology(named)).reads("bought") is None
    assert Engine(topology(named)).reads("left") == frozenset()
    back = journey_of(f"- {{id: w, hold_until: [{{on: bought}}], timeout: 1d, lookback: 2h}}\n{END}")
    assert Engine(topology(back)).reads("bought") is None
    assert {Engine(topology(named)).reads(event_type) for event_type in RESERVED_EVENT_TYPES} == {None}
