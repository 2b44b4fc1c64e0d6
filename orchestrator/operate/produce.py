"""JSON lines into Kafka: checked, encoded as Avro, keyed by customer, with the line's `at` as the record's time.

A file is gone through twice: nothing is produced unless every line can be, because half a file of events is worse than none.
What is produced comes with the file's order for each customer (idempotent producer, murmur2 partitions as everywhere).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import RefusedByState, TopicMismatch, Unreachable
from orchestrator.language.model import Streams
from orchestrator.language.problems import nearest
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.lines import EventLine, read_lines
from orchestrator.wire.partitioning import PARTITIONER
from orchestrator.wire.routing import topic_for
from orchestrator.wire.schemas import BadEvent, EventType, SchemaSet

_SERVE_EVERY: Final = 1_000
_FLUSH_S: Final = 0.2
_GIVE_UP_MS: Final = 60_000
_NO_ANSWER: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})

Progress = Callable[[int], None]
Headers = list[tuple[str, str | bytes | None]]


class BadLine(Struct, frozen=True):
    """A line that cannot be produced, and everything that is wrong with it."""

    number: int
    faults: tuple[str, ...]


class Encoder:
    """Turns event lines into what is produced. `topic` overrides what streams.yaml says.

    `frame` gives what stands before a record's body, by topic and event type; without it that is Avro's single object encoding.
    """

    def __init__(
        self, schemas: SchemaSet, streams: Streams, topic: str = "", frame: Callable[[str, EventType], bytes] | None = None
    ) -> None:
        self._schemas = schemas
        self._streams = streams
        self._topic = topic
        self._frame = frame
        self._known: dict[str, tuple[EventType, str, bytes]] = {}

    def encode(self, event: EventLine) -> tuple[str, bytes]:
        """Give (topic, value). Raises BadEvent."""
        known = self._known.get(event.event)
        if known is None:
            known = self._known[event.event] = self._look_up(event.event)
        schema, topic, frame = known
        value = schema.encode(event.customer, event.id, event.at, event.data)
        return topic, frame + value[len(schema.frame) :]

    def _look_up(self, event_type: str) -> tuple[EventType, str, bytes]:
        schema = self._schemas.get(event_type)
        if schema is None:
            near = nearest(event_type, self._schemas.types)
            raise BadEvent([f"event: no schema declares {event_type!r}" + (f"; did you mean {near!r}?" if near else "")])
        topic = self._topic or topic_for(self._streams, event_type)
        if topic is None:
            raise BadEvent([f"event: no topic of streams.yaml lists {event_type!r}"])
        return schema, topic, schema.frame if self._frame is None else self._frame(topic, schema)

    @property
    def topics(self) -> frozenset[str]:
        """The topics of everything encoded so far."""
        return frozenset(topic for _, topic, _ in self._known.values())


def check_lines(
    lines: Iterable[bytes],
    encoder: Encoder,
    progress: Progress = lambda _: None,
    check: Callable[[EventLine, str, bytes], None] = lambda event, topic, value: None,
) -> tuple[int, list[BadLine]]:
    """Go through the lines without producing: how many are events, and every one that cannot be produced.

    `check` is given each event with its topic and value, and raises BadEvent where those will not do.
    """
    good, bad = 0, []
    for number, event in read_lines(lines):
        try:
            if isinstance(event, BadEvent):
                raise event
            check(event, *encoder.encode(event))
            good += 1
        except BadEvent as error:
            bad.append(BadLine(number, tuple(error.faults)))
        if number % _SERVE_EVERY == 0:
            progress(number)
    return good, bad


def admits(gate: Gate, now: int) -> Callable[[EventLine, str, bytes], None]:
    """Give a check of whether a worker's gate would take an event that is produced at `now`, ms UTC."""

    def check(event: EventLine, topic: str, value: bytes) -> None:
        key, time = event.customer.encode(), (TIMESTAMP_CREATE_TIME, event.at)
        record: Any = Message(topic=topic, partition=0, offset=0, key=key, value=value, timestamp=time)
        found = gate.admit(record, now)
        if isinstance(found, Refusal):
            raise BadEvent([f"{found.reason}: {found.message}"])

    return check


class EventProducer:
    """Produces events. Not for several threads; `close` waits until Kafka has everything."""

    def __init__(self, conf: Mapping[str, Any], encoder: Encoder) -> None:
        """`conf` is for confluent-kafka; the partitioner and idempotence are set here. Raises UsageError for a bad setting."""
        self.delivered = 0
        self._encoder = encoder
        self._failure: KafkaError | None = None
        self._where = ""
        own = {"partitioner": PARTITIONER, "enable.idempotence": True}
        tuned = {"linger.ms": 20, "compression.type": "lz4", "message.timeout.ms": _GIVE_UP_MS}
        self._producer = kafka.producer({**tuned, **conf, **own})

    def send(self, event: EventLine) -> None:
        """Queue one event. Raises BadEvent for one that does not fit, and what `close` raises once something was refused."""
        topic, value = self._encoder.encode(event)
        self.send_raw(topic, event.customer.encode(), value, event.at)

    def send_raw(self, topic: str, key: bytes | None, value: bytes | None, at: int, headers: Headers | None = None) -> None:
        """Queue bytes as they are; `at` in ms UTC becomes the record's time."""
        while True:
            self._raise_failure()
            try:
                self._producer.produce(topic, value, key, timestamp=at, headers=headers or [], on_delivery=self._on_delivery)
                break
            except BufferError:
                self._producer.poll(_FLUSH_S)

    def serve(self) -> None:
        """Take Kafka's answers so far. Does not block."""
        self._producer.poll(0)

    def close(self, progress: Progress = lambda _: None) -> None:
        """Wait until Kafka has everything. Raises Unreachable or RefusedByState for the first record that it does not take."""
        while self._producer.flush(_FLUSH_S) > 0:
            self._raise_failure()
            progress(self.delivered)
        self._raise_failure()
        progress(self.delivered)

    def _on_delivery(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self.delivered += 1
        elif self._failure is None:
            self._failure, self._where = error, message.topic()

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        text = f"Kafka did not take a record: {self._failure.str()}; {self.delivered} were taken before"
        step = "put the cause right and produce the file again: events with an id are taken once"
        kind = Unreachable if self._failure.code() in _NO_ANSWER else RefusedByState
        raise kind(text, where=self._where, next_step=step)


def produce_lines(lines: Iterable[bytes], producer: EventProducer, progress: Progress = lambda _: None) -> int:
    """Produce lines that `check_lines` has found good, wait until Kafka has them, and give how many there were."""
    count = 0
    for number, event in read_lines(lines):
        if isinstance(event, BadEvent):
            raise event
        producer.send(event)
        count += 1
        if number % _SERVE_EVERY == 0:
            producer.serve()
            progress(producer.delivered)
    producer.close(progress)
    return count


def check_topics(counts: Mapping[str, int], topics: Iterable[str], partitions: int | None) -> None:
    """Refuse to produce to a topic that is not there, or that has another partition count. Raises TopicMismatch.

    `counts` is what the cluster has; a missing topic might be created by the broker, with a count of its own choosing.
    """
    for topic in sorted(topics):
        found = counts.get(topic)
        if found is None:
            raise TopicMismatch(f"topic {topic} does not exist", next_step="orchestrator topics create --execute")
        if partitions is not None and found != partitions:
            raise TopicMismatch(
                f"topic {topic} has {found} partitions, streams.yaml says {partitions}",
                next_step="correct streams.yaml, or use new topics: customers would be looked for in the wrong partition",
            )
