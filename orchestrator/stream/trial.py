"""A process that handles suspect records, so that it dies of them and not the worker: `python -m orchestrator.stream.trial`.

It runs the worker's own code (`Partition.handle`) on one record after the other, with limits on memory and processor time, and
says which it begins. It reads documents from the worker over the same pipe and writes nothing anywhere.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from confluent_kafka import Message
from msgspec import Struct

from orchestrator.engine.engine import Engine
from orchestrator.language.model import Topology
from orchestrator.names import Header
from orchestrator.stream.blocks import Block
from orchestrator.stream.breaker import NEVER_STOPS
from orchestrator.stream.clock import wall_ms
from orchestrator.stream.outbox import Outbox
from orchestrator.stream.partition import Partition, Parts
from orchestrator.stream.producing import Produce
from orchestrator.stream.registry import Ref
from orchestrator.stream.store import Identity, PartitionStore, Position
from orchestrator.wire.framing import SchemaRef
from orchestrator.wire.gate import Gate, GateLimits
from orchestrator.wire.schemas import EventType, SchemaSet

MEMORY_BYTES: Final = 1 << 30  # what one record may take beyond what the process has at its start
CPU_S: Final = 60  # for all records of a trial
_OUT_OF_MEMORY: Final = b"MemoryError"
_MEMORY_SIZE: Final = Path("/proc/self/statm")


class SuspectRecord(NamedTuple):
    """A confluent_kafka.Message as it goes through the pipe."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None
    timestamp: tuple[int, int]

    @classmethod
    def of(cls, message: Any) -> SuspectRecord:
        """Take a message apart."""
        return cls(
            message.topic(), message.partition(), message.offset(), message.key(), message.value(), message.headers(),
            message.timestamp(),
        )  # fmt: skip


class Brief(Struct, frozen=True):
    """What trials must know of their worker to do as it does."""

    topology: Topology
    schemas: list[tuple[dict[str, Any], bool]]  # parsed, and whether it is the current version
    limits: GateLimits
    topics: Sequence[str]


class Suspects(Struct, frozen=True):
    """What one trial handles."""

    records: list[SuspectRecord]
    partition: int
    newest: int  # the newest record time that the partition has handled
    deadly: Set[tuple[str, int, int]]  # topic, partition and offset of records not to be tried again
    writers: Mapping[Ref, dict[str, Any]] = {}  # schemas that the records name and that no file has, parsed


class _Lent:
    """The registry of a trial: what the worker has found for the records at hand."""

    def __init__(self, writers: Mapping[Ref, dict[str, Any]], known: SchemaSet) -> None:
        self._found: dict[Ref, EventType] = {}
        for ref, schema in writers.items():
            event = self._found[ref] = EventType(schema)
            current = known.get(event.type)
            if current is not None and current.fingerprint != event.fingerprint:
                event.read_as(current)

    def resolve(self, ref: SchemaRef) -> EventType | None:
        """Give what the worker would decode by."""
        return self._found.get((ref.kind, ref.name))


class _LentStore(PartitionStore):
    """The store of a trial's partition: nothing on disk, it has what the worker lends it."""

    def __init__(self, pipe: Connection, number: int, newest: int) -> None:  # not the store's own: that one opens a directory
        self.identity = Identity(0, "", "", number)
        self.position = Position(newest=newest)
        self._pipe = pipe

    def get_many(self, customers: Sequence[bytes]) -> list[bytes | None]:
        """Ask the worker for documents."""
        self._pipe.send(("documents", list(customers)))
        found: list[bytes | None] = self._pipe.recv()
        return found

    def due(self, after: tuple[int, bytes], before: int, limit: int) -> list[tuple[int, bytes]]:
        """Know of no timers: a trial fires those of the customers that it handles, as handling a record does."""
        return []

    def earliest_due(self, after: int) -> int | None:
        """Know of no timers."""
        return None


def schemas_of(known: SchemaSet) -> list[tuple[dict[str, Any], bool]]:
    """Give schemas as a brief carries them."""
    return [(each.schema, known.get(each.type) is each) for each in known.versions()]


def _schema_set(schemas: list[tuple[dict[str, Any], bool]]) -> SchemaSet:
    versions = [(EventType(schema), is_current) for schema, is_current in schemas]
    current = {each.type: each for each, is_current in versions if is_current}
    for each, is_current in versions:
        if not is_current:
            each.read_as(current[each.type])
    return SchemaSet([each for each, _ in versions], current)


def _partition(brief: Brief, suspects: Suspects, pipe: Connection) -> Partition:
    streams = brief.topology.streams
    engine = Engine(brief.topology, share=Fraction(1, streams.partitions))
    known = _schema_set(brief.schemas)
    gate = Gate(known, streams, engine.hears, brief.limits, _Lent(suspects.writers, known), engine.reads)
    parts = Parts(engine, gate, wall_ms, "trial", "", streams.partitions, suspects.deadly, NEVER_STOPS)
    store = _LentStore(pipe, suspects.partition, suspects.newest)
    return Partition(suspects.partition, store, brief.topics, parts)


def _limit() -> None:
    if _MEMORY_SIZE.exists():  # Linux
        most = int(_MEMORY_SIZE.read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _ran_out_of_memory(records: Sequence[Produce]) -> bool:
    """Tell whether a record met the limit of memory: gate and engine make an incident of it, and without a limit it kills."""
    return any(
        name == Header.ERROR_MESSAGE and _OUT_OF_MEMORY in (value or b"")
        for record in records
        for name, value in record.headers or ()
    )


def main(pipe: Connection) -> None:
    """Try the suspects that come through the pipe; say each one's index before it, and at the end that all is well."""
    brief: Brief = pipe.recv()
    suspects: Suspects = pipe.recv()
    partition, outbox = _partition(brief, suspects, pipe), Outbox(brief.topology, wall_ms)
    _limit()
    for index, record in enumerate(suspects.records):
        pipe.send(("begins", index))
        block = Block(record.topic, record.partition, 0)
        block.append(Message(**record._asdict()))
        partition.handle(block, outbox)
        if _ran_out_of_memory(outbox.take()):
            os._exit(1)
    pipe.send(("lived", None))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
