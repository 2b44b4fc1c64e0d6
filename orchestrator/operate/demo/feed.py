"""Produces the demo's records: purchases, cohort and broken payloads, in one global order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from orchestrator.errors import Unreachable
from orchestrator.operate.demo.broken import Broken
from orchestrator.operate.demo.events import DemoEvent

_REPORT_EVERY: Final = 1_000
_FLUSH_S: Final = 0.1
_GIVE_UP_S: Final = 30
_LARGEST_RECORD: Final = 4_000_000


class Fed(Struct):
    """What was produced. `ends` is the next offset of each partition."""

    records: int = 0
    ends: dict[int, int] = {}


def interleaved(events: list[DemoEvent], broken: list[Broken]) -> Iterator[DemoEvent | Broken]:
    """Give the events in their order with the broken ones spread evenly between them."""
    gap = max(1, len(events) // (len(broken) + 1))
    waiting = iter(broken)
    for number, event in enumerate(events, 1):
        yield event
        if number % gap == 0:
            yield from (each for each in (next(waiting, None),) if each is not None)
    yield from waiting


class Feeder:
    """A producer for one topic. Not for several threads."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, encode: Callable[[DemoEvent], bytes]) -> None:
        """`encode` gives an event's value."""
        from confluent_kafka import Producer

        self.fed = Fed()
        self._topic = topic
        self._partitions = partitions
        self._encode = encode
        self._failure = ""
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",  # the embedded broker keeps 5 MB a partition, counted as sent
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": _LARGEST_RECORD,
                "message.timeout.ms": _GIVE_UP_S * 1000,
            }
        )

    def feed(self, records: Iterable[DemoEvent | Broken], progress: Callable[[int], None]) -> Fed:
        """Produce all and wait until they are acknowledged; `progress` is called often and may raise to stop.

        Raises Unreachable when the broker takes no records for 30 s.
        """
        count = 0
        for count, record in enumerate(records, 1):
            self._produce(record, count, progress)
            if count % _REPORT_EVERY == 0:
                self._producer.poll(0)
                progress(count)
        while self._producer.flush(_FLUSH_S) > 0:
            progress(count)
        if self._failure:
            raise Unreachable(f"the broker did not take the demo's records: {self._failure}", where=self._topic)
        progress(count)
        return self.fed

    def _produce(self, record: DemoEvent | Broken, number: int, progress: Callable[[int], None]) -> None:
        arguments: dict[str, Any]
        if isinstance(record, DemoEvent):
            arguments = {"key": record.customer, "value": self._encode(record)}
        else:
            arguments = {"key": record.key, "value": record.value, "headers": list(record.headers)}
            if not record.key:
                arguments["partition"] = number % self._partitions  # a partitioner without a key would draw lots
        while True:
            try:
                self._producer.produce(self._topic, timestamp=record.at, on_delivery=self._acknowledge, **arguments)
                return
            except BufferError:
                self._producer.poll(_FLUSH_S)
                progress(number)

    def _acknowledge(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = str(error)
            return
        self.fed.records += 1
        partition, following = message.partition(), message.offset() + 1
        if following > self.fed.ends.get(partition, 0):
            self.fed.ends[partition] = following
