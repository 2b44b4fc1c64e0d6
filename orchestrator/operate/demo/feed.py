"""Produces the demo's records: purchases, cohort and broken payloads, in one global order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from orchestrator.operate.demo.broken import Broken
from orchestrator.wire.lines import EventLine

if TYPE_CHECKING:
    from orchestrator.operate.produce import EventProducer

# Two of the broken payloads are larger than what librdkafka sends unasked.
SETTINGS: Final = {"message.max.bytes": 4_000_000}
_SERVE_EVERY: Final = 1_000


def interleaved(events: list[EventLine], broken: list[Broken]) -> Iterator[EventLine | Broken]:
    """Give the events in their order with the broken ones spread evenly between them."""
    gap = max(1, len(events) // (len(broken) + 1))
    waiting = iter(broken)
    for number, event in enumerate(events, 1):
        yield event
        if number % gap == 0:
            yield from (each for each in (next(waiting, None),) if each is not None)
    yield from waiting


def feed(producer: EventProducer, topic: str, records: Iterable[EventLine | Broken], progress: Callable[[int], None]) -> int:
    """Produce all records, wait until Kafka has them, and give how many there are.

    `progress` is called often with the number of records that Kafka has, and may raise to stop. Raises as EventProducer does.
    """
    for number, record in enumerate(records, 1):
        if isinstance(record, EventLine):
            producer.send(record)
        else:
            producer.send_raw(topic, record.key, record.value, record.at, list(record.headers))
        if number % _SERVE_EVERY == 0:
            producer.serve()
            progress(producer.delivered)
    producer.close(progress)
    return producer.delivered
