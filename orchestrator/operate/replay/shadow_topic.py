"""What a replay would write, on a topic of its own: every record under its key, in its partition, with where it would have gone.

The topic has nothing else, so the offset says how many records were written: a replay that goes on can tell whether all of them
are those that it knows of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException

from orchestrator import kafka
from orchestrator.errors import FolderTaken, TopicMismatch, Unreachable, UsageError
from orchestrator.language.model import Topology
from orchestrator.names import Header
from orchestrator.operate import documents, topics
from orchestrator.operate.replay.shadow import Said
from orchestrator.stream.commit import ENOUGH_BYTES

_TIMEOUT_S: Final = 60.0
_PURPOSE: Final = "what a replay would write"


def prepare(conf: Mapping[str, Any], topology: Topology, topic: str) -> None:
    """Make the topic where it is not there. Blocks; raises UsageError for one of the app's own, TopicMismatch, Unreachable."""
    streams = topology.streams
    own = {spec.name for spec in topics.plan(streams, topology.policy)}
    if topic in own:
        raise UsageError(f"{topic} is a topic of the app", where="--to-topic", next_step="name one that nothing else uses")
    admin = kafka.admin(conf)
    spec = topics.TopicSpec(topic, streams.partitions, _PURPOSE)
    (planned,) = topics.compare(admin, [spec])
    if planned.state == "create":
        topics.create(admin, [spec])
    elif planned.found != streams.partitions:
        raise TopicMismatch(
            f"it has {planned.found} partitions instead of {streams.partitions}", where=topic, next_step="name another topic"
        )


class ShadowTopic:
    """One partition of the topic. Blocks; one thread at a time."""

    def __init__(self, conf: Mapping[str, Any], topic: str, partition: int, following: int) -> None:
        """Go on after what was written before, `following` records. Raises FolderTaken where the topic has more, or less."""
        self._topic, self._partition, self._next = topic, partition, following
        end = documents.ranges(conf, topic, [partition])[partition][1]
        if end != following:
            raise FolderTaken(
                f"the topic has {end} records in partition {partition}, this replay knows of {following}",
                where=topic,
                next_step="name a topic that is empty, and another --out; or remove both and begin anew",
            )
        self._refused: list[Any] = []
        own = {"enable.idempotence": True, "compression.type": "lz4", "message.max.bytes": ENOUGH_BYTES, "linger.ms": 20}
        self._producer = kafka.producer({**conf, **own})

    def send(self, said: Iterable[Said], at: int) -> None:
        """Write the records of a cycle that was committed at a time, ms UTC, which is theirs too."""
        for each in said:
            headers = [*each.headers, (Header.REPLAY_TOPIC, each.topic.encode()), (Header.REPLAY_CYCLE, str(each.cycle).encode())]
            self._produce(each, headers, at)
            self._next += 1
        self._producer.poll(0)

    def _produce(self, said: Said, headers: list[Any], at: int) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, said.value, said.key, self._partition, self._delivered, timestamp=at, headers=headers
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._refused.append(error)

    def flush(self) -> int:
        """Wait until Kafka has all; give how many there are by now. Raises Unreachable."""
        try:
            left = self._producer.flush(_TIMEOUT_S)
        except KafkaException as error:
            self._refused.append(error.args[0])
            left = 0
        if left or self._refused:
            why = self._refused[0].str() if self._refused else f"{left} records wait"
            raise Unreachable(
                f"the replay's records were not all written: {why}",
                where=f"{self._topic}/{self._partition}",
                next_step="check the cluster; then name an empty topic and another --out",
            )
        return self._next
