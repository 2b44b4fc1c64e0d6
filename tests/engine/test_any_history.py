"""Any sequence of records, late ones and outcomes, over a workspace with everything in it, keeps every promise at once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orchestrator.engine.engine import NEVER, Engine
from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.record import Record
from orchestrator.engine.storing import decode, earliest, encode, next_due
from orchestrator.simulate import Simulation
from tests.engine.auditor import Auditor
from tests.engine.workspace import DAY, HOUR, JOURNEYS, NOWHERE, POLICY
from tests.engine.world import START, as_bytes, topology, what_is_read

ENGINE = Engine(topology(*JOURNEYS, policy=POLICY))
CUSTOMERS = ("ann", "bob", "cy")
GROUP = ("recovery", "winback")

payloads = {
    "signup": st.fixed_dictionaries({"plan": st.sampled_from(["pro", "free", None])}),
    "login": st.fixed_dictionaries({}, optional={"device": st.sampled_from(["app", "web"])}),
    "failed": st.fixed_dictionaries({"account": st.sampled_from(["A", "B", "", 7])}),
    "closed": st.just({}),
    "csat": st.fixed_dictionaries({"score": st.integers(1, 5)}),
    "profile.updated": st.fixed_dictionaries({"timezone": st.sampled_from(["Europe/London", NOWHERE, None])}),
    "preference.updated": st.fixed_dictionaries({"preferred_channel": st.sampled_from(["sms", "email", "desk", None])}),
    "consent.changed": st.fixed_dictionaries(
        {
            "channel": st.sampled_from(["email", "sms", "*"]),
            "purpose": st.sampled_from(["promotion", "*"]),
            "status": st.sampled_from(["granted", "granted", "withdrawn"]),
        }
    ),
}
types = st.sampled_from(["signup", "signup", "login", "login", "failed", *payloads])
steps = st.sampled_from([0, 0, 1, 1, 2, 5, 9, 20, 30])  # hours; 0 and whole hours, so that deadlines and events coincide
people = st.sampled_from(CUSTOMERS)


class History(RuleBasedStateMachine):
    """One partition with three customers, in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation(ENGINE)
        self.simulation.clock = START
        self.auditor = Auditor()
        self.records: list[Record] = []
        self.out: list[Handling] = []

    @initialize(zone=st.sampled_from(["Australia/Lord_Howe", "America/New_York"]))
    def begin(self, zone: str) -> None:
        for customer in CUSTOMERS[1:]:
            self._feed("profile.updated", customer, {"timezone": zone}, START)
            self._feed("consent.changed", customer, {"channel": "*", "purpose": "*", "status": "granted"}, START)

    @rule(customer=people, step=steps, event=types.flatmap(lambda name: st.tuples(st.just(name), payloads[name])))
    def happens(self, customer: str, step: int, event: tuple[str, dict[str, Any]]) -> None:
        self._feed(event[0], customer, event[1], self.simulation.clock + step * HOUR)

    @rule(customer=people, hours=st.integers(1, 20), event=types.flatmap(lambda name: st.tuples(st.just(name), payloads[name])))
    def happened_before(self, customer: str, hours: int, event: tuple[str, dict[str, Any]]) -> None:
        self._feed(event[0], customer, event[1], max(START, self.simulation.clock - hours * HOUR))

    @rule(back=st.integers(1, 8), step=steps)
    def comes_again(self, back: int, step: int) -> None:
        if back <= len(self.records):
            one = self.records[-back]
            time = self.simulation.clock + step * HOUR
            self._feed(one.type, one.customer, dict(one.payload), time, one.event_id)

    @rule(
        back=st.integers(1, 4),
        minutes=st.sampled_from([0, 10, 60, 120]),
        outcome=st.sampled_from(
            [("succeeded", ""), ("failed", "busy"), ("failed", "other"), ("delivered", ""), ("bounced", ""), ("cancelled", "")]
        ),
    )
    def answered(self, back: int, minutes: int, outcome: tuple[str, str]) -> None:
        emitted: list[Action] = [action for each in self.out for action in each.actions if action.kind != "cancel"]
        if back <= len(emitted):
            action = emitted[-back]
            payload = {"action_id": action.action_id, "status": outcome[0], "code": outcome[1] or None, "data": {"n": back}}
            self._feed("action.outcome", action.customer, payload, self.simulation.clock + minutes * 60_000)

    def _feed(self, event: str, customer: str, payload: dict[str, Any], time: int, event_id: str = "") -> None:
        number = len(self.records)
        record = Record(event, customer, event_id or f"e{number}", time, payload, "events", 0, number)
        self.records.append(record)
        is_late = time < self.simulation.clock
        self._take(record, self.simulation.feed(record), is_late=is_late)

    def _take(self, record: Record | None, handlings: list[Handling], *, is_late: bool) -> None:
        self.out += handlings
        self.auditor.see(record, handlings, is_late=is_late)

    @invariant()
    def documents_round_trip_and_name_their_next_timer(self) -> None:
        for customer in self.simulation.customers.values():
            document = decode(customer.stored)
            assert encode(document) == customer.stored
            assert next_due(customer.stored) == earliest(document)
            assert len({each.journey for each in document.instances if each.journey in GROUP}) <= 1

    def teardown(self) -> None:
        """Let everything come to its end, then go through it all again: in other memory, and each customer alone."""
        end = self.simulation.clock + 30 * DAY
        self._take(None, self.simulation.run_until(end), is_late=False)
        assert all(next_due(customer.stored) == NEVER for customer in self.simulation.customers.values())
        for kept in (frozenset(CUSTOMERS), *(frozenset({customer}) for customer in CUSTOMERS)):
            assert self._again(kept, end) == _by_customer(self.out, kept)

    def _again(self, kept: frozenset[str], end: int) -> dict[str, bytes]:
        """Run the records of these customers anew, from stored bytes before each, with no more of them than is read.

        The others' records only move the clock.
        """
        simulation, out = Simulation(ENGINE), list[Handling]()
        simulation.clock = START
        for record in self.records:
            out += simulation.feed(what_is_read(ENGINE, record)) if record.customer in kept else simulation.advance(record.time)
            for customer in simulation.customers.values():
                customer.document = None
        out += simulation.run_until(end)
        for name in kept & self.simulation.customers.keys():
            assert simulation.customers[name].stored == self.simulation.customers[name].stored
        return _by_customer(out, kept)


def _by_customer(handlings: list[Handling], kept: frozenset[str]) -> dict[str, bytes]:
    of: dict[str, list[Handling]] = defaultdict(list)
    for each in handlings:
        if each.customer in kept:
            of[each.customer].append(each)
    return {customer: as_bytes(found) for customer, found in of.items()}


def test_t1_t3_t6_i1_i2_c1_c2_c3_c4_k1_k3_q1_q2_p2_any_history_keeps_every_promise_at_once() -> None:
    """About 10 s; the auditor raises at the first thing that must not be, `teardown` replays."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        History, settings=settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    )
