"""The ledger: every partition's books, read committed from Kafka, looked at twice before a difference is called one.

Workers go on meanwhile, and the topics of one transaction become readable one after the other. So after a first reading the rest
is read on, and only what is still different then counts. Reading goes on where it was; nothing is read twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.language.model import Policy, Streams
from orchestrator.names import Header, Reason
from orchestrator.operate import documents
from orchestrator.operate.documents import Progress
from orchestrator.operate.sight.books import CYCLES, DECIDED, EMITTED, Books, Difference, Report, Sums
from orchestrator.operate.sight.shelf import Place
from orchestrator.wire.actions import decode_action
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.journal import decode_journal

AGAIN_S: Final = 2.0  # between two looks; a transaction's markers take milliseconds
_LOOKS: Final = 3
_Take = Callable[[Books, Any], None]


class Account(Struct, frozen=True):
    """What came of it: sums by journey, step and channel, the differences, and the partitions whose journal has no beginning."""

    sums: dict[Place, Sums]
    differences: tuple[Difference, ...]
    without_cycles: tuple[int, ...]

    def by_equation(self) -> dict[str, int]:
        """Give how many differences each equation has, also where there is none."""
        return dict.fromkeys((DECIDED, EMITTED, CYCLES), 0) | Counter(each.equation for each in self.differences)

    @property
    def whole(self) -> Sums:
        """The sums of everything."""
        found = Sums()
        for each in self.sums.values():
            found.add(each)
        return found


class Ledger:
    """Reads on each time that it is asked; keeps what it knows of each action in a file of its own, with bounded memory."""

    def __init__(self, conf: Mapping[str, Any], streams: Streams, policy: Policy, gate: Gate) -> None:
        self._conf, self._gate = conf, gate
        self._journal, self._outcomes = streams.journal, streams.outcomes
        self._numbers = range(streams.partitions)
        self._takes: dict[str, _Take] = {
            streams.transitions: _take_handling,
            **{channel.topic: _take_command for channel in policy.channels.values()},
            streams.journal: self._take_cycle,
            streams.incidents: _take_incident,
            streams.outcomes: self._take_outcome,
        }
        self._next: dict[str, dict[int, int]] = {}
        self._books: dict[int, Books] = {}

    def account(self, progress: Progress) -> Account:
        """Read to the present and add up. Blocks; raises Unreachable, TopicMismatch."""
        self._read_on(progress)
        found = self._differences()
        for _ in range(_LOOKS):
            if not found:
                break
            time.sleep(AGAIN_S)
            self._read_on(progress)
            found &= self._differences()
        sums: dict[Place, Sums] = {}
        for books in self._books.values():
            for place, each in books.sums().items():
                sums.setdefault(place, Sums()).add(each)
        without = tuple(number for number, books in sorted(self._books.items()) if not books.has_all_cycles)
        return Account(dict(sorted(sums.items())), tuple(sorted(found)), without)

    def close(self) -> None:
        """Let go of all that was read."""
        for books in self._books.values():
            books.close()

    def _differences(self) -> set[Difference]:
        return {difference for books in self._books.values() for difference in books.differences()}

    def _read_on(self, progress: Progress) -> None:
        bounds = {topic: documents.ranges(self._conf, topic, self._numbers) for topic in self._takes}
        if not self._books:
            # The journal may be compacted from its beginning on, and has a rule of its own.
            lows = {n: max(bounds[t][n][0] for t in bounds if t != self._journal) for n in self._numbers}
            self._books = {number: Books(number, is_whole=low == 0) for number, low in lows.items()}
        total, done = sum(high - self._from(t, n, low) for t in bounds for n, (low, high) in bounds[t].items()), 0
        for topic, parts in bounds.items():
            todo = {number: (self._from(topic, number, low), high) for number, (low, high) in parts.items()}
            take = self._takes[topic]
            for message in self._messages(topic, todo, lambda read, _, before=done: progress(before + read, total)):
                take(self._books[message.partition()], message)
            done += sum(high - low for low, high in todo.values())
            self._next[topic] = {number: high for number, (_, high) in todo.items()}

    def _messages(self, topic: str, todo: Mapping[int, tuple[int, int]], progress: Any) -> Iterator[Any]:
        return documents.read(self._conf, topic, {n: part for n, part in todo.items() if part[0] < part[1]}, progress)

    def _from(self, topic: str, number: int, low: int) -> int:
        return max(low, self._next.get(topic, {}).get(number, 0))

    def _take_outcome(self, books: Books, message: Any) -> None:
        record = self._gate.admit(message, time.time_ns() // 1_000_000)
        if record is None or isinstance(record, Refusal):
            return  # an incident, of which the ledger is no judge
        action_id, status = record.payload.get("action_id"), record.payload.get("status")
        if isinstance(action_id, str) and action_id and isinstance(status, str) and status:
            books.outcome(action_id, Report(status, message.offset(), record.event_id, record.customer))

    def _take_cycle(self, books: Books, message: Any) -> None:
        record = decode_journal(message.value() or b"")
        books.cycle(record.cycle, record.decisions, record.actions, record.sources.get(self._outcomes, 0))


def _take_handling(books: Books, message: Any) -> None:
    books.handling(decode_handling(message.value() or b""))


def _take_command(books: Books, message: Any) -> None:
    books.command(decode_action(message.value() or b""))


def _take_incident(books: Books, message: Any) -> None:
    headers = dict(message.headers() or ())
    if headers.get(Header.INCIDENT_REASON) != Reason.OUTPUT_TOO_LARGE.encode():
        return
    journey, step = ((headers.get(name) or b"").decode() for name in (Header.JOURNEY, Header.STEP))
    books.too_large((message.key() or b"").decode(errors="replace"), journey, step)
