"""The judgement over evidence in memory: every invariant of one app, partition by partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from msgspec import Struct

from orchestrator.wire.gate import Message
from tests.checker.chain import Cycle, check_coverage, read_chain
from tests.checker.evidence import Evidence, Place, Topics
from tests.checker.lists import same_list
from tests.checker.programs import Programs
from tests.checker.replay import Replay
from tests.checker.report import Report


class Demands(Struct, frozen=True):
    """What holds of this run beyond the invariants of any.

    `is_over`: the workers have stopped, and everything was to be handled. `is_loaded`: all source records were there before the
    first worker was, so that nobody may take itself for caught up before their end. `fired_before`: no deadline before this
    instant (ms UTC) may be left.
    """

    is_over: bool = True
    is_loaded: bool = False
    fired_before: int = 0


OVER: Final = Demands()


class Judged(Struct):
    """One partition after its replay, for the checks of stores and of second readers."""

    cycles: list[Cycle]
    replay: Replay


def judge(evidence: Evidence, programs: Programs, report: Report, demands: Demands) -> dict[int, Judged]:
    """Replay every partition, and hold all that Kafka has against it."""
    topics = Topics.of(programs.topology)
    count = programs.topology.streams.partitions
    return {number: _judge_partition(evidence, programs, (topics, number, count), report, demands) for number in range(count)}


def _judge_partition(
    evidence: Evidence, programs: Programs, where: tuple[Topics, int, int], report: Report, demands: Demands
) -> Judged:
    topics, number, count = where
    sources = {topic: evidence.of(topic, number).records for topic in topics.sources}
    cycles = read_chain(topics.journal, number, evidence.of(topics.journal, number).records, report)
    check_coverage(cycles, sources, number, report)
    replay = Replay((number, count), topics, sources, report, is_loaded=demands.is_loaded)
    for cycle in cycles:
        program = programs.by_name.get(cycle.record.program)
        if program is None:
            place = f"{topics.journal}/{number}, cycle {cycle.record.cycle}"
            report.differ(place, f"was done by program {cycle.record.program}; known are {', '.join(programs.by_name)}")
            break
        replay.cycle(cycle.record, program, cycle.at)
    for topic in (*topics.actions, topics.transitions, topics.incidents):
        found = evidence.of(topic, number).records
        same_list((topic, number), replay.expected[topic], found, report)
        report.counts["outputs"] += len(found)
    _check_changelog((topics.changelog, number), replay, evidence.of(topics.changelog, number).records, report)
    _check_group(evidence, sources, cycles, number, report)
    if demands.is_over:
        _check_end(evidence, topics, replay, number, report)
    if overdue := replay.state.overdue(demands.fired_before):
        report.differ(f"partition {number}", f"{overdue} documents have deadlines before {demands.fired_before} that never fired")
    return Judged(cycles, replay)


def _check_changelog(place: Place, replay: Replay, found: Sequence[Message], report: Report) -> None:
    """The changelog is the documents that each cycle changed, cycle after cycle; within one they stand in any order."""
    topic, number = place
    report.counts["documents"] += len(found)
    ends = list(accumulate(len(changes) for changes in replay.changes))
    for cycle, (changes, end) in enumerate(zip(replay.changes, ends, strict=True), 1):
        part = found[end - len(changes) : end]
        actual = {message.key(): message.value() for message in part}
        if actual != changes:
            offset = part[0].offset() if part else "its end"
            report.differ(f"{topic}/{number}/{offset}", f"cycle {cycle}: {_first_stale(changes, part)}")
            return
    if ends and len(found) != ends[-1]:
        report.differ(f"{topic}/{number}", f"has {len(found)} documents, expected {ends[-1]}")


def _first_stale(expected: Mapping[bytes, bytes | None], part: Sequence[Message]) -> str:
    for message in part:
        key = message.key() or b""
        if key not in expected:
            return f"the document at offset {message.offset()} was not changed by this cycle"
        if message.value() != expected[key]:
            return f"the document at offset {message.offset()} is not the engine's"
    return f"{len(part)} documents, expected {len(expected)}"


def _check_group(evidence: Evidence, sources: Mapping[str, Any], cycles: Sequence[Cycle], number: int, report: Report) -> None:
    """The group's offsets are those of the last cycle, and say so."""
    if not cycles:
        return
    record, chain, _ = cycles[-1]
    for topic in sources:
        offset, metadata = evidence.committed.get((topic, number), (None, ""))
        where = f"{topic}/{number}"
        if offset != record.sources.get(topic):
            report.differ(
                where, f"the group is at {offset}, the journal's last cycle {record.cycle} at {record.sources.get(topic)}"
            )
        elif metadata != f"{record.cycle} {chain} {record.newest}":
            report.differ(where, f"the group's offset is of {metadata!r}, the journal's last cycle is {record.cycle} {chain}")


def _check_end(evidence: Evidence, topics: Topics, replay: Replay, number: int, report: Report) -> None:
    """Nothing is left to read, no transaction is open, nobody is in the group."""
    for topic, read in replay.position.items():
        left = len(evidence.of(topic, number).records) - read
        if left:
            report.differ(f"{topic}/{number}", f"{left} records were not handled")
    for topic in topics.outputs:
        log = evidence.of(topic, number)
        if log.stable != log.high:
            report.differ(f"{topic}/{number}", f"a transaction is open: readers get to {log.stable}, the log ends at {log.high}")
    if number == 0 and evidence.group_state != "EMPTY":
        report.differ("the group", f"is {evidence.group_state}, expected nobody in it")
