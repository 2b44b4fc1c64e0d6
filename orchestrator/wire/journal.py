"""The journal: one record a partition a cycle, chained by checksum.

It is the order of things: replay follows its runs, and where neither the group's offsets nor a local store is left, its last
record still tells where a partition stands.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

import fastavro
import msgspec

from orchestrator.structs import resolved
from orchestrator.wire.ours import our_schema


class Run(msgspec.Struct):
    """A run of records of one topic, or (topic "") a sweep of timers. Fields as in Journal.avsc."""

    topic: str
    first: int
    next: int
    clock: int


@resolved
class JournalRecord(msgspec.Struct):
    """One cycle on one partition. Fields as in Journal.avsc."""

    cycle: int
    worker: str
    program: str
    partition: int
    newest: int
    runs: list[Run]
    sources: dict[str, int]
    decisions: int = 0
    actions: int = 0
    incidents: int = 0
    previous: int = 0


def encode_journal(record: JournalRecord) -> bytes:
    """Give the record's bytes: single-object Avro."""
    schema = our_schema("Journal")
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, msgspec.to_builtins(record))
    return out.getvalue()


def decode_journal(value: bytes) -> JournalRecord:
    """Read what `encode_journal` wrote. Raises ValueError for anything else."""
    schema = our_schema("Journal")
    if not value.startswith(schema.prefix):
        raise ValueError("not a journal record of this version")
    plain: Any = fastavro.schemaless_reader(io.BytesIO(value[len(schema.prefix) :]), schema.parsed, None)
    return msgspec.convert(plain, JournalRecord)


def chain_of(value: bytes) -> int:
    """Give the checksum of an encoded record, which the partition's next one must carry as `previous`."""
    return zlib.crc32(value)
