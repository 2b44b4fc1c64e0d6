"""A hand-written loop for this one job: confluent-kafka, fastavro, msgspec, RocksDB, a transaction every 100 ms.

What a team would write without a framework, and about the least that Python can do it with: no policy, no consent, no decision
log, no timers, nothing checked but the schema. State is written to RocksDB after the commit, and to a changelog within it.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from benchmarks.w1.contestant import Job, Process, python
from benchmarks.w1.oracle import HEARD, MOVES, REMEMBERED, Sent
from benchmarks.w1.workload import PARTITIONS, schemas
from tests.brokers import read_to_end

NAME = "raw_loop"
ONE_IN = 1
_FRAME = 10  # bytes of a single object before its body
_CYCLE_S = 0.1


def prepare() -> None:
    """It is all here."""


def start(job: Job) -> Process:
    """Make its topics and start it."""
    job.make_actions_topic()
    job.broker.create_topic(f"{job.name}.changelog", PARTITIONS, cleanup_policy="compact")
    return python(__name__, job)


def actions(job: Job) -> list[Sent]:
    """Read what it sent."""
    rows = read_to_end(job.broker.bootstrap, job.actions_topic)
    found = [orjson.loads(row.value or b"") for row in rows]
    return [Sent(one["customer"], one["template"], one["changes"], one["at"]) for one in found]


class Fold:
    """The job itself, without Kafka: customers' documents, of this cycle in memory and of all in RocksDB.

    `send` takes each action: its value, key and partition.
    """

    def __init__(self, folder: Path, send: Callable[[bytes, bytes, int], None]) -> None:
        self.send = send
        self.stores = {number: Rdict(str(folder / f"store-{number}"), Options(raw_mode=True)) for number in range(PARTITIONS)}
        self.schemas = {each.frame: (each.type, each.writer) for each in schemas().versions() if each.type in HEARD}
        self.documents: dict[tuple[int, bytes], list[Any]] = {}  # [state, changes, ids] of this cycle

    def handle(self, messages: Iterable[Message]) -> None:
        """Do the job for a batch."""
        messages = [message for message in messages if message.value()[:_FRAME] in self.schemas]
        self.load({(m.partition(), m.key()) for m in messages} - self.documents.keys())
        for message in messages:
            value, key, partition = message.value(), message.key(), message.partition()
            kind, schema = self.schemas[value[:_FRAME]]
            event: Any = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), schema, None)
            document = self.documents[partition, key]
            if event["event_id"] in document[2]:
                continue
            document[2] = [*document[2][1 - REMEMBERED :], event["event_id"]]
            move = MOVES.get((kind, document[0]))
            if move is not None:
                document[0], document[1] = move[0], document[1] + 1
                sent = {"customer": key.decode(), "template": move[1], "changes": document[1], "at": message.timestamp()[1]}
                self.send(orjson.dumps(sent), key, partition)

    def load(self, missing: set[tuple[int, bytes]]) -> None:
        """Get documents from the stores."""
        for number, store in self.stores.items():
            keys = [key for partition, key in missing if partition == number]
            for key, stored in zip(keys, store.get(keys) if keys else (), strict=True):
                self.documents[number, key] = msgspec.msgpack.decode(stored) if stored else ["", 0, []]

    def changed(self) -> list[tuple[int, bytes, bytes]]:
        """Give the cycle's documents: partition, key and what is stored."""
        return [(number, key, msgspec.msgpack.encode(document)) for (number, key), document in self.documents.items()]

    def write(self, changed: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write them, which ends the cycle."""
        batches = {number: WriteBatch(raw_mode=True) for number in self.stores}
        for number, key, stored in changed:
            batches[number].put(key, stored)
        for number, batch in batches.items():
            self.stores[number].write(batch)
        self.documents.clear()


class Loop:
    """The loop between Kafka and the fold."""

    def __init__(self, told: dict[str, str]) -> None:
        client = {"bootstrap.servers": told["bootstrap"]}
        self.consumer = Consumer({
            **client, "group.id": told["name"], "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "fetch.queue.backoff.ms": 5, "queued.min.messages": 50_000,
        })  # fmt: skip
        self.producer = Producer({
            **client, "transactional.id": told["name"], "linger.ms": 5, "batch.size": 1 << 18, "compression.type": "lz4",
            "queue.buffering.max.messages": 500_000,
        })  # fmt: skip
        self.changelog = f"{told['name']}.changelog"
        self.fold = Fold(Path(told["folder"]), partial(self.producer.produce, f"{told['name']}.actions"))
        self.consumer.subscribe([told["topic"]])
        self.producer.init_transactions()

    def run(self) -> None:
        """Go on for ever."""
        while True:
            messages = self.take(0.1)
            if messages:
                self.producer.begin_transaction()
                until = time.monotonic() + _CYCLE_S
                while messages:
                    self.fold.handle(messages)
                    messages = [] if time.monotonic() > until else self.take(0)
                self.commit()

    def take(self, patience_s: float) -> list[Message]:
        """Give the next records."""
        return [message for message in self.consumer.consume(5000, patience_s) if message.error() is None]

    def commit(self) -> None:
        """Commit state, actions and offsets, then write the stores."""
        changed = self.fold.changed()
        for partition, key, stored in changed:
            self.producer.produce(self.changelog, stored, key, partition)
        offsets = self.consumer.position(self.consumer.assignment())
        offsets = [TopicPartition(each.topic, each.partition, each.offset) for each in offsets if each.offset >= 0]
        self.producer.send_offsets_to_transaction(offsets, self.consumer.consumer_group_metadata())
        self.producer.commit_transaction()
        self.fold.write(changed)


if __name__ == "__main__":
    Loop(json.loads(sys.argv[1])).run()
