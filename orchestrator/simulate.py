"""The engine in virtual time: records in, handlings out, no Kafka and no sleeping. Scenarios and backtests use it."""

from __future__ import annotations

from heapq import heappop, heappush

from orchestrator.engine.engine import NEVER, Customer, Engine, next_due
from orchestrator.engine.handling import Handling
from orchestrator.engine.record import Record
from orchestrator.engine.vicinity import NO_FREEZES, NOTE, Freezes, frozen, is_note, thawed
from orchestrator.language.model import Topology


class Simulation:
    """One partition that holds all customers, in memory. Its clock is the newest record time (rule T4). Not thread-safe.

    Timers of all customers fire in order of their due instant, then customer id, so that a run gives the same list every time.
    """

    def __init__(self, topology: Topology | Engine) -> None:
        """An engine may serve many simulations."""
        self.engine = topology if isinstance(topology, Engine) else Engine(topology)
        self.clock = 0  # ms UTC
        self.customers: dict[str, Customer] = {}
        self.notes: dict[str, Customer] = {}  # by id, with U+0000
        self.paused: frozenset[str] = frozenset()  # ids of journeys
        self.freezes: Freezes = NO_FREEZES
        self._lent: dict[str, int] = {}  # who was asked for in the handling at hand, and when it was due before
        self._due: list[tuple[int, str]] = []  # a heap; an entry whose customer is due at another time by now is stale

    def feed(self, record: Record) -> list[Handling]:
        """Fire every customer's timers due before the clock, which `record` may advance, then handle it.

        A record older than the clock is a late record. Deadlines that it sets in the past fire at once (ruling A101).
        """
        self.clock = max(self.clock, record.time)
        handlings = self._fire(self.clock)
        if not self.engine.hears(record.type):
            return handlings
        customer = self._holder(record.customer)
        before = next_due(customer.stored)
        handlings += self.engine.handle(customer, record, self.clock, self)
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

    def redrive(self, customer_id: str, step: str, time_ms: int, journey: str = "") -> list[Handling]:
        """Run what stands parked at `step` again, as an operator does at `time_ms` (rule A4); nothing parked, no handling."""
        handlings = self.advance(time_ms)
        customer = self._holder(customer_id)
        before = next_due(customer.stored)
        handlings += self.engine.redrive(customer, step, time_ms, journey, self)
        self._schedule(customer, before)
        return handlings

    def pause(self, journey: str, time_ms: int, *, freezes: bool = False) -> list[Handling]:
        """Hold all that a journey would send or call from `time_ms` on (rule V6); what is due before it has happened.

        `freezes`: its timers stand still, too. Nothing changes where it is paused already.
        """
        handlings = self.advance(time_ms)
        if freezes and journey not in self.paused:
            self.freezes = frozen(self.freezes, journey, time_ms)
        self.paused |= {journey}
        return handlings

    def resume(self, journey: str, time_ms: int) -> list[Handling]:
        """End a journey's pause at `time_ms`: what is held for it is decided on at once, customers in the order of their ids."""
        handlings = self.advance(time_ms)
        self.paused -= {journey}
        self.freezes = thawed(self.freezes, journey, time_ms)
        for name in sorted(self.customers):
            customer = self.customers[name]
            before = next_due(customer.stored)
            handlings += self.engine.resume(customer, journey, self.clock, self)
            self._schedule(customer, before)
        return handlings

    @property
    def earliest(self) -> int:
        """The instant of the next timer, NEVER without any; where it was given up meanwhile, nothing fires then."""
        return self._due[0][0] if self._due else NEVER

    def _fire(self, before: int) -> list[Handling]:
        handlings: list[Handling] = []
        heap = self._due
        while heap and heap[0][0] < before:
            due, name = heappop(heap)
            customer = self._holder(name)
            if next_due(customer.stored) == due:
                handlings += self.engine.fire(customer, due + 1, self)
                self._schedule(customer, due)
        return handlings

    def _schedule(self, customer: Customer, before: int) -> None:
        """Note the deadline of the customer, and of all who were asked for, where it is no longer the one of before."""
        self._lent[customer.id] = before
        for name, known in self._lent.items():
            due = next_due(self._holder(name).stored)
            if due not in (known, NEVER):
                heappush(self._due, (due, name))
        self._lent.clear()

    def _holder(self, name: str) -> Customer:
        holders = self.notes if is_note(name) else self.customers
        found = holders.get(name)
        if found is None:
            found = holders[name] = Customer(name, None)
        return found

    # What the engine sees of it: the one partition has everybody.

    def customer(self, customer_id: str) -> Customer:
        """Give any customer."""
        return self._lend(customer_id)

    def note(self, name: str) -> Customer:
        """Give a note by its name."""
        return self._lend(NOTE + name)

    def _lend(self, name: str) -> Customer:
        found = self._holder(name)
        self._lent.setdefault(name, next_due(found.stored))
        return found
