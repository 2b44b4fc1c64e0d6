"""One assigned partition: its customers, timers, clock and position, and what the running cycle has done to them.

Nothing here waits for Kafka. A cycle calls `handle` and `fire`, then `close_cycle` for what must be produced; `written` puts
the cycle into the store once Kafka has it, `dropped` forgets it. The next cycle may handle records before that: it builds on
what the closed one has, and is dropped with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import islice
from typing import Any, Final

from orchestrator.engine.engine import NEVER, Customer, Engine, next_due
from orchestrator.engine.handling import Handling
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.engine.vicinity import NO_FREEZES, NOTE, Freezes
from orchestrator.errors import PositionLost
from orchestrator.names import Reason
from orchestrator.observe import metrics
from orchestrator.stream.blocks import Block
from orchestrator.stream.breaker import DEFAULT_BREAKER, Breaker, BreakerLimits
from orchestrator.stream.calendar import Calendar
from orchestrator.stream.clock import TIMER_GRACE_MS, PartitionClock, WallClock, advanced
from orchestrator.stream.lateness import LATE_MS, Lateness
from orchestrator.stream.outbox import MAX_VALUE_BYTES, Outbox
from orchestrator.stream.positions import metadata_of
from orchestrator.stream.store import PartitionStore, Position
from orchestrator.structs import Frozen
from orchestrator.wire.gate import DEADLY, Gate, Refusal
from orchestrator.wire.journal import JournalRecord, Run, chain_of, encode_journal
from orchestrator.wire.partitioning import partition_for

RECENT: Final = 40_000  # so many customers of all partitions of an app stay decoded, 1-2 KB each


class Parts(Frozen, frozen=True):
    """What all partitions of a worker share."""

    engine: Engine
    gate: Gate
    wall: WallClock
    worker: str
    program: str  # digest of the topology that the engine runs
    partitions: int  # how many the app's topics have
    deadly: Set[tuple[str, int, int]] = frozenset()  # topic, partition, offset of records that ended processes
    breaker: BreakerLimits = DEFAULT_BREAKER
    paused: frozenset[str] = frozenset()  # journeys whose actions are held
    freezes: Freezes = NO_FREEZES


class Cycle:
    """What a cycle did to one partition, or has done so far. `position` is where it stands, `next` with its sources alone."""

    __slots__ = (
        "actions", "before", "changed", "customers", "decisions", "has_switched", "incidents", "next", "position", "runs",
        "taken", "waited_since",
    )  # fmt: skip

    def __init__(self, position: Position, *, has_switched: bool) -> None:
        """`has_switched`: to another program, which it tells of."""
        self.position = position
        self.next: dict[str, int] = dict(position.sources)
        self.customers: dict[str, Customer] = {}
        self.before: dict[str, bytes | None] = {}  # documents as they stood when the cycle first touched them
        self.taken: list[tuple[int, bytes]] = []  # what it took from the calendar
        self.runs: list[Run] = []
        self.waited_since: list[int] = []  # the time of each block's first record
        self.has_switched = has_switched
        self.decisions = 0
        self.actions = 0
        self.incidents = 0
        self.changed: dict[str, bytes | None] = {}  # documents as they stand after it; of a closed one only

    def after(self, name: str) -> bytes | None:
        """Give a document that it touched as it stands after it, once it is closed."""
        return self.changed[name] if name in self.changed else self.before[name]


class Partition:
    """The partition's state and the pending work of its cycles. To the engine it is the vicinity of each of its customers."""

    def __init__(self, number: int, store: PartitionStore, topics: Sequence[str], parts: Parts) -> None:
        self.number = number
        self.store = store
        self.paused, self.freezes = parts.paused, parts.freezes
        self.clock = PartitionClock(list(topics), store.position.newest, parts.wall)
        self.calendar = Calendar(store)
        self._lateness = Lateness(number, parts.wall)
        self.breaker = Breaker(parts.breaker)
        self._parts = parts
        self._lent: dict[str, bytes | None] = {}  # who was asked for in the handling at hand, as stored before it
        # As the closed cycles left them, those of the latest last; whom the running one has is not among them.
        self._recent: dict[str, Customer] = {}
        self._closed: Cycle | None = None  # of which nobody knows yet whether it landed
        self._running = Cycle(store.position, has_switched=False)

    @property
    def has_work(self) -> bool:
        """Whether the running cycle did anything here."""
        return bool(self._running.runs) or self._running.has_switched

    def switch(self, parts: Parts) -> None:
        """Run another program from the next cycle on, which tells of it even if it does nothing else. Not within a cycle."""
        self._parts, self.paused, self.freezes = parts, parts.paused, parts.freezes
        self._running.has_switched = True

    @property
    def next_offsets(self) -> dict[str, int]:
        """The next offset of each source topic, the running cycle's work included."""
        return self._running.next

    def handle(self, block: Block, out: Outbox) -> None:
        """Fold a block, as far as the breaker lets it. Raises PositionLost where it begins before the partition's position."""
        if self.breaker.is_open:
            return
        if block:
            self._fold(block, out)
        if block.at_end and not self.breaker.is_open:
            self.clock.reached_end(block.topic)

    def _fold(self, block: Block, out: Outbox) -> None:
        first, after = block[0].offset(), block[-1].offset() + 1
        cycle = self._running
        expected = cycle.next.get(block.topic)
        if expected is not None and first < expected:
            raise PositionLost(
                f"records arrived from offset {first}, expected {expected}: going on would repeat some",
                where=f"{block.topic}/{self.number}",
                next_step="restart the worker; if it happens again, report it",
            )
        wall = self._parts.wall()
        if self._parts.deadly:
            admitted = [self._admit_harmless(message, wall) for message in block]
        else:
            admitted = self._parts.gate.admit_all(block, wall)
        self._load({a.customer for a in admitted if isinstance(a, Record)})
        clock = wall if self.clock.caught_up else 0
        self.clock.left_end(block.topic)
        handle, customers = self._parts.engine.handle, cycle.customers
        newest, breaker = self.clock.newest, self.breaker
        for message, item in zip(block, admitted, strict=True):
            if isinstance(item, Record):
                if item.time > newest:
                    newest = item.time if item.time <= wall else advanced(newest, item.time, wall)
                customer = customers[item.customer]
                stored = customer.stored
                handlings = handle(customer, item, clock or newest, self)
                if self._lent or (customer.stored is not None and len(customer.stored) > MAX_VALUE_BYTES):
                    handlings = self._fitting(customer, stored, item, handlings)
                for handling in handlings:
                    self._emit(handling, out, message)
            elif item is None:
                newest = advanced(newest, message.timestamp()[1], wall)
            else:
                self._refuse(message, item, out)
            if breaker.is_open:
                after = message.offset() + 1
                break
        self.clock.newest = newest
        cycle.next[block.topic] = after
        cycle.waited_since.append(block[0].timestamp()[1])
        self._note(Run(topic=block.topic, first=first, next=after, clock=clock))

    def _admit_harmless(self, message: Any, wall: int) -> Record | Refusal | None:
        """Do as the gate does, without a look at records that are known to end the process."""
        if (message.topic(), message.partition(), message.offset()) in self._parts.deadly:
            return DEADLY
        return self._parts.gate.admit(message, wall)

    def documents(self, customers: Sequence[bytes]) -> list[bytes | None]:
        """Give stored documents, the running cycle's work included, without taking part in it. Raises StoreDamaged."""
        running, recent = self._running.customers, self._recent
        found = [running.get(n := c.decode()) or recent.get(n) for c in customers]
        stored = self.store.get_many(customers)
        return [s if customer is None else customer.stored for customer, s in zip(found, stored, strict=True)]

    @property
    def timers_due(self) -> bool:
        """Whether the calendar may have something to fire."""
        return self.calendar.earliest < self.clock.timers_before()

    @property
    def overdue_before(self) -> int:
        """The deadline before which a timer should have fired by now, seen from the wall."""
        return self._parts.wall() - TIMER_GRACE_MS - LATE_MS

    def overdue(self, limit: int) -> list[tuple[int, bytes]]:
        """List at most `limit` of those whose timers should have fired: deadline and customer, the longest overdue first."""
        return self.store.due((self.store.position.timers_from, b""), self.overdue_before, limit)

    def fire(self, limit: int, out: Outbox) -> int:
        """Fire at most `limit` due entries of the calendar and give how many were taken.

        Not while a closed cycle is under way: its changes to the calendar are not in the store yet.
        """
        before = self.clock.timers_before()
        taken = self.calendar.take(before, limit)
        if not taken:
            return 0
        self._running.taken += taken
        names = [customer.decode() for _, customer in taken]
        self._load(set(names))
        fired = 0
        for name, (due, _) in zip(names, taken, strict=True):
            customer = self._running.customers[name]
            if next_due(customer.stored) != due:
                continue  # a stale hint: the document moved on, its new deadline has an entry of its own
            fired += 1
            for handling in self._parts.engine.fire(customer, before, self):
                self._emit(handling, out, None)
        self._lent.clear()
        if fired:
            self._lateness.fired(taken[0][0], fired)
        self._note(Run(topic="", first=fired, next=0, clock=before))
        return len(taken)

    def customer(self, customer_id: str) -> Customer | None:
        """Give a customer of this partition to the engine, None for one of another."""
        if partition_for(customer_id.encode(), self._parts.partitions) != self.number:
            return None
        return self._lend(customer_id)

    def note(self, name: str) -> Customer:
        """Give a note of this partition to the engine."""
        return self._lend(NOTE + name)

    def _lend(self, name: str) -> Customer:
        self._load((name,))
        found = self._running.customers[name]
        self._lent.setdefault(name, found.stored)
        return found

    def _fitting(self, customer: Customer, stored: bytes | None, record: Record, handlings: list[Handling]) -> list[Handling]:
        """Take back a record that would make a document larger than the changelog takes, for all whom it touched (rule A5)."""
        touched, self._lent = {**self._lent, customer.id: stored}, {}
        customers = self._running.customers
        largest = max(len(customers[name].stored or b"") for name in touched)
        if largest <= MAX_VALUE_BYTES:
            return handlings
        for name, before in touched.items():
            customers[name].restore(before)
        incident = Incident(Reason.DOCUMENT_TOO_LARGE, f"a document would have {largest} bytes; the record was not applied")
        return [Handling(customer.id, record.time, record.type, record.event_id, incidents=[incident])]

    def _load(self, names: Iterable[str]) -> None:
        customers, before, recent = self._running.customers, self._running.before, self._recent
        missing = []
        for name in names:
            if name in customers:
                continue
            if (found := recent.pop(name, None)) is not None:
                customers[name], before[name] = found, found.stored
            else:
                missing.append(name)
        if not missing:
            return
        missing.sort()  # neighbours share the blocks that are read and the way to them: 0.8 us a document of millions
        for name, stored in zip(missing, self.store.get_many([n.encode() for n in missing]), strict=True):
            customers[name] = Customer(name, stored)
            before[name] = stored

    def _note(self, run: Run) -> None:
        runs = self._running.runs
        last = runs[-1] if runs else None
        if last is not None and last.topic == run.topic and last.clock == run.clock:
            last.next = run.next
            if not run.topic:
                last.first += run.first
        else:
            runs.append(run)

    def _emit(self, handling: Handling, out: Outbox, message: Any) -> None:
        out.handling(self.number, handling, message)
        cycle = self._running
        cycle.decisions += len(handling.decisions)
        if handling.actions:
            cycle.actions += len(handling.actions)
        if handling.incidents:
            cycle.incidents += len(handling.incidents)
            if handling.event and any(incident.reason != Reason.ALERT for incident in handling.incidents):
                self.breaker.note(message.topic(), message.offset())

    def _refuse(self, message: Any, refusal: Refusal, out: Outbox) -> None:
        self._running.incidents += 1
        self.breaker.note(message.topic(), message.offset())
        out.refusal(self.number, message, refusal)

    def close_cycle(self, out: Outbox) -> None:
        """Add the cycle's changelog documents and its journal record to the outbox, and begin the next. Not before `written`."""
        cycle, stood = self._running, self._running.position
        cycle.changed = {
            name: customer.stored
            for name, customer in cycle.customers.items()
            if customer.stored is not cycle.before[name] and customer.stored != cycle.before[name]
        }
        for name, stored in cycle.changed.items():
            out.document(self.number, name.encode(), stored)
        record = JournalRecord(
            cycle=stood.cycle + 1,
            worker=self._parts.worker,
            program=self._parts.program,
            partition=self.number,
            newest=self.clock.newest,
            runs=cycle.runs,
            sources=cycle.next,
            decisions=cycle.decisions,
            actions=cycle.actions,
            incidents=cycle.incidents,
            previous=stood.chain,
        )
        value = encode_journal(record)
        cycle.position = Position(
            cycle=record.cycle,
            chain=chain_of(value),
            newest=record.newest,
            sources=record.sources,
            changelog=stood.changelog,
            rebuilt=stood.rebuilt,
        )
        tripped, limits = self.breaker.close(), self.breaker.limits
        if tripped is not None:
            out.stop(self.number, record.cycle, (tripped.topic, tripped.offset + 1), (limits.incidents, limits.window))
        out.journal(self.number, value)
        self._recent.update(cycle.customers)
        self._closed, self._running = cycle, Cycle(cycle.position, has_switched=False)

    @property
    def cycle(self) -> int:
        """The number of the cycle that is running here."""
        return self._running.position.cycle + 1

    @property
    def offset_metadata(self) -> str:
        """What this partition's offsets carry in a transaction: the latest cycle that is closed."""
        position = self._running.position
        return metadata_of(position.cycle, position.chain, position.newest)

    def written(self, changelog: int | None) -> None:
        """Put the closed cycle into the store: Kafka has it.

        `changelog` is the next changelog offset, None if no document changed.
        """
        cycle, self._closed = self._closed, None
        assert cycle is not None, "there is a closed cycle"
        gone, new = _calendar_changes(cycle)
        position = cycle.position
        position.timers_from = self.calendar.committed(new)
        if changelog is not None:
            position.changelog = changelog
        self.store.write({n.encode(): d for n, d in cycle.changed.items()}, gone, new, position)
        self.breaker.keep()
        for name in list(islice(self._recent, max(0, len(self._recent) - RECENT // self._parts.partitions))):
            del self._recent[name]
        now = self._parts.wall()
        for since in cycle.waited_since:
            metrics.EVENT_LATENCY.observe(max(0, now - since) / 1000)

    def dropped(self) -> None:
        """Forget the running cycle and a closed one; the store still stands where Kafka does."""
        self.breaker.drop()
        self.clock.newest = self.store.position.newest
        self.calendar.rewind()
        has_switched = self._running.has_switched or (self._closed is not None and self._closed.has_switched)
        self._recent.clear()
        self._closed, self._running = None, Cycle(self.store.position, has_switched=has_switched)


def _calendar_changes(cycle: Cycle) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Give the entries to delete and to put. Puts come last, so that an entry in both stays."""
    gone, new = list(cycle.taken), []
    for name, stored in cycle.changed.items():
        old, later = next_due(cycle.before[name]), next_due(stored)
        if old != later:
            gone.append((old, name.encode()))
            new.append((later, name.encode()))
    for due, customer in cycle.taken:
        if next_due(cycle.after(customer.decode())) == due:
            new.append((due, customer))
    return gone, [entry for entry in new if entry[0] != NEVER]
