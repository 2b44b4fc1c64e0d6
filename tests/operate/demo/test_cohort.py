"""The invented cohort: the same every time, and with every kind of life that the journeys tell apart."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import pytest

from orchestrator.operate.demo.cohort import LAST_DAY, LOGIN_DEADLINE, PAYMENT_DEADLINE, SIZE, START, cohort
from orchestrator.operate.demo.dataset import purchases
from orchestrator.operate.demo.events import DAY, as_line
from orchestrator.wire.lines import EventLine
from orchestrator.wire.schemas import load_schemas

# Changes only when the cohort is changed on purpose: then the README's sample output changes too.
DIGEST = "6a80973b5bf11b23d657c0bbc37ca49901ddd0cae6b52353522c2999705976bc"


CASE_AFTER = 7 * DAY  # from the first failure, where nobody pays
QUESTION = ("email", "onboarding")  # the consent that decides over entry for most


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
        asked = [event for event in of(life, "consent.changed") if (event.data["channel"], event.data["purpose"]) == QUESTION]
        answers = {event.id: event for event in reversed(asked)}.values()
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


def test_payments_fail_and_recover_or_the_customer_leaves_before_a_case_is_opened(lives: dict[str, list[EventLine]]) -> None:
    # An answer to a call would come too late by the clock of a backlog, and whether it does would depend on the machine.
    recovered, left = 0, 0
    for life in lives.values():
        failures, endings = of(life, "payment.failed"), [*of(life, "payment.succeeded"), *of(life, "account.closed")]
        if not failures:
            continue
        assert {event.data["attempt"] for event in failures} <= {1, 2}
        first_end = min(ending.at for ending in endings if ending.at > failures[0].at)
        assert first_end - failures[0].at < CASE_AFTER
        if of(life, "payment.succeeded"):
            recovered += 1
        else:
            left += 1
    assert recovered > 100
    assert left > 10


def test_who_hesitates_complains_now_and_then_and_some_prefer_what_they_did_not_allow(lives: dict[str, list[EventLine]]) -> None:
    scores = [event.data["score"] for life in lives.values() for event in of(life, "csat.submitted")]
    assert set(scores) == {1, 2, 3, 4, 5}
    assert sum(score <= 2 for score in scores) > 40
    wishes = 0
    for life in lives.values():
        allowed = {event.data["channel"] for event in of(life, "consent.changed") if event.data["purpose"] == "onboarding"}
        wishes += bool(of(life, "preference.updated")) and "sms" not in allowed
    assert wishes > 20


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
