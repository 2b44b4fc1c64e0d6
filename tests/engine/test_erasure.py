"""Erasing a customer: what goes, what is cancelled, what the receipt says (rule F1, ruling A05)."""

from __future__ import annotations

import pytest

from orchestrator.engine.engine import NEVER, next_due
from tests.engine import test_addresses as addresses
from tests.engine.sending import CHANNELS, PURPOSES, emitted, mail, policy, told
from tests.engine.test_merging import NIGHT, merge, waiting
from tests.engine.world import START, World

HOUR = 3_600_000


def erase(world: World, at: str, customer: str = "c1", **more: object) -> None:
    world.event("privacy.erasure_requested", at, customer=customer, **more)


def test_f1_instances_end_timers_go_and_nothing_is_stored() -> None:
    # enters both 0s -- erased 1d -- 10d nothing is sent
    world = World(waiting("one"), waiting("two"))
    world.event("began", "0s")
    world.event("profile.updated", "1s", email="a@example.org")
    erase(world, "1d")
    assert world.customer().stored is None
    assert next_due(world.customer().stored) == NEVER
    assert [(one.journey, one.state, one.step) for one in world.decisions("erased")] == [
        ("one", "s", "wait"),
        ("two", "s", "wait"),
    ]
    world.until("30d")
    assert world.actions == []


def test_f1_a13_held_sends_are_cancelled_and_emitted_ones_asked_to_be_whatever_their_purpose() -> None:
    world = World(mail(), mail("k", on="more", purpose="promotion"), policy=policy("consent: {unknown: allow}", channels=NIGHT))
    world.event("began", "20h")
    world.event("more", "20h")
    world.event("began", "22h")
    erase(world, "23h")
    world.until("5d")
    assert told(world, "action_cancelled") == [("cancelled", "erased", 23 * HOUR)] * 3
    commands = [(action.kind, action.template, action.step) for action in world.actions]
    assert commands == [("send", "j", "mail"), ("send", "k", "mail"), ("cancel", "", "mail"), ("cancel", "", "mail")]
    sends, cancels = world.actions[:2], world.actions[2:]
    assert [one.action_id for one in cancels] == [one.action_id for one in sends]


@pytest.mark.parametrize("outcome", ["delivered", "bounced"])
def test_f1_a57_what_was_answered_or_has_expired_is_not_cancelled(outcome: str) -> None:
    world = World(mail(more=", expires: 1h"))
    world.event("began", "0s")
    world.event("began", "2h")
    world.event("action.outcome", "2h+1m", action_id=world.actions[-1].action_id, status=outcome)
    erase(world, "2h+2m")
    assert [action.kind for action in world.actions] == ["send", "send"]


def test_f1_a05_e2_later_events_start_clean_the_once_marker_is_gone() -> None:
    caps = policy("caps: [{id: one, limit: 1, per: 30d, window: rolling}]")
    world = World(mail().replace("always", "never"), policy=caps)
    world.event("began", "0s", id="x")
    erase(world, "1d")
    world.event("began", "2d", id="x")
    assert emitted(world) == [("j", 0), ("j", 2 * 24 * HOUR)]


def test_f1_c1_consent_and_profile_are_gone() -> None:
    world = World(mail(purpose="promotion"), policy=policy("consent: {unknown: deny}"))
    world.consent("granted", "0s")
    erase(world, "1h")
    world.event("began", "2h")
    assert emitted(world) == []
    assert world.document().consents == []


def test_f1_the_receipt_names_the_record_the_stores_and_the_topics_and_nothing_personal() -> None:
    world = World(waiting(), mail("k"), policy="\n".join((CHANNELS, PURPOSES)))
    world.event("profile.updated", "0s", email="a@example.org", id="")
    world.event("began", "1s")
    erase(world, "1h", request_id="r-7")
    first, *others = world.decisions("erased")
    assert others == []
    assert first.detail == {
        "record": "events/0/2",
        "request_id": "r-7",
        "instances": "1",
        "held_cancelled": "0",
        "cancels_asked": "1",
        "other_ids": "0",
        "erased_from": "journeys-customers-changelog (tombstone), the local store of the partition",
        "left_to_retention": "actions.email, actions.sms, journeys-audit, journeys-exports, journeys-operations, "
        "journeys.incidents, journeys.outcomes, journeys.transitions",
    }


def test_f1_somebody_who_is_not_known_gets_a_receipt_too() -> None:
    world = World(mail())
    erase(world, "0s")
    (receipt,) = world.decisions("erased")
    assert (receipt.journey, receipt.detail is not None) == ("", True)
    assert world.customer().stored is None


@pytest.mark.parametrize("asked", ["a", "b", "c"])
def test_f1_m1_erasing_under_any_id_erases_the_person_with_all_ids(asked: str) -> None:
    world = World(waiting())
    world.event("began", "0s", customer="a")
    merge(world, "1h", "a", "b")
    merge(world, "2h", "b", "c")
    erase(world, "3h", asked)
    assert {name: world.customer(name).stored for name in "abc"} == {"a": None, "b": None, "c": None}
    (receipt,) = world.decisions("erased")
    assert receipt.detail is not None
    assert receipt.detail["other_ids"] == "2"
    world.event("began", "4h", customer="a")
    assert [name for name in "abc" if world.state("j", name)] == ["a"], "a is somebody else from now on"


def test_a78_m1_a_merge_into_somebody_erased_finds_a_clean_target() -> None:
    world = World(waiting(), mail("k").replace("always", "never"))
    world.event("began", "0s", customer="b")
    erase(world, "1h", "b")
    world.event("began", "2h", customer="a")
    merge(world, "3h", "a", "b")
    assert [one.started - START for one in world.document("b").instances] == [2 * HOUR]
    assert world.decisions("merged") == []


def test_f1_t3_a_timer_that_is_due_before_the_request_fires_before_it() -> None:
    world = World(waiting())
    world.event("began", "0s")
    erase(world, "10d+1ms")
    assert emitted(world) == [("j", 240 * HOUR)]


def test_f1_a53_a_journey_that_listens_to_the_request_starts_after_it() -> None:
    world = World(mail(on="privacy.erasure_requested"))
    erase(world, "0s")
    assert [decision.kind for decision in world.decisions()][:2] == ["erased", "entered"]


@pytest.mark.parametrize("is_held", [False, True])
def test_f1_x1_nobody_is_kept_from_a_send_by_the_address_of_somebody_erased(is_held: bool) -> None:
    at = "22h" if is_held else "20h"
    made = addresses.living(addresses.world(channels=addresses.QUIET if is_held else addresses.CHANNELS), "c1", "c2")
    made.event("began", at)
    assert len(addresses.notes(made)) == 1
    erase(made, "23h")
    assert addresses.notes(made) == []
    made.event("began", "34h", customer="c2")
    assert addresses.of_each(made)[-1] == ("c2", "sent", 34 * HOUR)
