"""The journal of one partition: one chain from its first cycle on, and every source record in exactly one of its runs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.wire.gate import Message
from orchestrator.wire.journal import JournalRecord, decode_journal
from tests.checker.evidence import offsets_of
from tests.checker.report import Report


class Cycle(NamedTuple):
    """A cycle as the journal tells it: its record, the checksum of that, and when it was produced, ms UTC."""

    record: JournalRecord
    chain: int
    at: int


def read_chain(journal: str, partition: int, messages: Sequence[Message], report: Report) -> list[Cycle]:
    """Decode a partition's journal, and hold each record against the one before."""
    cycles: list[Cycle] = []
    for message in messages:
        where = f"{journal}/{partition}/{message.offset()}"
        value = message.value() or b""
        try:
            record = decode_journal(value)
        except (ValueError, EOFError, IndexError) as error:
            report.differ(where, f"is no journal record: {type(error).__name__}")
            continue
        _link(where, record, cycles[-1] if cycles else None, report)
        if record.partition != partition or message.key() != str(partition).encode():
            report.differ(where, f"is of partition {record.partition}")
        cycles.append(Cycle(record, zlib.crc32(value), message.timestamp()[1]))
    report.counts["cycles"] += len(cycles)
    return cycles


def _link(where: str, record: JournalRecord, before: Cycle | None, report: Report) -> None:
    number, chain = (before.record.cycle, before.chain) if before else (0, 0)
    if record.cycle != number + 1:
        report.differ(where, f"is cycle {record.cycle}, expected {number + 1}")
    if record.previous != chain:
        report.differ(where, f"cycle {record.cycle} follows a record with checksum {record.previous}, the one before has {chain}")


def check_coverage(cycles: Sequence[Cycle], sources: Mapping[str, Sequence[Message]], partition: int, report: Report) -> None:
    """Every source record below the last cycle's offsets is in one run, none in two, and runs are in offset order."""
    for topic, messages in sources.items():
        offsets = offsets_of(messages)
        expected, read = (offsets[0] if offsets else 0), 0
        for cycle in cycles:
            for run in cycle.record.runs:
                if run.topic != topic:
                    continue
                where = f"{topic}/{partition}/{run.first}"
                if run.first < expected:
                    report.differ(where, f"cycle {cycle.record.cycle} handles again what ended before {expected}")
                while read < len(offsets) and offsets[read] < run.first:
                    report.differ(f"{topic}/{partition}/{offsets[read]}", f"was passed over by cycle {cycle.record.cycle}")
                    read += 1
                while read < len(offsets) and offsets[read] < run.next:
                    read += 1
                expected = run.next
            following = cycle.record.sources.get(topic)
            if following != expected and (expected or following):
                what = f"cycle {cycle.record.cycle} goes on at {following}, its runs end before {expected}"
                report.differ(f"{topic}/{partition}", what)
