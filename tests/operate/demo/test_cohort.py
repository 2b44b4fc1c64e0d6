"""The invented cohort: the same every time, and with every kind of life that the journeys tell apart."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import pytest

from orchestrator.operate.demo.cohort import LAST_DAY, LOGIN_DEADLINE, PAYMENT_DEADLINE, SIZE, START, cohort
from orchestrator.operate.demo.dataset import purchases
from orchestrator.operate.demo.events import as_line
from orchestrator.wire.lines import EventLine
from orchestrator.wire.schemas import load_schemas

# Changes only when the cohort is changed on purpose: then the README's sample output changes too.
DIGEST = "579741975bdf6305f750e4ed0ef35b43a1c27b0e719c69601cdde2f96b40b104"


@pytest.fixture(scope="module")
def events() -> list[EventLine]:
    return cohort()


@pytest.fixture(scope="module")
def lives(events: list[EventLine]) -> dict[str, list[EventLine]]:
    found: dict[str, list[EventLine]] = defaultdict(list)
    for event in events:
        found[event.customer].append(event)
    return found


def of(life: list[EventLine], event: str) -> list[EventLine]:
    return [each for each in life if each.event == event]


def test_the_same_seed_gives_the_same_bytes(events: list[EventLine]) -> None:
    lines = b"\n".join(as_line(event) for event in events)
    assert lines == b"\n".join(as_line(event) for event in cohort())
    assert hashlib.sha256(lines).hexdigest() == DIGEST


def test_another_seed_gives_other_lives(events: list[EventLine]) -> None:
    assert cohort(seed=1) != events
    assert {event.customer for event in cohort(size=10)} == {f"u{number:06d}" for number in range(1, 11)}


def test_times_rise_and_lie_after_every_purchase_and_in_the_past(events: list[EventLine]) -> None:
    times = [event.at for event in events]
    assert times == sorted(times)
    assert max(purchase.at for purchase in purchases()) < START - 1_000_000 < times[0]
    assert times[-1] < LAST_DAY


def test_every_event_fits_its_schema(events: list[EventLine]) -> None:
    schemas = load_schemas()
    for event in events:
        schema = schemas.get(event.event)
        assert schema is not None
        assert schema.encode(event.customer, event.id, event.at, event.data)


def test_everybody_signs_up_and_some_are_internal(lives: dict[str, list[EventLine]]) -> None:
    assert len(lives) == SIZE
    plans = [of(life, "signup.created")[0].data["plan"] for life in lives.values()]
    assert all(plans.count(plan) > SIZE * 0.03 for plan in ("free", "pro", "team", "internal"))


def test_consents_are_granted_refused_withdrawn_late_and_never_asked_for(lives: dict[str, list[EventLine]]) -> None:
    seen = set()
    for life in lives.values():
        signed_up = of(life, "signup.created")[0].at
        answers = {event.id: event for event in reversed(of(life, "consent.changed"))}.values()
        before = [event.data["status"] for event in answers if event.at < signed_up]
        after = [event.data["status"] for event in answers if event.at > signed_up]
        seen.add((*before, "|", *after))
    assert seen == {("|",), ("|", "granted"), ("granted", "|"), ("granted", "|", "withdrawn"), ("withdrawn", "|")}


def test_t3_some_meet_the_deadlines_to_the_millisecond_and_some_miss_them_by_one(lives: dict[str, list[EventLine]]) -> None:
    delays, recoveries = [], []
    for life in lives.values():
        logins, payments, failures = (of(life, event) for event in ("auth.login", "payment.succeeded", "payment.failed"))
        if logins:
            delays.append(logins[0].at - of(life, "signup.created")[0].at)
        if failures and payments:
            recoveries.append(payments[0].at - failures[0].at)
    assert delays.count(LOGIN_DEADLINE) > 10
    assert delays.count(LOGIN_DEADLINE + 1) > 10
    assert recoveries.count(PAYMENT_DEADLINE) > 3


def test_payments_fail_recover_and_are_given_up(lives: dict[str, list[EventLine]]) -> None:
    attempts = {event.data["attempt"] for life in lives.values() for event in of(life, "payment.failed")}
    assert attempts == {1, 2, 3, 4}
    unpaid = [life for life in lives.values() if of(life, "payment.failed") and not of(life, "payment.succeeded")]
    paid = [life for life in lives.values() if of(life, "payment.failed") and of(life, "payment.succeeded")]
    assert len(unpaid) > 20
    assert len(paid) > 100


def test_some_producers_repeat_themselves_within_the_dedupe_window(events: list[EventLine]) -> None:
    first: dict[str, EventLine] = {}
    repeats = []
    for event in events:
        if event.id in first:
            repeats.append(event.at - first[event.id].at)
        first.setdefault(event.id, event)
    assert len(repeats) > 100
    assert 0 < min(repeats) <= max(repeats) < 86_400_000


def test_nothing_happens_to_a_closed_account(lives: dict[str, list[EventLine]]) -> None:
    closed = 0
    for life in lives.values():
        for closing in of(life, "account.closed")[:1]:
            closed += 1
            earlier = {event.id for event in life if event.at <= closing.at}
            assert {event.id for event in life} == earlier
    assert closed > 30
