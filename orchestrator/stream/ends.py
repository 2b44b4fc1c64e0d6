"""How far the logs reach, asked of the brokers: whether a partition is behind where the reader's queue cannot tell.

librdkafka has one queue for all partitions of a consumer. While one partition's backlog fills it, records of the others wait
behind, or are not even fetched: that none came says nothing, and timers would fire before records that had arrived in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from faust.types import TP

from orchestrator import kafka
from orchestrator.stream.clock import WallClock

ASK_EVERY_S: Final = 0.25
_ANSWER_S: Final = 5.0
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class LogEnds:
    """The ends of the logs at the latest time of asking, and the ends that the reader was told of."""

    def __init__(self, client: Mapping[str, Any], wall: WallClock) -> None:
        self._client_config = client
        self._client: Any = None
        self._wall = wall
        self._answer: tuple[int, dict[int, dict[str, int]]] = (0, {})  # wall time of asking; by partition and topic
        self._read_to: dict[TP, int] = {}

    def ask(self, parts: Iterable[TP]) -> None:
        """Ask for the ends of these logs. Blocks up to 5 s; without an answer for all, the one before stays."""
        self._client = self._client or kafka.admin(self._client_config)
        at, ends = self._wall(), dict[int, dict[str, int]]()
        try:
            asked = self._client.list_offsets(
                {TopicPartition(tp.topic, tp.partition): _LATEST for tp in parts},
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_ANSWER_S,
            )
            for part, answer in asked.items():
                ends.setdefault(part.partition, {})[part.topic] = answer.result(_ANSWER_S).offset
        except (KafkaException, TimeoutError):
            return
        self._answer = at, ends

    def behind(self, tp: TP, next_offset: int, read_to: int) -> int:
        """Give how many offsets of a log were not handled when its end was last asked; the markers among them count too."""
        end = self._answer[1].get(tp.partition, {}).get(tp.topic, 0)
        return max(0, end - max(next_offset, read_to))

    def told(self, tp: TP) -> int:
        """Give the offset noted by `read_to`."""
        return self._read_to.get(tp, 0)

    def read_to(self, tp: TP, offset: int) -> None:
        """Note that all before an end that the reader was told of is handled; past the last record there may be markers."""
        self._read_to[tp] = offset

    def read_again(self) -> None:
        """Note that the reader begins anew, maybe further back."""
        self._read_to.clear()

    def all_handled_at(self, partition: int, next_offsets: Mapping[str, int]) -> int | None:
        """Give the wall time (ms) of the latest asking if all that the partition's logs had then is handled, else None."""
        at, ends = self._answer
        for topic, end in ends.get(partition, {"": 1}).items():
            if max(next_offsets.get(topic, 0), self._read_to.get(TP(topic, partition), 0)) < end:
                return None
        return at
