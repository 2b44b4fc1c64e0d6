"""Asking workers to do something about customers: requests onto the operators' topic, and what came of them.

A request is a record like any other, so whoever asks reads the answer where all decisions are: read_committed, from where the
logs ended before.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import TopicPartition
from msgspec import Struct, field

from orchestrator import kafka
from orchestrator.language.model import Streams
from orchestrator.names import OPERATION_REQUESTED, Header, Kind
from orchestrator.operate.documents import ranges
from orchestrator.operate.produce import Encoder, EventProducer, check_topics
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.lines import EventLine
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import SchemaSet

_AT_ONCE: Final = 500  # requests on their way; what an operator ends with Ctrl-C is at most so much further than what was told

Place = tuple[int, int]  # partition and offset of the operators' topic


class Request(Struct, frozen=True, omit_defaults=True):
    """What to do about one customer, by whom and why; fields as in operation.requested.avsc. `at` is ms UTC."""

    operation: str
    customer: str
    requested_by: str
    reason: str
    at: int
    journey: str | None = None
    key: str | None = None
    step: str | None = None
    state: str | None = None
    until: int | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def line(self) -> EventLine:
        """Give it as an event."""
        asked = {name: getattr(self, name) for name in ("operation", "requested_by", "reason")}
        optional = {name: getattr(self, name) for name in ("journey", "key", "step", "state", "until")}
        given = asked | {name: value for name, value in optional.items() if value is not None}
        return EventLine(self.at, self.customer, OPERATION_REQUESTED, self.id, given)


class Answer(Struct, frozen=True):
    """What came of a request. `place` is the request's, `decided` the decisions' (partition, offset), None while nobody has
    handled it; `incident` is the reason where it became one."""

    request: Request
    place: Place
    decided: Place | None = None
    decisions: tuple[dict[str, Any], ...] = ()
    incident: str = ""

    @property
    def is_done(self) -> bool:
        """Whether something was done."""
        return any(each["kind"] == Kind.OPERATED for each in self.decisions)

    @property
    def refusals(self) -> list[str]:
        """Why the worker did not do it, or not to all that was meant."""
        said = [each["reason"] for each in self.decisions if each["kind"] == Kind.OPERATION_REFUSED]
        return said + ([self.incident] if self.incident else [])


class Desk:
    """Takes requests to the workers of one app."""

    def __init__(self, conf: Mapping[str, Any], streams: Streams, schemas: SchemaSet) -> None:
        """Raises Unreachable, TopicMismatch where the operators' topic is missing."""
        self._conf = conf
        self._streams = streams
        self._encoder = Encoder(schemas, streams)
        check_topics(kafka.partition_counts(kafka.reach(conf)), [streams.operations], streams.partitions)

    def ask(
        self, requests: Sequence[Request], wait_s: float, progress: Callable[[int], None] = lambda done: None
    ) -> list[Answer]:
        """Write the requests, and wait until workers have handled them, or `wait_s` passed without any answer.

        At most `_AT_ONCE` are on their way at a time. Once one goes unanswered no more are written: the answers are fewer then.
        Blocks; raises Unreachable and RefusedByState where a request could not be written.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), _AT_ONCE):
            answers += self._ask(requests[start : start + _AT_ONCE], wait_s)
            progress(len(answers))
            if any(each.decided is None for each in answers[start:]):
                break
        return answers

    def _ask(self, requests: Sequence[Request], wait_s: float) -> list[Answer]:
        numbers = {partition_for(each.customer.encode(), self._streams.partitions) for each in requests}
        logs = (self._streams.transitions, self._streams.incidents)
        ends = [
            TopicPartition(topic, number, end)
            for topic in logs
            for number, (_, end) in ranges(self._conf, topic, numbers).items()
        ]
        producer = _Placing(self._conf, self._encoder)
        for each in requests:
            producer.send(each.line())
        producer.close()
        answers = {place: Answer(request, place) for request, place in zip(requests, producer.in_order(requests), strict=True)}
        waiting, given_up = set(answers), time.monotonic() + wait_s

        def is_over() -> bool:
            return not waiting or time.monotonic() > given_up

        for message in kafka.read_partitions(self._conf, ends, follow=True, stop=is_over):
            answer = self._answer(message, answers)
            if answer is not None:
                answers[answer.place] = answer
                waiting.discard(answer.place)
                given_up = time.monotonic() + wait_s
            if not waiting:
                break
        return list(answers.values())

    def _answer(self, message: Any, asked: Mapping[Place, Answer]) -> Answer | None:
        """Give the answer that a message is, if any."""
        here = (message.partition(), message.offset())
        if message.topic() == self._streams.incidents:
            found = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
            offset = found.get(Header.ERROR_OFFSET, "")
            if found.get(Header.ERROR_TOPIC) != self._streams.operations or not offset.isdigit():
                return None
            known = asked.get((message.partition(), int(offset)))
            return known and Answer(known.request, known.place, here, known.decisions, found.get(Header.INCIDENT_REASON, ""))
        try:
            handling = decode_handling(message.value() or b"")
        except ValueError:
            return None
        source = handling["source"] or {}
        if source.get("topic") != self._streams.operations:
            return None
        known = asked.get((source["partition"], source["offset"]))
        return known and Answer(known.request, known.place, here, tuple(handling["decisions"]), known.incident)


class _Placing(EventProducer):
    """A producer that remembers where Kafka put what it sent."""

    def __init__(self, conf: Mapping[str, Any], encoder: Encoder) -> None:
        super().__init__({"linger.ms": 0, **conf}, encoder)
        self._places: dict[bytes, list[Place]] = {}

    def _on_delivery(self, error: Any, message: Any) -> None:
        super()._on_delivery(error, message)
        if error is None:
            self._places.setdefault(message.key(), []).append((message.partition(), message.offset()))

    def in_order(self, requests: Sequence[Request]) -> list[Place]:
        """Give the places of the requests; those of one customer were written in their order."""
        left = {key: iter(sorted(places)) for key, places in self._places.items()}
        return [next(left[each.customer.encode()]) for each in requests]
