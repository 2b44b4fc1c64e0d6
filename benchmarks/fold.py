"""What a worker's loop does to W1's events, offline: gate, engine, encoding and RocksDB, without Kafka and without producing.

CPU an event of a partition's three steps: `handle` folds blocks, `close` ends a cycle, `write` puts it into the store. Cycles are
of 4,000 records. Beside it W1's raw loop on the same records, without its Kafka. `loop_ns` tells how fast the machine was, see
`engine`.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median
from time import process_time

from confluent_kafka import Message

from benchmarks.engine import loop_ns
from benchmarks.w1 import raw_loop
from benchmarks.w1.workload import HERE, PARTITIONS, SCHEMAS, EventRecord, encoded, events, schemas
from orchestrator.engine.engine import Engine
from orchestrator.language.model import Topology
from orchestrator.stream.blocks import Block
from orchestrator.stream.clock import wall_ms
from orchestrator.stream.outbox import Outbox
from orchestrator.stream.partition import Partition, Parts
from orchestrator.stream.store import FORMAT, Identity, PartitionStore
from orchestrator.wire.gate import Gate
from orchestrator.wire.partitioning import partition_for
from orchestrator.wire.schemas import SchemaSet
from orchestrator.workspace import Workspace

NAME = "fold"
NEEDS_BROKER = False
TOPIC = "w1.events"
BLOCK = 1_000  # records of a partition in a cycle

_RECORDS = 100_000


def run(_broker: object, repeats: int, say: Callable[[str], None], records: int = _RECORDS) -> dict[str, float]:
    """Measure. Gives medians, in microseconds of CPU an event; `loop_ns` in nanoseconds."""
    topology, messages = Workspace.load(HERE / "topologies", SCHEMAS).topology, messages_of(records)
    found: dict[str, list[float]] = {}
    for number in range(repeats):
        gc.collect()
        figures = {"loop_ns": loop_ns(), **_once(topology, messages, records)}
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
        say(f"  {number + 1}/{repeats}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return {name: median(values) for name, values in found.items()}


def messages_of(records: int | Iterable[EventRecord], partitions: int = PARTITIONS) -> list[list[Message]]:
    """Give W1's records, so many or these, as Kafka would, partition by partition."""
    found: list[list[Message]] = [[] for _ in range(partitions)]
    for given in encoded(events(records) if isinstance(records, int) else records):
        key, value, at = given["key"], given["value"], given["timestamp"]
        assert isinstance(key, bytes)
        number = partition_for(key, partitions)
        of_it = found[number]
        of_it.append(Message(topic=TOPIC, partition=number, offset=len(of_it), key=key, value=value, timestamp=(1, at)))
    return found


def cycles(messages: list[list[Message]], block: int = BLOCK) -> Iterator[list[list[Message]]]:
    """Cut them into cycles: of each partition the next so many."""
    for first in range(0, max(len(each) for each in messages), block):
        yield [each[first : first + block] for each in messages]


class Ours:
    """Partitions of a worker without its Kafka. `spent` has the CPU of each step, in seconds."""

    def __init__(self, topology: Topology, folder: Path, known: SchemaSet | None = None) -> None:
        engine, self._out, count = Engine(topology), Outbox(topology, wall_ms), topology.streams.partitions
        gate = Gate(known or schemas(), topology.streams, engine.hears, reads=engine.reads)
        parts = Parts(engine, gate, wall_ms, "w0", "p", count)
        self._partitions = [_partition(folder, number, topology, parts) for number in range(count)]
        self.spent, self.actions = {"handle": 0.0, "close": 0.0, "write": 0.0}, 0

    def cycle(self, blocks: list[list[Message]]) -> None:
        """Fold a block of each partition, end the cycle, write it."""
        began = process_time()
        for partition, messages in zip(self._partitions, blocks, strict=True):
            partition.handle(_block(partition.number, messages), self._out)
        handled = process_time()
        touched = [partition for partition in self._partitions if partition.has_work]
        for partition in touched:
            partition.close_cycle(self._out)
        self.actions += sum(record.topic == "w1.actions" for record in self._out.take())
        closed = process_time()
        for partition in touched:
            partition.written(None)
        self._out.landed()
        for name, seconds in zip(self.spent, (handled - began, closed - handled, process_time() - closed), strict=True):
            self.spent[name] += seconds

    def close(self) -> None:
        """Close the stores."""
        for partition in self._partitions:
            partition.store.close()


class Raw:
    """The raw loop without its Kafka."""

    def __init__(self, folder: Path) -> None:
        self._fold = raw_loop.Fold(folder, self._sent)
        self.spent, self.actions = 0.0, 0

    def _sent(self, _value: bytes, _key: bytes, _partition: int) -> None:
        self.actions += 1

    def cycle(self, blocks: list[list[Message]]) -> None:
        """Do the same as ours."""
        began = process_time()
        for messages in blocks:
            self._fold.handle(messages)
        self._fold.write(self._fold.changed())
        self.spent += process_time() - began

    def close(self) -> None:
        """Close the stores."""
        for store in self._fold.stores.values():
            store.close()


def _once(topology: Topology, messages: list[list[Message]], records: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="fold-") as folder:
        ours, raw = Ours(topology, Path(folder, "ours")), Raw(Path(folder, "raw"))
        for blocks in cycles(messages):
            ours.cycle(blocks)
            raw.cycle(blocks)
        ours.close()
        raw.close()
    assert ours.actions == raw.actions > records // 20, "both do the job"
    us = {f"{name}_us": seconds / records * 1e6 for name, seconds in ours.spent.items()}
    return us | {"raw_loop_us": raw.spent / records * 1e6}


def store_of(folder: Path, number: int) -> PartitionStore:
    """Open a partition's store."""
    return PartitionStore(folder / str(number), Identity(FORMAT, "cluster", "w1", number))


def _partition(folder: Path, number: int, topology: Topology, parts: Parts) -> Partition:
    return Partition(number, store_of(folder, number), topology.streams.sources, parts)


def _block(number: int, messages: Iterable[Message]) -> Block:
    block = Block(TOPIC, number, 0)
    block.extend(messages)
    return block
