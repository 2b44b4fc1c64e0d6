"""Topics for tests: unique names, making them, filling them, and reading them to their end with two unrelated clients."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

READ_TIMEOUT_S: Final = 120.0

_numbers = itertools.count(1)


class Row(NamedTuple):
    """One record as a reader saw it; `timestamp` in milliseconds, headers in their order with repeats."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def unique(name: str) -> str:
    """The name with an ending that no other test, run or machine on the same broker uses."""
    return f"{name}-{os.getpid():x}-{time.time_ns() // 1_000_000:x}-{next(_numbers)}"


def create_topic(bootstrap: str, name: str, partitions: int, **config: str) -> None:
    """Make a topic on a real Kafka and wait until its partitions have leaders."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settings = {setting.replace("_", "."): value for setting, value in config.items()}
    admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(READ_TIMEOUT_S)
    deadline = time.monotonic() + READ_TIMEOUT_S
    while time.monotonic() < deadline:
        known = admin.list_topics(name, timeout=READ_TIMEOUT_S).topics[name].partitions
        if len(known) == partitions and all(partition.leader >= 0 for partition in known.values()):
            return
    raise TimeoutError(f"topic {name} has no leaders after {READ_TIMEOUT_S:.0f} s")


def fill(bootstrap: str, topic: str, records: Iterable[Mapping[str, object]], **settings: object) -> None:
    """Produce records in their order, given as the arguments of confluent_kafka's `produce`; raises if the broker refuses one."""
    refused: list[KafkaError] = []
    # One that is not idempotent puts records in another order when it tries again.
    own = {"partitioner": "murmur2_random", "linger.ms": 5, "enable.idempotence": True}
    producer = Producer({"bootstrap.servers": bootstrap, **own, **settings})

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            refused.append(error)

    for record in records:
        while True:
            try:
                producer.produce(topic, on_delivery=delivered, **record)
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(READ_TIMEOUT_S)
    if refused or left:
        raise KafkaException(
            refused[0] if refused else KafkaError(KafkaError._MSG_TIMED_OUT, f"{left} records were not delivered")
        )


def read_to_end(bootstrap: str, topic: str, *, isolation: str = "read_committed") -> list[Row]:
    """Everything in a topic up to its (stable) end, by librdkafka: partitions in order, each in offset order."""
    client = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": unique("reader"),
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": isolation,
        }
    )
    try:
        open_partitions = set(client.list_topics(topic, timeout=READ_TIMEOUT_S).topics[topic].partitions)
        client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_partitions])
        rows: list[Row] = []
        deadline = time.monotonic() + READ_TIMEOUT_S
        while open_partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: partitions {sorted(open_partitions)} did not end in {READ_TIMEOUT_S:.0f} s")
            for message in client.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    rows.append(_row(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        client.close()
    return sorted(rows, key=lambda row: row[:2])


def _row(message: object) -> Row:
    headers = tuple(message.headers() or ())
    return Row(message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(), headers)


def read_to_end_otherwise(bootstrap: str, topic: str) -> list[Row]:
    """The same with kafka-python, read_committed: a second opinion on what another team's consumer sees. Real Kafka only."""
    from kafka import KafkaConsumer
    from kafka import TopicPartition as Partition

    client = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=True,
    )
    try:
        partitions = [Partition(topic, number) for number in sorted(client.partitions_for_topic(topic) or ())]
        client.assign(partitions)
        client.seek_to_beginning(*partitions)
        ends = client.end_offsets(partitions)
        rows: list[Row] = []
        deadline = time.monotonic() + READ_TIMEOUT_S
        while any(client.position(partition) < ends[partition] for partition in partitions):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: did not end in {READ_TIMEOUT_S:.0f} s")
            for records in client.poll(timeout_ms=200).values():
                rows.extend(
                    Row(each.partition, each.offset, each.timestamp, each.key, each.value, tuple(each.headers))
                    for each in records
                )
    finally:
        client.close()
    return sorted(rows, key=lambda row: row[:2])
