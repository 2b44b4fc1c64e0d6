"""Reading Kafka's logs for a replay: where each begins and ends, and its records in order, as many as are asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import HistoryGone, TopicMismatch, Unreachable
from orchestrator.language.model import Topology
from orchestrator.operate import documents
from orchestrator.operate.documents import Range

_READING: Final[Mapping[str, Any]] = {
    "group.id": "orchestrator-reader",  # librdkafka demands one; no group is joined by assign
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 2,
    "fetch.wait.max.ms": 20,
}
_BATCH: Final = 2_000
_POLL_S: Final = 0.02  # a batch that is not full is waited for so long: at the end of each log, and when the reader is faster
_STALLED_S: Final = 60.0

Bounds = dict[str, dict[int, Range]]  # topic to partition to first and next committed offset


class Topics(Struct, frozen=True):
    """The topics that a replay reads, by what they are for. `outputs` are decisions, incidents, exports, then actions."""

    journal: str
    sources: tuple[str, ...]
    outputs: tuple[str, ...]
    transitions: str
    incidents: str
    exports: str


def topics_of(topology: Topology) -> Topics:
    """Give those of a topology."""
    streams = topology.streams
    actions = sorted({channel.topic for channel in topology.policy.channels.values()})
    outputs = (streams.transitions, streams.incidents, streams.exports, *actions)
    return Topics(streams.journal, streams.sources, outputs, streams.transitions, streams.incidents, streams.exports)


def bounds(conf: Mapping[str, Any], topics: Topics, partitions: Sequence[int]) -> Bounds:
    """Give the bounds of all logs. The journal is asked first: what its cycles wrote is then before the other logs' ends.

    Blocks; raises Unreachable, TopicMismatch. The topic of a channel that only a draft has need not be there, nor
    that of exports, which workers of before did not have.
    """
    found = {topic: documents.ranges(conf, topic, partitions) for topic in (topics.journal, *topics.sources)}
    for topic in topics.outputs:
        try:
            found[topic] = documents.ranges(conf, topic, partitions)
        except TopicMismatch:
            if topic in (topics.transitions, topics.incidents):
                raise
            found[topic] = dict.fromkeys(partitions, (0, 0))
    return found


class Log:
    """One partition of one topic, read in order from `start` up to its end as `bounds` has it. Blocks on Kafka.

    Reading begins at once, in the background: a partition has a dozen logs, and the first word of each takes a tenth of a second.
    """

    def __init__(self, conf: Mapping[str, Any], place: tuple[str, int], limits: Range, start: int | None = None) -> None:
        self.topic, self.partition = place
        self.low, self._high = limits
        self.next = self.low if start is None else max(start, self.low)  # offset after the last record given
        self._held: Any = None
        self._fetched: deque[Any] = deque()
        self._reached = self.next
        self._client: Any = None
        if self.next < self._high:
            self._client = kafka.consumer({**conf, **_READING})
            self._client.assign([TopicPartition(self.topic, self.partition, self.next)])

    def pop(self) -> Any:
        """Give the next record, None at the end."""
        message = self._held
        if message is not None:
            self._held = None
        elif self._fetched:
            message = self._fetched.popleft()
        else:
            message, self._held = self.peek(), None
        if message is not None:
            self.next = message.offset() + 1
        return message

    def peek(self) -> Any:
        """Give the next record without taking it."""
        if self._held is None:
            if not self._fetched:
                self._fetch()
            self._held = self._fetched.popleft() if self._fetched else None
        return self._held

    def _fetch(self) -> None:
        """Wait for records up to the end. Raises Unreachable."""
        deadline = time.monotonic() + _STALLED_S
        while self._reached < self._high and not self._fetched:
            for message in self._client.consume(_BATCH, _POLL_S):
                error = message.error()
                if error is None:
                    self._reached = message.offset() + 1
                    if message.offset() < self._high:
                        self._fetched.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._reached = max(self._reached, message.offset())  # transactions leave markers at the end
                elif not error.retriable():
                    raise Unreachable(f"Kafka stopped the reading: {error.str()}", where=f"{self.topic}/{self.partition}")
            if time.monotonic() > deadline:
                raise Unreachable("the log's end stays out of reach", where=f"{self.topic}/{self.partition}")

    def take(self, first: int, following: int) -> Iterator[Any]:
        """Give the records from one offset up to, not including, another. Raises HistoryGone where they were deleted."""
        if first < self.low:
            raise HistoryGone(
                f"the journal handled offset {first}, the log begins at {self.low}",
                where=f"{self.topic}/{self.partition}",
                next_step="replay needs the events from the beginning on: keep them longer (retention.ms)",
            )
        while (message := self.peek()) is not None and message.offset() < following:
            self.pop()
            if message.offset() >= first:
                yield message

    def close(self) -> None:
        """Let go of the reader."""
        if self._client is not None:
            self._client.close()
