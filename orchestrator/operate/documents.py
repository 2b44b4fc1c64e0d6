"""What Kafka holds of customers: the compacted changelog, read_committed, partition by partition, as decoded documents.

The reader keeps the newest value of every key until a partition's end, about the size of its live documents, and asks no worker:
what it gives is what the last commits wrote, a moment ago.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.engine.document import Document
from orchestrator.engine.storing import decode
from orchestrator.engine.vicinity import NOTE
from orchestrator.errors import TopicMismatch, Unreachable
from orchestrator.language.model import Streams

_TIMEOUT_S: Final = 15.0
_STALLED_S: Final = 60.0
_BATCH: Final = 5_000
_POLL_S: Final = 0.05  # of each partition that is read, the last wait is in vain
_READING: Final[Mapping[str, Any]] = {
    "group.id": "orchestrator-reader",  # librdkafka demands one; no group is joined by assign
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "queued.max.messages.kbytes": 32_768,
    "fetch.queue.backoff.ms": 2,
    "fetch.wait.max.ms": 20,
}

_NO_LEADER_YET: Final = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)

Progress = Callable[[int, int], None]  # (offsets done, offsets in all)
Range = tuple[int, int]


class Found(Struct, frozen=True):
    """A customer's document as the changelog has it; `offset` is its record's."""

    customer: str
    partition: int
    offset: int
    stored: bytes

    def document(self) -> Document:
        """Decode it. Raises ValueError for a format of a newer version."""
        return decode(self.stored)


def ranges(conf: Mapping[str, Any], topic: str, partitions: Iterable[int]) -> dict[int, Range]:
    """Give the first and the next committed offset of partitions of a topic. Blocks; raises Unreachable, TopicMismatch."""
    client = kafka.consumer({**conf, **_READING})
    try:
        return {n: _bounds(client, TopicPartition(topic, n)) for n in partitions}
    except KafkaException as error:
        code = error.args[0].code()
        if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC):
            raise TopicMismatch("no such topic", where=topic, next_step="orchestrator topics create --execute") from None
        raise Unreachable(f"Kafka did not say where the topic ends: {error.args[0].str()}", where=topic) from None
    finally:
        client.close()


def _bounds(client: Any, place: TopicPartition) -> Range:
    """Ask until the time is over: a topic that was just made has no leaders for a moment. Raises KafkaException."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            found: Range = client.get_watermark_offsets(place, timeout=_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return found


def read(
    conf: Mapping[str, Any], topic: str, bounds: Mapping[int, Range], progress: Progress = lambda done, total: None
) -> Iterator[Any]:
    """Give the committed messages of a topic within bounds by partition, each partition in its order, one after the other.

    Blocks; raises Unreachable where Kafka says so or nothing comes for a minute.
    """
    total = sum(high - low for low, high in bounds.values())
    client, done = kafka.consumer({**conf, **_READING}), 0
    try:
        for number, (low, high) in sorted(bounds.items()):
            for message, reached in _one(client, TopicPartition(topic, number, low), high):
                progress(done + reached - low, total)
                if message is not None:
                    yield message
            done += high - low
            progress(done, total)
    finally:
        client.close()


def _one(client: Any, start: TopicPartition, high: int) -> Iterator[tuple[Any, int]]:
    """Give a partition's messages below `high`, and now and then None, each with the offset after it."""
    client.assign([start])
    reached, moved = start.offset, time.monotonic()
    while reached < high:
        messages = client.consume(_BATCH, _POLL_S)
        for message in messages:
            error = message.error()
            if error is None:
                reached = message.offset() + 1
                if reached <= high:
                    yield message, reached
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = max(reached, message.offset())
            elif not error.retriable():
                raise Unreachable(f"Kafka stopped the reading: {error.str()}", where=f"{start.topic}/{start.partition}")
        yield None, min(reached, high)
        if messages:
            moved = time.monotonic()
        elif time.monotonic() - moved > _STALLED_S:
            raise Unreachable("the topic's end stays out of reach", where=f"{start.topic}/{start.partition}")


def documents(
    conf: Mapping[str, Any],
    streams: Streams,
    partitions: Collection[int] | None = None,
    progress: Progress = lambda done, total: None,
) -> Iterator[Found]:
    """Give every customer's document of these partitions, of all where none are named; no notes, and nobody who was erased.

    Blocks; raises as `read` does.
    """
    numbers = range(streams.partitions) if partitions is None else partitions
    bounds = ranges(conf, streams.changelog, numbers)
    newest: dict[bytes, Any] = {}
    at = -1
    for message in read(conf, streams.changelog, bounds, progress):
        if message.partition() != at:
            yield from _customers(newest)
            newest, at = {}, message.partition()
        if message.value() is None:
            newest.pop(message.key(), None)
        else:
            newest[message.key()] = message
    yield from _customers(newest)


def _customers(newest: Mapping[bytes, Any]) -> Iterator[Found]:
    for key, message in newest.items():
        name = key.decode()
        if not name.startswith(NOTE):
            yield Found(name, message.partition(), message.offset(), message.value())


def partition(
    conf: Mapping[str, Any], streams: Streams, number: int, progress: Progress = lambda done, total: None
) -> dict[bytes, bytes]:
    """Give all that one partition keeps by key, notes included, as it is stored. Blocks; raises as `read` does."""
    newest: dict[bytes, bytes] = {}
    for message in read(conf, streams.changelog, ranges(conf, streams.changelog, [number]), progress):
        if message.value() is None:
            newest.pop(message.key(), None)
        else:
            newest[message.key()] = message.value()
    return newest
