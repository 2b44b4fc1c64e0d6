"""The local stores of workers that have stopped: each holds what the changelog held at its offset, and its calendar follows.

A store is opened read only, so a check changes nothing. Keys: `d` + customer, `t` + due (8 bytes) + customer, `m`.
"""

from __future__ import annotations

import fcntl
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from rocksdict import AccessType, Options, Rdict

from orchestrator.engine.document import NEVER
from orchestrator.engine.storing import next_due
from orchestrator.wire.gate import Message
from tests.checker.chain import Cycle
from tests.checker.evidence import Log
from tests.checker.report import Report

_META: Final = b"m"
_ASIDE: Final = re.compile(r"\d+\.bad-\d+")
_EXPECTED: Final = re.compile(r"\d+(\.damaged|\.bad-\d+)?")


class Position(Struct):
    """What a store says of itself."""

    app: str
    partition: int
    cycle: int
    chain: int
    newest: int
    sources: dict[str, int]
    changelog: int
    timers_from: int


class Store(Struct):
    """A store in memory. `timers` are its calendar's entries (due in ms UTC, customer)."""

    path: Path
    position: Position
    documents: dict[bytes, bytes]
    timers: set[tuple[int, bytes]]


def read_stores(state_dir: Path, report: Report) -> Iterator[Store]:
    """Read the partitions' stores under a worker's state directory; those that it moved aside, or will, are not looked at."""
    for path in sorted((state_dir / "partitions").glob("*")):
        if not path.name.isdigit() or path.with_name(f"{path.name}.damaged").exists():
            continue
        try:
            store = read_store(path)
        except Exception as error:  # rocksdict raises plain Exceptions
            report.differ(str(path), f"cannot be read: {type(error).__name__}")
        else:
            if store is not None:
                yield store


def check_left_behind(state_dir: Path, report: Report) -> None:
    """No process holds a state directory; beside its stores there is at most one that was moved aside, and the mark of one."""
    with (state_dir / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            report.differ(str(state_dir), "a process still holds its lock")
    names = [path.name for path in (state_dir / "partitions").glob("*")]
    aside = Counter(name.partition(".")[0] for name in names if _ASIDE.fullmatch(name))
    odd = sorted(name for name in names if not _EXPECTED.fullmatch(name)) + [f"{name}.bad-*" for name in aside if aside[name] > 1]
    if odd:
        report.differ(str(state_dir / "partitions"), f"left behind: {', '.join(odd)}")


def read_store(path: Path) -> Store | None:
    """Read one store; None for one without a position, which a worker would fill anew."""
    database: Any = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    try:
        entries = dict(database.items())
    finally:
        database.close()
    meta = entries.pop(_META, None)
    if meta is None:
        return None
    (_, _, app, partition), (cycle, chain, newest, sources, changelog, timers_from, *_) = msgspec.msgpack.decode(meta)
    return Store(
        path,
        Position(app, partition, cycle, chain, newest, sources, changelog, timers_from),
        {key[1:]: value for key, value in entries.items() if key.startswith(b"d")},
        {(int.from_bytes(key[1:9], "big"), key[9:]) for key in entries if key.startswith(b"t")},
    )


def check_store(store: Store, cycles: Sequence[Cycle], changelog: Log, report: Report) -> None:
    """Hold a store against the changelog up to its offset, and against the journal's record of its cycle."""
    where, position = str(store.path), store.position
    report.counts["stored documents"] += len(store.documents)
    if position.changelog > changelog.stable or position.cycle > len(cycles):
        ahead = f"offset {position.changelog} of {changelog.stable}, cycle {position.cycle} of {len(cycles)}"
        report.differ(where, f"is ahead of Kafka: {ahead}")
        return
    _check_position(where, position, cycles, report)
    documents, had = _compacted([each for each in changelog.records if _offset(each) < position.changelog])
    _check_documents(where, store.documents, documents, report)
    _check_calendar(where, store, had, report)


def _offset(message: Message) -> int:
    return message.offset()


def _check_position(where: str, position: Position, cycles: Sequence[Cycle], report: Report) -> None:
    if not position.cycle:
        return
    record, chain, _ = cycles[position.cycle - 1]
    found = (position.chain, position.newest, position.sources)
    if found != (chain, record.newest, record.sources):
        report.differ(
            where, f"says of cycle {record.cycle} something else than the journal: checksum {position.chain}, not {chain}"
        )


def _compacted(messages: Sequence[Message]) -> tuple[dict[bytes, bytes], dict[bytes, set[int]]]:
    """Give the documents as compaction leaves them, and every deadline that each customer ever had."""
    documents: dict[bytes, bytes] = {}
    had: dict[bytes, set[int]] = defaultdict(set)
    for message in messages:
        key, value = message.key() or b"", message.value()
        had[key].add(next_due(value))
        if value is None:
            documents.pop(key, None)
        else:
            documents[key] = value
    return documents, had


def _check_documents(where: str, found: dict[bytes, bytes], expected: dict[bytes, bytes], report: Report) -> None:
    stale = sum(found[key] != value for key, value in expected.items() if key in found)
    absent, extra = len(expected.keys() - found.keys()), len(found.keys() - expected.keys())
    if stale or absent or extra:
        report.differ(where, f"of {len(expected)} documents {stale} are stale, {absent} absent; {extra} should not be there")


def _check_calendar(where: str, store: Store, had: dict[bytes, set[int]], report: Report) -> None:
    """Every deadline has its entry; an entry without one is at most a deadline of the past, which a restore leaves behind."""
    due = {(max(at, 0), key) for key, value in store.documents.items() if (at := next_due(value)) != NEVER}
    lost = due - store.timers
    invented = {(at, key) for at, key in store.timers - due if at not in had.get(key, ())}
    unreachable = {entry for entry in due if entry[0] < store.position.timers_from}
    report.counts["timers pending"] += len(due)
    for entries, what in ((lost, "are not in the calendar"), (unreachable, "lie before where the calendar is read from")):
        if entries:
            report.differ(where, f"{len(entries)} of {len(due)} deadlines {what}, the first at {min(entries)[0]}")
    if invented:
        report.differ(where, f"{len(invented)} calendar entries that no document ever had, the first at {min(invented)[0]}")
