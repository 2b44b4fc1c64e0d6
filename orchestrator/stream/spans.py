"""What a cycle did, as spans of the traces that its records belong to: one for each record, and below it one for each action."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.engine.handling import Action, Handling
from orchestrator.observe.tracing import Span
from orchestrator.stream.clock import WallClock
from orchestrator.wire.actions import command_id
from orchestrator.wire.gate import Refusal
from orchestrator.wire.traces import Trace, span_of, span_of_action, trace_of

_KAFKA: Final = {"messaging.system": "kafka"}


class Spans:
    """Collects a cycle's spans. What timers did belongs to no trace: the one that once began it ended long ago."""

    def __init__(self, app: str, wall: WallClock) -> None:
        self._app = app
        self._wall = wall
        self._spans: list[Span] = []

    def handled(self, handling: Handling, message: Any) -> None:
        """Note what a record did to a customer. One that did something to several is one span."""
        if not handling.event or (trace := trace_of(message.headers())) is None:
            return
        span = self._of_record(message, trace)
        told = span.attributes
        told["orchestrator.event.type"] = handling.event
        told["orchestrator.decisions"] = told.get("orchestrator.decisions", 0) + len(handling.decisions)
        if journeys := {each.journey for each in handling.decisions if each.journey}:
            told["orchestrator.journeys"] = sorted(journeys.union(told.get("orchestrator.journeys", ())))
        if handling.incidents:
            span.failure = handling.incidents[0].reason

    def refused(self, message: Any, refusal: Refusal) -> None:
        """Note a record that the gate refused."""
        if (trace := trace_of(message.headers())) is not None:
            self._of_record(message, trace).failure = refusal.reason

    def acted(self, action: Action, topic: str, headers: list[tuple[str, bytes]], message: Any) -> None:
        """Note an action that a record brought about; `headers` are those that it goes out with."""
        if (trace := trace_of(message.headers())) is None:
            return
        attributes = _KAFKA | {
            "messaging.operation.name": "send", "messaging.operation.type": "send",
            "messaging.destination.name": topic, "messaging.destination.partition.id": str(message.partition()),
            "messaging.message.id": command_id(action),
            "orchestrator.action.id": action.action_id, "orchestrator.action.kind": action.kind,
            "orchestrator.journey": action.journey, "orchestrator.journey.version": action.version,
            "orchestrator.step": action.step, "orchestrator.channel": action.channel,
        }  # fmt: skip
        self._spans.append(
            Span(
                f"send {topic}", "producer", trace.trace_id, span_of_action(headers), self._id(message), self._wall(), attributes
            )
        )

    def _of_record(self, message: Any, trace: Trace) -> Span:
        span_id = self._id(message)
        for span in reversed(self._spans):
            if span.kind == "consumer":
                if span.span_id == span_id:
                    return span
                break
        topic = message.topic()
        attributes = _KAFKA | {
            "messaging.operation.name": "process", "messaging.operation.type": "process",
            "messaging.destination.name": topic, "messaging.destination.partition.id": str(message.partition()),
            "messaging.kafka.offset": message.offset(), "messaging.consumer.group.name": self._app,
        }  # fmt: skip
        self._spans.append(Span(f"process {topic}", "consumer", trace.trace_id, span_id, trace.parent, self._wall(), attributes))
        return self._spans[-1]

    def _id(self, message: Any) -> str:
        return span_of(f"/{self._app}", message.topic(), str(message.partition()), str(message.offset()))

    def take(self) -> list[Span]:
        """Give what was collected and begin anew."""
        found, self._spans = self._spans, []
        return found
