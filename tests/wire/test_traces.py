"""Which trace a record belongs to, and what its actions say of it: the same whenever it is handled."""

from __future__ import annotations

import pytest

from orchestrator.engine.handling import Action
from orchestrator.wire.actions import ActionEncoder
from orchestrator.wire.traces import Trace, as_traced, span_of_action, trace_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()
ACTION = Action("send", "a1", "c1", "winback", 2, "i1", "offer", "email", 1, 2)


def test_a_good_header_names_the_trace_and_who_sent_the_record() -> None:
    assert trace_of([("tracestate", b"k=v"), ("traceparent", GOOD)]) == Trace(TRACE, PARENT, "01")
    assert trace_of([("traceparent", GOOD[:-2] + b"03")]) == Trace(TRACE, PARENT, "03")


@pytest.mark.parametrize(
    "odd",
    [
        b"", b"00", GOOD.upper(), GOOD + b"-x", b"01" + GOOD[2:], b"ff" + GOOD[2:], GOOD[:-2] + b"00", GOOD[:-2] + b"0g",
        b"00-" + b"0" * 32 + b"-" + PARENT.encode() + b"-01", f"00-{TRACE}-".encode() + b"0" * 16 + b"-01", b"\xff" * 55, None,
    ],
)  # fmt: skip
def test_one_that_is_odd_or_not_sampled_is_passed_on_untouched(odd: bytes | None) -> None:
    headers = [("traceparent", odd)]
    assert trace_of(headers) is None
    assert as_traced(headers) == headers


def test_two_are_no_trace() -> None:
    assert trace_of([("traceparent", GOOD), ("traceparent", GOOD)]) is None
    assert trace_of(None) is None


def test_an_action_names_its_own_span_where_spans_are_exported_and_else_the_one_that_it_got() -> None:
    source = [("traceparent", GOOD), ("tracestate", b"k=v")]
    plain = ActionEncoder("app").encode(ACTION, source)
    traced = ActionEncoder("app", is_traced=True).encode(ACTION, source)
    assert dict(plain[2])["traceparent"] == GOOD
    assert plain[:2] == traced[:2]
    assert traced[2] == as_traced(plain[2])
    assert dict(traced[2])["traceparent"] == f"00-{TRACE}-{span_of_action(plain[2])}-01".encode()
    assert dict(traced[2])["tracestate"] == b"k=v"
    assert ActionEncoder("app", is_traced=True).encode(ACTION, source) == traced, "a replay gives the same"
    assert ActionEncoder("app", is_traced=True).encode(ACTION) == ActionEncoder("app").encode(ACTION)


def test_each_command_and_each_app_has_a_span_of_its_own() -> None:
    again = Action("send", "a1", "c1", "winback", 2, "i1", "offer", "email", 1, 2, attempt=2)
    spans = {span_of_action(ActionEncoder(app).encode(action)[2]) for app in ("one", "other") for action in (ACTION, again)}
    assert len(spans) == 4
    assert all(len(span) == 16 for span in spans)
