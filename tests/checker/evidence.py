"""What Kafka holds of one app, as a read_committed reader sees it: every record of every topic, the ends, the group.

All of it is kept in memory, about 0.5 KB a record.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from msgspec import Struct, field

from orchestrator import kafka
from orchestrator.language.model import Topology
from orchestrator.wire.gate import Message

READ_TIMEOUT_S: Final = 120.0
_ASK_TIMEOUT_S: Final = 15.0
_BATCH: Final = 10_000

Place = tuple[str, int]  # topic, partition


class Log(Struct):
    """One partition of one topic: its committed records in offset order, and its ends.

    `stable` is the offset up to which no transaction is open (LSO), `high` the log's true end.
    """

    records: list[Message] = field(default_factory=list)
    low: int = 0
    stable: int = 0
    high: int = 0


class Evidence(Struct):
    """All logs of an app, and the group: (offset, metadata) of each source partition, how many members, which state."""

    logs: dict[Place, Log] = field(default_factory=dict)
    committed: dict[Place, tuple[int, str]] = field(default_factory=dict)
    group_state: str = "EMPTY"

    def of(self, topic: str, partition: int) -> Log:
        """Give one log; an empty one where nobody read it."""
        return self.logs.get((topic, partition)) or Log()


class Topics(Struct, frozen=True):
    """The topics of an app by what they are for."""

    sources: tuple[str, ...]
    actions: tuple[str, ...]
    transitions: str
    incidents: str
    journal: str
    changelog: str

    @classmethod
    def of(cls, topology: Topology) -> Topics:
        """Give those of a topology."""
        streams = topology.streams
        return cls(
            streams.sources,
            tuple(sorted({channel.topic for channel in topology.policy.channels.values()})),
            streams.transitions,
            streams.incidents,
            streams.journal,
            streams.changelog,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a cycle writes."""
        return (*self.actions, self.transitions, self.incidents, self.journal, self.changelog)


def gather(client: Mapping[str, Any], topics: Topics, partitions: int, group: str, settle_s: float) -> Evidence:
    """Read everything. Waits up to `settle_s` for open transactions to end and for the group to be empty. Blocks."""
    places = [(topic, number) for topic in (*topics.sources, *topics.outputs) for number in range(partitions)]
    evidence = Evidence({place: Log() for place in places})
    deadline = time.monotonic() + settle_s
    admin = kafka.admin(client)
    while True:
        evidence.group_state = _group_state(admin, group)
        _measure(client, evidence.logs)
        is_open = any(log.stable < log.high for log in evidence.logs.values())
        if (evidence.group_state == "EMPTY" and not is_open) or time.monotonic() > deadline:
            break
        time.sleep(0.25)
    read(client, evidence.logs)
    evidence.committed = _committed(client, [(topic, n) for topic in topics.sources for n in range(partitions)], group)
    return evidence


def _consumer(client: Mapping[str, Any], isolation: str = "read_committed", group: str = "checker") -> Any:
    return kafka.consumer(
        {
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 65_536,
            **client,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": isolation,
        }
    )


def _measure(client: Mapping[str, Any], logs: Mapping[Place, Log]) -> None:
    for isolation, name in (("read_committed", "stable"), ("read_uncommitted", "high")):
        reader = _consumer(client, isolation)
        try:
            for (topic, number), log in logs.items():
                log.low, end = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=_ASK_TIMEOUT_S)
                setattr(log, name, end)
        finally:
            reader.close()


def _group_state(admin: Any, group: str) -> str:
    found = admin.describe_consumer_groups([group], request_timeout=_ASK_TIMEOUT_S)[group].result(_ASK_TIMEOUT_S)
    state = found.state
    return "EMPTY" if state in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD) else str(state.name)


def _committed(client: Mapping[str, Any], places: Sequence[Place], group: str) -> dict[Place, tuple[int, str]]:
    reader = _consumer(client, group=group)
    try:
        found = reader.committed([TopicPartition(*place) for place in places], timeout=_ASK_TIMEOUT_S)
    finally:
        reader.close()
    return {(each.topic, each.partition): (each.offset, each.metadata or "") for each in found if each.offset >= 0}


def read(client: Mapping[str, Any], logs: Mapping[Place, Log]) -> None:
    """Fill the logs with their committed records, up to where each ends now."""
    reader, open_ends = _consumer(client), set(logs)
    deadline = time.monotonic() + READ_TIMEOUT_S
    try:
        reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in logs])
        while open_ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"these logs did not end in {READ_TIMEOUT_S:.0f} s: {sorted(open_ends)[:5]}")
            for message in reader.consume(_BATCH, 0.2):
                place = (message.topic(), message.partition())
                if message.error() is None:
                    logs[place].records.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_ends.discard(place)
                else:
                    raise KafkaException(message.error())
    finally:
        reader.close()


def offsets_of(records: Iterable[Message]) -> list[int]:
    """Give the records' offsets."""
    return [record.offset() for record in records]
