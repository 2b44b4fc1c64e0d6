"""The judgement over evidence in memory: every invariant of one app, partition by partition."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, Final

from msgspec import Struct, structs

from orchestrator.engine.storing import decode, encode
from orchestrator.wire.gate import Message
from orchestrator.wire.incidents import deadly_record, is_of_breaker
from tests.checker.chain import Cycle, check_coverage, read_chain
from tests.checker.evidence import Evidence, Place, Topics
from tests.checker.lists import same_list
from tests.checker.programs import Programs
from tests.checker.replay import Replay
from tests.checker.report import Report

Stored = tuple[Message, bytes | None]  # a record of the changelog, and the document in it


class Demands(Struct, frozen=True):
    """What holds of this run beyond the invariants of any.

    `is_over`: the workers have stopped, and everything was to be handled. `is_loaded`: all source records were there before the
    first worker was, so that nobody may take itself for caught up before their end. `fired_before`: no deadline before this
    instant (ms UTC) may be left. `has_older_documents`: an older release wrote some, which are compared by what they say.
    """

    is_over: bool = True
    is_loaded: bool = False
    fired_before: int = 0
    has_older_documents: bool = False


OVER: Final = Demands()


class Judged(Struct):
    """One partition after its replay, for the checks of stores and of second readers."""

    cycles: list[Cycle]
    replay: Replay


def judge(evidence: Evidence, programs: Programs, report: Report, demands: Demands) -> dict[int, Judged]:
    """Replay every partition, and hold all that Kafka has against it."""
    topics = Topics.of(programs.topology)
    count = programs.topology.streams.partitions
    with _no_collector():
        return {number: _judge_partition(evidence, programs, (topics, number, count), report, demands) for number in range(count)}


@contextmanager
def _no_collector() -> Iterator[None]:
    """A replay makes many objects and no cycles: looking for those takes a fifth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _judge_partition(
    evidence: Evidence, programs: Programs, where: tuple[Topics, int, int], report: Report, demands: Demands
) -> Judged:
    topics, number, count = where
    sources = {topic: evidence.of(topic, number).records for topic in topics.sources}
    cycles = read_chain(topics.journal, number, evidence.of(topics.journal, number).records, report)
    check_coverage(cycles, sources, number, report)
    replay = Replay((number, count), topics, sources, report, is_loaded=demands.is_loaded)
    replay.deadly = _deadly(evidence.of(topics.incidents, number).records)
    for cycle in cycles:
        program = programs.by_name.get(cycle.record.program)
        if program is None:
            place = f"{topics.journal}/{number}, cycle {cycle.record.cycle}"
            report.differ(place, f"was done by program {cycle.record.program}; known are {', '.join(programs.by_name)}")
            break
        replay.cycle(cycle.record, program, cycle.at)
    for topic in (*topics.actions, topics.transitions, topics.incidents):
        # The alert that a partition was stopped is the worker's own: it follows from its limits, not from records.
        found = [each for each in evidence.of(topic, number).records if not is_of_breaker(each.headers() or [])]
        same_list((topic, number), replay.expected[topic], found, report)
        report.counts["outputs"] += len(found)
    documents = [(each, each.value()) for each in evidence.of(topics.changelog, number).records]
    if demands.has_older_documents:
        documents = [(each, _as_of_older(stored)) for each, stored in documents]
        for changes in replay.changes:
            changes |= {key: _as_of_older(stored) for key, stored in changes.items()}
    _check_changelog((topics.changelog, number), replay, documents, report)
    _check_group(evidence, sources, cycles, number, report)
    if demands.is_over:
        _check_end(evidence, topics, replay, number, report)
    if overdue := replay.state.overdue(demands.fired_before):
        report.differ(f"partition {number}", f"{overdue} documents have deadlines before {demands.fired_before} that never fired")
    return Judged(cycles, replay)


def _as_of_older(stored: bytes | None) -> bytes | None:
    """Give a document without what an older release did not write into it and this one cannot make up."""
    document = decode(stored)
    document.instances = [structs.replace(instance, stood=-1) for instance in document.instances]
    return encode(document)


def _deadly(incidents: Sequence[Message]) -> set[tuple[str, int, int]]:
    """Give the records of which the incidents say that they ended processes: no replay may touch these."""
    return {found for message in incidents if (found := deadly_record(message.headers() or [])) is not None}


def _check_changelog(place: Place, replay: Replay, found: Sequence[Stored], report: Report) -> None:
    """The changelog is the documents that each cycle changed, cycle after cycle; within one they stand in any order."""
    topic, number = place
    report.counts["documents"] += len(found)
    ends = list(accumulate(len(changes) for changes in replay.changes))
    for cycle, (changes, end) in enumerate(zip(replay.changes, ends, strict=True), 1):
        part = found[end - len(changes) : end]
        actual = {message.key(): stored for message, stored in part}
        if actual != changes:
            offset, what = _first_stale(changes, part)
            report.differ(f"{topic}/{number}/{offset}", f"cycle {cycle}: {what}")
            return
    if ends and len(found) != ends[-1]:
        report.differ(f"{topic}/{number}", f"has {len(found)} documents, expected {ends[-1]}")


def _first_stale(expected: Mapping[bytes, bytes | None], part: Sequence[Stored]) -> tuple[int | str, str]:
    for message, stored in part:
        key = message.key() or b""
        if key not in expected:
            return message.offset(), "a document that this cycle did not change"
        if stored != expected[key]:
            return message.offset(), "the document is not the engine's"
    return part[0][0].offset() if part else "", f"{len(part)} documents, expected {len(expected)}"


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
