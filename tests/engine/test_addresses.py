"""Two customers with one address (rule X1; rulings A58, A67, A68)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.addresses import normalised
from orchestrator.engine.engine import NEVER, next_due
from orchestrator.language.unknown import UNKNOWN
from tests.engine.sending import mail, policy
from tests.engine.world import AGAIN, START, World, journey_of, offset_ms

CHANNELS = """
channels:
  email: {topic: actions.email, address: profile.email}
  sms: {topic: actions.sms, address: profile.phone}
  push: {topic: actions.push}
"""
QUIET = CHANNELS.replace("email, address", 'email, quiet_hours: {from: "21:00", to: "08:00"}, address')
DEDUPE = "dedupe: {addresses: {channels: [email, sms], window: 24h}}"
HOUR = 3_600_000
DAY = 24 * HOUR


def world(*journeys: str, sections: Iterable[str] = (), channels: str = CHANNELS) -> World:
    return World(*(journeys or (mail(),)), policy=policy(DEDUPE, *sections, channels=channels))


def living(made: World, *customers: str, email: str = "anna@example.com", phone: str = "+61 400 000 000") -> World:
    """Give customers one address, an hour before the start."""
    for customer in customers:
        made.event("profile.updated", "-1h", customer=customer, email=email, phone=phone)
    return made


def of_each(made: World) -> list[tuple[str, str, int]]:
    """Customer, what became of its send, offset in ms."""
    kinds = {"action_emitted": "sent", "action_held": "held", "action_cancelled": "cancelled"}
    return [
        (handling.customer, kinds.get(decision.kind, decision.reason), handling.at - START)
        for handling in made.handlings
        for decision in handling.decisions
        if decision.kind in (*kinds, "action_suppressed")
    ]


def notes(made: World) -> list[bytes]:
    return [note.stored for note in made.simulation.notes.values() if note.stored is not None]


def test_x1_a67_the_second_customer_with_an_address_is_suppressed_for_the_window() -> None:
    made = living(world(), "c1", "c2", "c3")
    made.event("began", 0, customer="c1")
    made.event("began", "24h-1ms", customer="c2")
    made.event("began", "24h", customer="c3")
    assert of_each(made) == [
        ("c1", "sent", 0),
        ("c2", "duplicate_address", offset_ms("24h-1ms")),
        ("c3", "sent", DAY),
    ]


def test_x1_a67_a_suppressed_send_stands_against_nobody() -> None:
    """c2 had nothing, so c3's window is counted from c1's send; what consent or a cap stopped does not count either."""
    made = living(world(mail(purpose="promotion"), sections=["caps: [{id: c, limit: 0, per: 1d, channels: [sms]}]"]), "c1", "c2")
    made.consent("granted", "-1h", channel="email", customer="c2")
    made.event("began", 0, customer="c1")
    made.event("began", 1, customer="c2")
    assert of_each(made) == [("c2", "sent", 1)]  # c1 may not even enter

    capped = living(world(mail(channel="sms"), sections=["caps: [{id: c, limit: 1, per: 1d}]"]), "c1", "c2")
    capped.event("profile.updated", "-1m", customer="c1", phone="+1 2")
    capped.event("began", 0, customer="c1")  # takes c1's slot at another number
    capped.event("profile.updated", 1, customer="c1", phone="+61400000000")
    capped.event("began", 2, customer="c1")
    capped.event("began", 3, customer="c2")
    assert of_each(capped) == [("c1", "sent", 0), ("c1", "cap", 2), ("c2", "sent", 3)]


def test_x1_a_customer_is_never_its_own_duplicate() -> None:
    made = living(world(), "c1", "c2")
    for hour in range(3):
        made.event("began", hour * HOUR, customer="c1")
    made.event("began", "25h", customer="c2")
    made.event("began", "26h", customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "sent")] * 3 + [("c2", "duplicate_address"), ("c2", "sent")]


def test_x1_another_journey_step_or_channel_is_another_message() -> None:
    steps = """
        - {id: one, when: event.step == 1, send: {channel: email, template: one}}
        - {id: two, when: event.step == 2, send: {channel: email, template: two}}
        - {id: three, when: event.step == 3, send: {channel: [sms, email], template: three}}
        """
    one_of_three = journey_of(steps, entry=AGAIN, state="rest: true")
    made = living(world(one_of_three, mail("other", on="other")), "c1", "c2", "c3", "c4")
    for number, customer in enumerate(("c1", "c2", "c3"), 1):
        made.event("began", number, customer=customer, step=number)
    made.event("other", 4, customer="c4")
    assert {what for _, what, _ in of_each(made)} == {"sent"}
    made.event("other", 5, customer="c1")
    assert of_each(made)[-1][:2] == ("c1", "duplicate_address")


def test_x1_one_address_by_two_channels_is_two_messages() -> None:
    both = CHANNELS.replace("push: {topic: actions.push}", "push: {topic: actions.push, address: profile.email}")
    rules = policy(DEDUPE.replace("email, sms", "email, push"), channels=both)
    made = living(World(mail(channel="preferred"), policy=rules), "c1", "c2", "c3")
    for number, customer, channel in ((1, "c1", "email"), (2, "c2", "push"), (3, "c3", "email")):
        made.event("preference.updated", number, customer=customer, preferred_channel=channel)
        made.event("began", number, customer=customer)
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "sent"), ("c2", "sent"), ("c3", "duplicate_address")]


def test_x1_a_note_does_not_grow_with_a_customers_own_sends() -> None:
    made = living(world(), "c1")
    made.event("began", 0, customer="c1")
    (once,) = notes(made)
    for minute in range(50):
        made.event("began", minute * 60_000, customer="c1")
    (often,) = notes(made)
    assert len(often) == len(once)


@pytest.mark.parametrize("profile", [{}, {"email": None}, {"email": ""}, {"email": "  "}, {"email": ["a@b"]}, {"email": True}])
def test_a67_a68_without_an_address_nothing_is_compared(profile: dict[str, object]) -> None:
    made = world()
    for customer in ("c1", "c2"):
        made.event("profile.updated", "-1h", customer=customer, **profile)
        made.event("began", 0, customer=customer)
    assert [what for _, what, _ in of_each(made)] == ["sent", "sent"]
    assert notes(made) == []


def test_a68_a_channel_without_an_address_or_outside_dedupe_compares_nothing() -> None:
    made = living(world(mail(channel="push")), "c1", "c2")
    made.event("began", 0, customer="c1")
    made.event("began", 0, customer="c2")
    outside = living(World(mail(), policy=policy(DEDUPE.replace("email, ", ""), channels=CHANNELS)), "c1", "c2")
    outside.event("began", 0, customer="c1")
    outside.event("began", 0, customer="c2")
    assert [what for _, what, _ in of_each(made) + of_each(outside)] == ["sent"] * 4
    assert notes(made) + notes(outside) == []


# Held sends.


def test_x1_a67_a_held_send_counts_from_its_decision_and_then_from_its_leaving() -> None:
    made = living(world(channels=QUIET), "c1", "c2", "c3", "c4")
    made.event("began", "22h", customer="c1")  # leaves at 32h, that is at 08:00
    made.event("began", "23h", customer="c2")
    made.until("32h")
    made.event("began", "40h", customer="c3")
    made.event("began", "60h", customer="c4")
    assert of_each(made) == [
        ("c1", "held", 22 * HOUR),
        ("c2", "duplicate_address", 23 * HOUR),
        ("c1", "sent", 32 * HOUR),
        ("c3", "duplicate_address", 40 * HOUR),
        ("c4", "sent", 60 * HOUR),
    ]


EXITING = mail(more=", expires: 3h").replace("start: s", "exit: [{on: left}]\n        start: s").replace(
    "- {id: stop", "- {id: wait, delay: 10d}\n              - {id: stop"
)  # fmt: skip


def test_x1_a67_a_held_send_that_is_cancelled_frees_its_address() -> None:
    made = living(world(EXITING, channels=QUIET), "c1", "c2")
    made.event("began", "22h", customer="c1")
    made.event("left", "23h", customer="c1")
    assert notes(made) == []
    made.event("began", "23h+1ms", customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "held"), ("c1", "cancelled"), ("c2", "held")]


def test_x1_a65_a_held_send_that_expires_frees_its_address() -> None:
    made = living(world(EXITING, channels=QUIET), "c1", "c2")
    made.event("began", "22h", customer="c1")
    made.event("began", "25h", customer="c2")  # c1's expires at this instant, and its timer has not fired yet (rule T3)
    made.until("26h")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "held"), ("c2", "held"), ("c1", "quiet_hours_expired")]


def test_x1_a_withdrawal_frees_the_address_of_what_it_cancels() -> None:
    made = living(world(mail(purpose="promotion"), channels=QUIET), "c1", "c2")
    for customer in ("c1", "c2"):
        made.consent("granted", "-1h", customer=customer)
    made.event("began", "22h", customer="c1")
    made.consent("withdrawn", "22h+1ms", customer="c1")
    made.event("began", "23h", customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "held"), ("c1", "cancelled"), ("c2", "held")]


def test_x1_k4_a_send_held_for_a_cap_claims_its_address_until_it_is_over() -> None:
    hold = "caps: [{id: c, limit: 1, per: 2d, over: hold, max_hold: 1d}]"
    made = living(world(mail(more=", expires: 9d"), mail("other", on="other"), sections=[hold]), "c1", "c2", "c3")
    made.event("other", 0, customer="c1")
    made.event("began", "1h", customer="c1")
    made.event("began", "2h", customer="c2")
    made.event("began", "26h", customer="c3")  # the cap has given up on c1 an hour before
    assert [(who, what) for who, what, _ in of_each(made)] == [
        ("c1", "sent"),
        ("c1", "held"),
        ("c2", "duplicate_address"),
        ("c1", "cap"),
        ("c3", "sent"),
    ]


def test_x1_the_claim_stays_on_the_address_of_the_decision() -> None:
    made = living(world(channels=QUIET), "c1", "c2", "c3")
    made.event("began", "22h", customer="c1")
    made.event("profile.updated", "23h", customer="c1", email="new@example.com")
    made.until("33h")
    made.event("profile.updated", "33h", customer="c3", email="new@example.com")
    made.event("began", "34h", customer="c2")
    made.event("began", "34h", customer="c3")
    assert [(who, what) for who, what, _ in of_each(made)][2:] == [("c2", "duplicate_address"), ("c3", "sent")]


# Where it stands among the other checks.


def test_a58_consent_is_asked_before_the_address_and_the_address_before_caps() -> None:
    made = living(world(mail(more=", purpose: promotion")), "c1", "c2")
    made.consent("granted", "-1h", customer="c1")
    made.event("began", 0, customer="c1")
    made.event("began", 1, customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "sent"), ("c2", "consent")]

    limited = living(world(sections=["caps: [{id: c, limit: 1, per: 9d}]"]), "c1", "c2")
    limited.event("profile.updated", 0, customer="c2", email="other@example.com")
    limited.event("began", 1, customer="c2")
    limited.event("profile.updated", 2, customer="c2", email="anna@example.com")
    limited.event("began", 3, customer="c1")
    limited.event("began", 4, customer="c2")  # over its cap as well
    assert [(who, what) for who, what, _ in of_each(limited)] == [("c2", "sent"), ("c1", "sent"), ("c2", "duplicate_address")]


def test_x1_a07_on_suppressed_takes_its_way_for_a_duplicate() -> None:
    made = living(world(mail(more=", on_suppressed: exit")), "c1", "c2")
    made.event("began", 0, customer="c1")
    made.event("began", 1, customer="c2")
    (left,) = made.decisions("exited")
    assert left.reason == "suppressed"


def test_x1_a_late_record_finds_what_left_after_its_time() -> None:
    made = living(world(), "c1", "c2")
    made.event("began", "2h", customer="c1")
    made.event("began", "1h", customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "sent"), ("c2", "duplicate_address")]


def test_x1_a_late_record_still_finds_a_send_whose_window_has_passed() -> None:
    made = living(world(), "c1", "c2")
    made.event("began", 0, customer="c1")
    made.until("2d-1ms")
    made.event("began", "23h", customer="c2")
    assert [(who, what) for who, what, _ in of_each(made)] == [("c1", "sent"), ("c2", "duplicate_address")]


# What is kept.


def test_x1_a_note_says_neither_address_nor_customer_and_is_forgotten_in_time() -> None:
    made = living(world(), "customer-one", "customer-two")
    made.event("began", 0, customer="customer-one")
    made.event("began", 1, customer="customer-two")
    (name,), (stored,) = made.simulation.notes, notes(made)
    said = name.encode() + stored + repr(made.handlings).encode()
    assert b"anna" not in said
    assert b"customer" not in name.encode() + stored
    assert next_due(stored) == START + 2 * DAY
    made.until("2d")
    assert notes(made) == []


def test_x1_a_replay_gives_the_same_notes() -> None:
    def run() -> World:
        made = living(world(channels=QUIET), "c1", "c2", "c3")
        for hour, customer in enumerate(("c1", "c2", "c3") * 20):
            made.event("began", hour * HOUR, customer=customer)
        return made

    one, other = run(), run()
    assert one.handlings == other.handlings
    assert {name: note.stored for name, note in one.simulation.notes.items()} == {
        name: note.stored for name, note in other.simulation.notes.items()
    }


asked = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["began", "left"]), st.integers(0, 9)), max_size=25)


@given(asked)
def test_x1_a67_no_two_customers_are_sent_one_step_at_one_address_within_the_window(history: list[tuple[int, str, int]]) -> None:
    """Four customers at two addresses, quiet nights, cancellations; worked out anew from what went out and what did not."""
    made = world(EXITING.replace("3h", "20h"), channels=QUIET)
    for number in range(4):
        living(made, f"c{number}", email=f"{number % 2}@example.com")
    hours = 0
    for number, event, step in history:
        hours += step
        made.event(event, hours * HOUR, customer=f"c{number}")
    made.until("100d")
    told = of_each(made)
    home = {f"c{number}": number % 2 for number in range(4)}
    sent = [(who, at) for who, what, at in told if what == "sent"]
    apart = [abs(at - then) for who, at in sent for other, then in sent if other != who and home[other] == home[who]]
    assert all(span >= DAY for span in apart), told
    for place, (who, what, at) in enumerate(told):
        if what == "duplicate_address":
            others = [one for one in told[:place] if one[0] != who and home[one[0]] == home[who]]
            last = {other: [each for each in others if each[0] == other][-1] for other, _, _ in others}
            left = any(each[1] == "sent" and each[2] <= at < each[2] + DAY for each in others)
            assert left or any(each[1] == "held" for each in last.values()), told
    assert made.incidents == []
    assert notes(made) == []
    assert all(next_due(customer.stored) == NEVER for customer in made.simulation.customers.values())


# The form in which addresses are compared.


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("Anna@Example.com", "anna@example.com"),
        ("  anna@example.com\t", "anna@example.com"),
        ("ANNA@STRASSE.DE", "anna@straße.de"),
        ("ren\u00e9@example.com", "rene\u0301@example.com"),
        ("+61 (400) 000-000", "+61400000000"),
        ("+61\u202f400.000.000", "+61400000000"),
        ("\u202a+61\u2011400\u2011000\u2011000\u202c", "+61400000000"),
        ("\uff0b\uff16\uff11 400", "+61400"),
        ("\u0660\u0664 12", "0412"),
        ("Token-A\u0301", "Token-\u00c1"),
        (" device/7f ", "device/7f"),
        (61400000000, "61400000000"),
    ],
)
def test_a67_addresses_that_are_the_same(written: object, same: str) -> None:
    assert normalised(written) == normalised(same)
    assert normalised(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.b@example.com", "ab@example.com"),  # no provider's rules
        ("a+x@example.com", "a@example.com"),
        ("+61400", "61400"),
        ("0061400", "+61400"),
        ("Device-A", "device-a"),
        ("Device 1-2", "Device 12"),
    ],
)
def test_a67_addresses_that_are_not_the_same(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize("value", [None, UNKNOWN, "", " \n", True, [], {}, ["a@b.c"]])
def test_a67_what_is_no_address(value: object) -> None:
    assert normalised(value) == ""


@given(st.text())
def test_a67_the_compared_form_is_its_own_compared_form(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
