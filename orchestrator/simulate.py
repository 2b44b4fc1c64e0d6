"""The engine in virtual time: records in, handlings out, no Kafka and no sleeping. Scenarios and backtests use it."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from orchestrator.engine.engine import NEVER, Customer, Engine, next_due
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.language.model import Journey, Topology


class Simulation:
    """One partition that holds all customers, in memory. Its clock is the newest record time (rule T4). Not thread-safe.

    Timers of all customers fire in order of their due instant, then customer id, so that a run gives the same list every time.
    """

    def __init__(self, topology: Topology | Engine, earlier: Iterable[Journey] = ()) -> None:
        """`earlier` are versions of journeys for instances that already stand on them. An engine may serve many simulations."""
        self.engine = topology if isinstance(topology, Engine) else Engine(topology, earlier)
        self.clock = 0  # ms UTC
        self.customers: dict[str, Customer] = {}
        self._due: list[tuple[int, str]] = []  # a heap; an entry whose customer is due at another time by now is stale

    def feed(self, record: Record) -> list[Handling]:
        """Fire every customer's timers due before the clock, which `record` may advance, then handle it.

        A record older than the clock is a late record. Deadlines that it sets in the past fire at once (ruling A101).
        """
        self.clock = max(self.clock, record.time)
        handlings = self._fire(self.clock)
        if not self.engine.hears(record.type):
            return handlings
        customer = self.customers.get(record.customer)
        if customer is None:
            customer = self.customers[record.customer] = Customer(record.customer, None)
        before = next_due(customer.stored)
        handlings += self.engine.handle(customer, record, self.clock)
        self._schedule(customer, before)
        if self._due and self._due[0][0] < self.clock:
            handlings += self._fire(self.clock)
        return handlings

    def advance(self, time_ms: int) -> list[Handling]:
        """Move the clock to `time_ms` and fire what is due before it, as a record of that time would."""
        self.clock = max(self.clock, time_ms)
        return self._fire(self.clock)

    def run_until(self, time_ms: int) -> list[Handling]:
        """Move the clock to `time_ms` and fire what is due up to and at it (ruling A22)."""
        self.clock = max(self.clock, time_ms)
        return self._fire(time_ms + 1)

    def _fire(self, before: int) -> list[Handling]:
        handlings: list[Handling] = []
        heap = self._due
        while heap and heap[0][0] < before:
            due, name = heappop(heap)
            customer = self.customers[name]
            if next_due(customer.stored) == due:
                handlings += self.engine.fire(customer, due + 1)
                self._schedule(customer, due)
        return handlings

    def _schedule(self, customer: Customer, before: int) -> None:
        """Note the customer's deadline if it is no longer `before`."""
        due = next_due(customer.stored)
        if due not in (before, NEVER):
            heappush(self._due, (due, customer.id))
