"""How a worker learns which partitions stand still, which may go on, and what was published: from the definitions topic.

A stop is a record there, written in the transaction of the cycle that found too many incidents, so that it outlives the worker
and holds for whoever owns the partition next. A release is a record there, too, written by `orchestrator partitions resume`: the
operator need not know which worker has the partition, and a worker that starts later sees both.

Files in a state directory would have to be written on the right host; a group's offsets cannot be changed while it is active; a
record among the events could not pass the stopped partition. So it is the one topic that every worker reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition

from orchestrator import kafka
from orchestrator.errors import PositionLost, Unreachable
from orchestrator.observe.logs import logger
from orchestrator.stream import positions
from orchestrator.stream.partition import Partition
from orchestrator.stream.patience import patiently
from orchestrator.wire.programs import ProgramBoard
from orchestrator.wire.stops import Stop, StopBoard

log = logger(__name__)

LOOK_EVERY_S: Final = 1.0  # so often a worker looks for releases and for what was published
_BATCH: Final = 500
_ASK_S: Final = 10.0
_END_TIMEOUT_S: Final = 30.0  # longer than another worker's open transaction may hide the end


class Stops:
    """Reads the definitions topic, from where it last was. Blocks; one thread at a time. Connects when first asked."""

    def __init__(self, app: str, topic: str, client: Mapping[str, Any], is_stopped: Callable[[], bool] = lambda: False) -> None:
        """`is_stopped` tells that partitions are not to be opened any more."""
        self._app, self._topic, self._client, self._is_stopped = app, topic, client, is_stopped
        self._board = StopBoard(app)
        self.programs = ProgramBoard(app)
        self._reader: Any = None  # kept, so that looking again costs no connection
        self._next = 0

    def read(self) -> dict[int, Stop]:
        """Give the stop of each partition that stands still as of now. Raises Unreachable."""
        gauge = self._consumer("read_uncommitted")
        try:
            _, high = positions.bounds(gauge, self._topic, 0)
        finally:
            gauge.close()
        self._read_to(high)
        return self._board.stopped()

    def _read_patiently(self) -> dict[int, Stop]:
        return patiently(self.read, self._topic, self._is_stopped, topic=self._topic)

    def rebuilt(self) -> dict[int, int]:
        """Give when each partition's documents were rebuilt, ms UTC, none for those that never were. Raises as `patiently`."""
        self._read_patiently()
        return self._board.rebuilt

    def look(self) -> None:
        """Take in what has come meanwhile, without waiting for anything."""
        self._take(self._reading().consume(_BATCH, 0.0))

    def close(self) -> None:
        """End the connection; asked again, it makes a new one."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _consumer(self, isolation: str) -> Any:
        return kafka.consumer(
            {
                **self._client, "group.id": self._app, "enable.auto.commit": False, "enable.partition.eof": True,
                "auto.offset.reset": "earliest", "isolation.level": isolation,
                "fetch.wait.max.ms": 200,  # what an end of the log takes to be told, and how often it is asked for when idle
            }
        )  # fmt: skip

    def _reading(self) -> Any:
        if self._reader is None:
            self._reader = self._consumer("read_committed")
            self._reader.assign([TopicPartition(self._topic, 0, self._next)])
        return self._reader

    def apply_to(self, opened: Mapping[int, Partition]) -> None:
        """Stop those of the partitions that stand still. Raises as `patiently`."""
        for number, stop in self._read_patiently().items():
            if number in opened:
                opened[number].breaker.open()
                log.error("partition_stands_still", partition=number, where=f"{stop.topic}/{number}", offset=stop.offset)

    def strange_to(self, topics: Sequence[str]) -> dict[str, str]:
        """Give the ids of those source topics that this app has not read of before, to be told with its next cycle.

        Raises PositionLost where a topic is not the one that was read of. Call after `read`.
        """
        found = identities(self._client, topics)
        for topic, identity in found.items():
            known = self._board.sources.get(topic, identity)
            if known != identity:
                raise PositionLost(
                    f"the topic was made anew: its id is {identity}, and was {known} when it was read",
                    where=topic,
                    next_step="its offsets mean other records now; begin anew under another app name in streams.yaml",
                )
        return {topic: identity for topic, identity in found.items() if topic not in self._board.sources}

    def _read_to(self, high: int) -> None:
        deadline = time.monotonic() + _END_TIMEOUT_S
        while self._next < high:
            self._take(self._reading().consume(_BATCH, 0.2))
            if time.monotonic() > deadline:
                raise Unreachable(f"the end of {self._topic} stays out of reach", next_step="look for a hanging transaction")

    def _take(self, messages: Sequence[Any]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._board.read([(message.key(), message.value())])
                self.programs.read([(message.key(), message.value())])
            elif error.code() != KafkaError._PARTITION_EOF:
                self.close()  # it has gone past what came after this in the batch
                raise positions.unreachable(self._topic, KafkaException(error))
            self._next = message.offset() + (error is None)


def identities(client: Mapping[str, Any], topics: Sequence[str]) -> dict[str, str]:
    """Give Kafka's ids of topics, none where the brokers have none or do not tell. Blocks."""
    asked = kafka.admin(client)  # held until the answers are there: a client that is let go of takes its futures along
    found = {}
    for topic, answer in asked.describe_topics(TopicCollection(list(topics))).items():
        try:
            identity = str(answer.result(_ASK_S).topic_id)
        except (KafkaException, TimeoutError) as error:
            log.warning("topic_id_unknown", topic=topic, why=type(error).__name__)
            continue
        if identity.strip("A"):  # all zero: the broker in memory gives no ids
            found[topic] = identity
    return found
