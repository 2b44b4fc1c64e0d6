"""A partition's customers, notes and timers while it is replayed: what the engine sees of its vicinity, in plain dictionaries."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from orchestrator.engine.engine import NEVER, Customer, next_due
from orchestrator.engine.vicinity import NO_FREEZES, NOTE, Freezes
from orchestrator.wire.partitioning import partition_for


class State:
    """Committed documents, and the customers that the running cycle has touched. The engine's vicinity of each of them."""

    def __init__(self, number: int, partitions: int) -> None:
        self.number = number
        self.paused: frozenset[str] = frozenset()
        self.freezes: Freezes = NO_FREEZES
        self.documents: dict[str, bytes] = {}
        self.lent: dict[str, bytes | None] = {}  # who was asked for in the handling at hand, as before it
        self._partitions = partitions
        self._touched: dict[str, Customer] = {}
        self._due: dict[str, int] = {}  # the calendar: committed deadlines only
        self._heap: list[tuple[int, bytes]] = []
        self._taken: set[tuple[int, bytes]] = set()

    def open(self, name: str) -> Customer:
        """Give a customer or note as the cycle has it by now."""
        found = self._touched.get(name)
        if found is None:
            found = self._touched[name] = Customer(name, self.documents.get(name))
        return found

    def customer(self, customer_id: str) -> Customer | None:
        """Give the engine another customer of this partition, None for one of another."""
        return self._lend(customer_id) if partition_for(customer_id.encode(), self._partitions) == self.number else None

    def note(self, name: str) -> Customer:
        """Give the engine a note of this partition."""
        return self._lend(NOTE + name)

    def _lend(self, name: str) -> Customer:
        found = self.open(name)
        self.lent.setdefault(name, found.stored)
        return found

    def restore(self, before: dict[str, bytes | None]) -> None:
        """Put customers back to what they were before a handling."""
        for name, stored in before.items():
            self.open(name).restore(stored)

    def due(self, before: int) -> Iterator[Customer]:
        """Give whose timers may fire, in order of deadline and key: first by the committed calendar, then those of this cycle.

        A deadline that a cycle sets is in no calendar before the cycle is committed, unless an older entry happens to name it.
        """
        while self._heap and self._heap[0][0] < before:
            entry = heapq.heappop(self._heap)
            name = entry[1].decode()
            if self._due.get(name) != entry[0] or entry in self._taken:
                continue
            self._taken.add(entry)
            customer = self.open(name)
            if next_due(customer.stored) == entry[0]:
                yield customer
        fresh = [(next_due(c.stored), c.id.encode()) for c in self._touched.values() if next_due(c.stored) < before]
        for _, key in sorted(fresh):
            yield self.open(key.decode())

    def commit(self) -> dict[bytes, bytes | None]:
        """End the cycle; give the documents that it changed, None for one that is gone."""
        changed: dict[bytes, bytes | None] = {}
        for name, customer in self._touched.items():
            if customer.stored != self.documents.get(name):
                changed[name.encode()] = customer.stored
                self._arm(name, customer.stored)
        for entry in self._taken:
            if self._due.get(entry[1].decode()) == entry[0]:
                heapq.heappush(self._heap, entry)
        self._taken.clear()
        self._touched.clear()
        return changed

    def _arm(self, name: str, stored: bytes | None) -> None:
        if stored is None:
            self.documents.pop(name, None)
        else:
            self.documents[name] = stored
        due = next_due(stored)
        if due == NEVER:
            self._due.pop(name, None)
        elif self._due.get(name) != due:
            self._due[name] = due
            heapq.heappush(self._heap, (due, name.encode()))

    def overdue(self, before: int) -> int:
        """Count the documents with a deadline before an instant."""
        return sum(due < before for due in self._due.values())
