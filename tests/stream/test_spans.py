"""What a cycle did as spans: told once Kafka has it, under the trace of the record, and without who the customer is."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.handling import Action, Decision, Handling
from orchestrator.engine.outputs import Incident
from orchestrator.names import Reason
from orchestrator.observe.tracing import Span
from orchestrator.stream.blocks import Block
from orchestrator.stream.outbox import Outbox
from tests.stream.bench import EVENTS, NUMBER, START, TOPOLOGY, Bench, block, purchase, raw
from tests.wire.test_traces import GOOD, PARENT, TRACE

WHO = "ann@example.org"


class Recording:
    """Keeps what a tracer is given."""

    def __init__(self) -> None:
        self.spans: list[tuple[Span, int]] = []

    def emit(self, spans: list[Span], ended: int) -> None:
        self.spans += [(span, ended) for span in spans]


@pytest.fixture
def tracer() -> Recording:
    return Recording()


@pytest.fixture
def outbox(bench: Bench, tracer: Any) -> Outbox:
    return Outbox(TOPOLOGY, lambda: bench.now, (), tracer)


def _handling(event: str = "purchase.made", **more: Any) -> Handling:
    action = Action("send", "a1", WHO, "winback", 2, "i1", "offer", "email", START, START + 1, data={"who": WHO})
    decision = Decision("entered", "winback", 2, "i1", WHO, "recent", detail={"expression": "x"})
    return Handling(WHO, START, event, f"id-{WHO}", [decision], [action], **more)


def _message(offset: int = 7, header: bytes | None = GOOD) -> Any:
    made = purchase(WHO, START, offset)
    made.set_headers([] if header is None else [("traceparent", header), ("who", WHO.encode())])
    return made


def test_a_record_and_its_action_are_spans_of_the_records_trace(bench: Bench, outbox: Outbox, tracer: Recording) -> None:
    outbox.handling(NUMBER, _handling(), _message())
    records = outbox.take()
    assert tracer.spans == [], "Kafka does not have it yet"
    bench.now += 50
    outbox.landed()
    (sent, ended), (handled, _) = tracer.spans
    assert ended == bench.now
    assert (handled.trace_id, handled.parent, handled.kind, handled.name) == (TRACE, PARENT, "consumer", f"process {EVENTS}")
    assert (sent.trace_id, sent.parent, sent.kind) == (TRACE, handled.span_id, "producer")
    assert (handled.began, sent.began) == (bench.now - 50, bench.now - 50)
    assert handled.attributes["messaging.kafka.offset"] == 7
    assert handled.attributes["orchestrator.event.type"] == "purchase.made"
    assert handled.attributes["orchestrator.journeys"] == ["winback"]
    assert sent.attributes["orchestrator.action.id"] == "a1"
    assert (sent.attributes["orchestrator.journey"], sent.attributes["orchestrator.step"]) == ("winback", "offer")
    (command,) = [each for each in records if each.topic == "journeys.actions.email"]
    assert dict(command.headers)["traceparent"] == f"00-{TRACE}-{sent.span_id}-01".encode()
    assert WHO not in repr(tracer.spans)


def test_a_dropped_cycle_tells_nothing_and_doing_it_again_gives_the_same_ids(outbox: Outbox, tracer: Recording) -> None:
    outbox.handling(NUMBER, _handling(), _message())
    first = outbox.take()
    outbox.dropped()
    outbox.landed()
    assert tracer.spans == []
    outbox.handling(NUMBER, _handling(), _message())
    assert outbox.take() == first
    outbox.landed()
    assert len({span.span_id for span, _ in tracer.spans}) == 2


@pytest.mark.parametrize("header", [None, b"odd", GOOD[:-2] + b"00"])
def test_a_record_of_no_recorded_trace_has_no_span(outbox: Outbox, tracer: Recording, header: bytes | None) -> None:
    outbox.handling(NUMBER, _handling(), _message(header=header))
    (command,) = [each for each in outbox.take() if each.topic == "journeys.actions.email"]
    outbox.landed()
    assert tracer.spans == []
    assert dict(command.headers).get("traceparent") == header, "passed on as it came"


def test_what_a_timer_did_is_of_no_trace_even_where_a_record_made_it_fire(outbox: Outbox, tracer: Recording) -> None:
    outbox.handling(NUMBER, _handling(event=""), _message())
    (command,) = [each for each in outbox.take() if each.topic == "journeys.actions.email"]
    outbox.landed()
    assert tracer.spans == []
    assert "traceparent" not in dict(command.headers)


def test_a_record_that_did_something_to_several_customers_is_one_span(outbox: Outbox, tracer: Recording) -> None:
    message = _message()
    outbox.handling(NUMBER, _handling(), message)
    outbox.handling(NUMBER, Handling("other", START, "purchase.made", "", [Decision("exited", "abandoned")]), message)
    outbox.handling(NUMBER, _handling(), _message(8))
    outbox.take()
    outbox.landed()
    handled = [span for span, _ in tracer.spans if span.kind == "consumer"]
    assert [span.attributes["messaging.kafka.offset"] for span in handled] == [7, 8]
    assert handled[0].attributes["orchestrator.decisions"] == 2
    assert handled[0].attributes["orchestrator.journeys"] == ["abandoned", "winback"]


def test_a_failure_shows(bench: Bench, outbox: Outbox, tracer: Recording) -> None:
    outbox.handling(NUMBER, _handling(incidents=[Incident(Reason.LOOP, "round and round", "winback", 2)]), _message())
    refused = raw(f"?{WHO}".encode(), WHO.encode(), START, 9)
    refused.set_headers([("traceparent", GOOD)])
    made: Block = block(refused)
    bench.partition.handle(made, outbox)
    outbox.take()
    outbox.landed()
    assert [span.failure for span, _ in tracer.spans if span.kind == "consumer"] == [Reason.LOOP, Reason.NOT_AVRO]
    assert WHO not in repr(tracer.spans)
