"""A partition's customers, notes and timers while it is replayed, in memory: what the engine sees of its vicinity."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.engine.engine import NEVER, Customer, next_due
from orchestrator.engine.vicinity import NO_FREEZES, NOTE, Freezes
from orchestrator.wire.partitioning import partition_for

DECODED: Final = 20_000  # customers whose decoded documents are kept from one cycle to the next


class State:
    """Documents as of the last whole cycle, and the customers that the running cycle has touched."""

    def __init__(self, number: int, partitions: int, documents: Mapping[str, bytes] | None = None) -> None:
        """`documents` are those to begin with, notes among them."""
        self.number = number
        self.paused: frozenset[str] = frozenset()
        self.freezes: Freezes = NO_FREEZES
        self.documents: dict[str, bytes] = dict(documents or {})
        self.lent: dict[str, bytes | None] = {}  # who was asked for in the handling at hand, as stored before it
        self._partitions = partitions
        self._open: dict[str, Customer] = {}
        self._touched: dict[str, Customer] = {}
        # The calendar, as the store has it: deadlines of whole cycles. An entry of the heap that `_due` does not name is stale.
        self._due = {name: due for name, stored in self.documents.items() if (due := next_due(stored)) != NEVER}
        self._heap = [(due, name.encode()) for name, due in self._due.items()]
        heapq.heapify(self._heap)
        self._taken: set[tuple[int, bytes]] = set()

    def open(self, name: str) -> Customer:
        """Give a customer or note as the cycle has it by now."""
        found = self._touched.get(name)
        if found is None:
            found = self._open.get(name)
            if found is None:
                found = self._open[name] = Customer(name, self.documents.get(name))
            self._touched[name] = found
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

    def due(self, before: int) -> Iterator[Customer]:
        """Give whose timers may fire, in the order in which the worker's calendar does.

        A deadline that a cycle sets is in no calendar before the cycle is committed, unless an older entry happens to name it.
        So what is armed comes first, then those of this cycle: by deadline and key each.
        """
        while self._heap and self._heap[0][0] < before:
            entry = heapq.heappop(self._heap)
            if self._due.get(entry[1].decode()) != entry[0] or entry in self._taken:
                continue
            self._taken.add(entry)
            customer = self.open(entry[1].decode())
            if next_due(customer.stored) == entry[0]:
                yield customer
        fresh = [(due, each.id.encode()) for each in self._touched.values() if (due := next_due(each.stored)) < before]
        for _, key in sorted(fresh):
            yield self.open(key.decode())

    def commit(self) -> None:
        """End the cycle: what it did to documents becomes the state."""
        for name, customer in self._touched.items():
            known = self.documents.get(name)
            if customer.stored is not known and customer.stored != known:
                self._keep(name, customer.stored)
        for entry in self._taken:
            if self._due.get(entry[1].decode()) == entry[0]:
                heapq.heappush(self._heap, entry)
        self._taken.clear()
        self._touched.clear()
        if len(self._open) > DECODED:
            self._open.clear()

    def _keep(self, name: str, stored: bytes | None) -> None:
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
