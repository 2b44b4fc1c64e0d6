"""Pausing a journey (rule V6): its actions wait, and nothing else of it does."""

from __future__ import annotations

import pytest

from orchestrator.engine import pausing
from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import AGAIN, START, World, journey_of

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
QUIET = 'channels: {email: {topic: e, quiet_hours: {from: "21:00", to: "08:00"}}, sms: {topic: s}}'
RATE = "channels: {email: {topic: e, rate: {limit: 1, per: 10s}}, desk: {topic: d, kind: action, rate: {limit: 1, per: 10s}}}"


def world(*journeys: str, sections: tuple[str, ...] = (), channels: str = "") -> World:
    return World(*(journeys or (mail(),)), policy=policy(*sections, **({"channels": channels} if channels else {})))


def paused(*journeys: str, sections: tuple[str, ...] = (), channels: str = "") -> World:
    """A world in which `j` is paused from the start."""
    made = world(*journeys, sections=sections, channels=channels)
    made.pause("j", 0)
    return made


# What stops, and what does not.


def test_v6_a12_what_a_paused_journey_sends_waits_and_its_instance_goes_on() -> None:
    made = paused()
    made.event("began", "1h")
    assert made.kinds() == ["entered", "state_entered", "ended", "action_held"]
    assert told(made) == [("held", "paused", HOUR)]
    assert made.decisions("action_held")[0].detail == {"deadline": str(START + 25 * HOUR)}  # its expiry

    made.resume("j", "3h")
    assert told(made)[1:] == [("released", "paused", 3 * HOUR), ("emitted", "", 3 * HOUR)]
    (action,) = made.actions
    assert (action.created_at - START, action.expires_at - START) == (3 * HOUR, 25 * HOUR)


def test_v6_timers_run_and_waits_hear_events_while_the_journey_is_paused() -> None:
    waiting = "- {id: paid, hold_until: [{on: paid, go: thanks}], timeout: 1d}\n              - {id: mail"
    thanks = "  thanks: {steps: [{id: thank, send: {channel: email, template: thanks}}, {id: out, end: {outcome: paid}}]}\n"
    journey = mail().replace("- {id: mail", waiting) + thanks
    made = paused(journey)
    made.event("began", 0, customer="hears")
    made.event("began", 0, customer="waits")
    made.event("paid", "2h", customer="hears")
    made.resume("j", "30h")
    assert [(one.kind, one.by) for one in made.decisions("hold_resolved")] == [
        ("hold_resolved", "event"),
        ("hold_resolved", "timeout"),
    ]
    assert emitted(made) == [("j", 30 * HOUR)]
    assert told(made, "action_suppressed") == [("suppressed", "paused", 26 * HOUR)]


def test_v6_other_journeys_of_the_customer_go_on() -> None:
    made = paused(mail(), mail("k", on="also"))
    made.event("began", 0)
    made.event("also", 1)
    assert emitted(made) == [("k", 1)]


def test_v6_t3_what_is_due_at_the_instant_of_the_pause_waits_and_what_was_due_before_has_left() -> None:
    delayed = mail().replace("- {id: mail", "- {id: rest, delay: 1h}\n              - {id: mail")
    made = world(delayed)
    made.event("began", 0, customer="c1")
    made.event("began", 1, customer="c2")
    made.pause("j", HOUR + 1)
    made.until("2h")
    assert [(action.customer, action.created_at - START) for action in made.actions] == [("c1", HOUR)]
    assert told(made)[1:] == [("held", "paused", HOUR + 1)]


def test_v6_a_resume_is_of_one_journey() -> None:
    made = paused(mail(), mail("k", on="also"))
    made.pause("k", 0)
    made.event("began", 1)
    made.event("also", 2)
    made.resume("j", 3)
    made.event("also", 4, customer="c2")
    assert emitted(made) == [("j", 3)]
    made.resume("k", 5)
    assert emitted(made)[1:] == [("k", 5), ("k", 5)]


def test_v6_a_pause_of_a_pause_and_a_resume_of_nothing_change_nothing() -> None:
    made = paused()
    made.resume("k", 0)
    made.pause("j", 1)
    made.event("began", 2)
    made.resume("j", 3)
    handlings = list(made.handlings)
    assert made.resume("j", 4) == []
    assert (made.handlings, emitted(made)) == (handlings, [("j", 3)])


# What leaves at the resume, and how.


def test_v6_what_waits_leaves_in_the_order_decided() -> None:
    second = (
        mail("j")
        .replace("version: 1", "version: 1")
        .replace("{id: stop", "{id: more, send: {channel: sms, template: more}}\n              - {id: stop")
    )
    made = paused(second)
    for at, customer in ((1, "b"), (2, "a"), (3, "b")):
        made.event("began", at, customer=customer)
    made.resume("j", "1h")
    assert [(action.customer, action.template) for action in made.actions] == [
        ("a", "j"), ("a", "more"), ("b", "j"), ("b", "more"), ("b", "j"), ("b", "more"),
    ]  # fmt: skip


def test_v6_who_is_not_resumed_yet_keeps_the_order_of_what_comes_after() -> None:
    """A caller may go through its customers slowly: meanwhile the journey is not paused any more."""
    made = paused()
    made.event("began", 1, customer="c1")
    made.simulation.paused = frozenset()
    made.event("began", 2, customer="c1")
    made.event("began", 2, customer="c2")
    assert [action.customer for action in made.actions] == ["c2"]
    made.resume("j", 3)
    ids = [one.action_id for one in made.decisions("action_held")]
    assert [(action.customer, action.action_id) for action in made.actions[1:]] == [("c1", each) for each in ids]


def test_v6_a65_what_expires_in_the_pause_is_told_at_its_expiry() -> None:
    made = paused(mail(more=", expires: 2h"))
    made.event("began", 0, customer="early")
    made.event("began", "1h", customer="exact")
    made.event("began", "1h+1ms", customer="just")
    made.resume("j", "3h")
    assert told(made, "action_suppressed", "action_emitted") == [
        ("suppressed", "paused", 2 * HOUR),
        ("suppressed", "paused", 3 * HOUR),
        ("emitted", "", 3 * HOUR),
    ]


def test_v6_k1_a_send_that_waits_for_its_journey_takes_no_slot_and_is_judged_at_its_release() -> None:
    made = paused(mail(), mail("k", on="also"), sections=("caps: [{id: c, limit: 1, per: 1d}]",))
    made.event("began", 0)
    made.event("also", "1h")
    made.resume("j", "2h")
    assert told(made) == [("held", "paused", 0), ("emitted", "", HOUR), ("suppressed", "cap", 2 * HOUR)]


def test_v6_k4_over_the_cap_at_its_release_it_waits_for_a_slot_as_long_as_the_cap_lets_it() -> None:
    cap = "caps: [{id: c, limit: 1, per: 10h, over: hold, max_hold: 12h}]"
    made = paused(mail(), mail("k", on="also"), sections=(cap,))
    made.event("began", 0, customer="slot")
    made.event("also", "1h", customer="slot")
    made.event("began", 0, customer="none")
    made.event("also", "3h", customer="none")
    made.resume("j", "4h")
    made.until("1d")
    story = {who: [what for what in _told_of(made, who) if what[0] != "released"] for who in ("slot", "none")}
    assert story["slot"][2:] == [("held", "cap", 4 * HOUR), ("emitted", "", 11 * HOUR)]
    assert story["none"][2:] == [("held", "cap", 4 * HOUR), ("suppressed", "cap", 12 * HOUR)]


def _told_of(made: World, customer: str) -> list[tuple[str, str, int]]:
    return [
        (decision.kind.removeprefix("action_"), decision.reason, handling.at - START)
        for handling in made.handlings
        for decision in handling.decisions
        if handling.customer == customer and decision.kind.startswith("action_")
    ]


def test_v6_q1_quiet_hours_hold_what_a_resume_lets_go() -> None:
    made = paused(channels=QUIET)
    made.event("began", "20h")
    made.resume("j", "22h")
    made.until("2d")
    assert told(made) == [
        ("held", "paused", 20 * HOUR), ("held", "quiet_hours", 22 * HOUR),
        ("released", "quiet_hours", 32 * HOUR), ("emitted", "", 32 * HOUR),
    ]  # fmt: skip


def test_v6_x2_a_resume_goes_through_the_channels_rate() -> None:
    made = paused(channels=RATE)
    for number in range(3):
        made.event("began", number, customer=f"c{number}")
    made.resume("j", "1h")
    made.until("2h")
    assert [(one.customer, one.created_at - START - HOUR) for one in made.actions] == [("c0", 0), ("c1", 10_000), ("c2", 20_000)]


# What waits for something else when the pause begins.


def test_v6_what_waited_for_quiet_hours_waits_on_without_its_slot() -> None:
    cap = "caps: [{id: c, limit: 1, per: 3d, over: hold, max_hold: 4d}]"
    made = world(
        mail(more=", expires: 3d"), mail("k", on="also", channel="sms", more=", expires: 5d"), sections=(cap,), channels=QUIET
    )
    made.event("began", "22h")
    made.event("also", "23h")
    made.pause("j", "24h")
    made.until("40h")
    assert told(made) == [
        ("held", "quiet_hours", 22 * HOUR), ("held", "cap", 23 * HOUR), ("held", "paused", 32 * HOUR),
        ("released", "cap", 32 * HOUR), ("emitted", "", 32 * HOUR),
    ]  # fmt: skip


def test_v6_x2_what_waited_for_its_place_gives_it_up() -> None:
    made = world(mail(), mail("k", on="also"), channels=RATE)
    made.event("also", 0, customer="c0")
    made.event("began", 1, customer="c1")  # its place is at 10 s
    made.pause("j", 2)
    made.event("also", 11 * SECOND, customer="c2")
    made.resume("j", 12 * SECOND)
    made.until("1h")
    assert _told_of(made, "c1")[:2] == [("held", "rate", 1), ("held", "paused", 10 * SECOND)]
    assert [(one.customer, one.created_at - START) for one in made.actions] == [("c0", 0), ("c2", 11_000), ("c1", 21_000)]


def test_v6_k4_what_waited_for_a_slot_waits_for_the_resume() -> None:
    cap = "caps: [{id: c, limit: 1, per: 2h, over: hold, max_hold: 3h}]"
    made = world(mail(), mail("k", on="also"), sections=(cap,))
    made.event("also", 0)
    made.event("began", 1)
    made.pause("j", "1h")
    made.resume("j", "5h")  # later than the cap may hold it, and there is a slot
    assert _told_of(made, "c1")[1:] == [
        ("held", "cap", 1), ("held", "paused", 2 * HOUR), ("released", "paused", 5 * HOUR), ("emitted", "", 5 * HOUR),
    ]  # fmt: skip


# What ends the wait.

PROMO = mail(purpose="promotion").replace(
    "start: s", "exit: [{on: left, send: {channel: sms, template: bye, purpose: care}}]\n        start: s"
).replace("- {id: stop", "- {id: rest, delay: 10d}\n              - {id: stop")  # fmt: skip


def test_v6_c3_a13_a_withdrawal_and_an_exit_cancel_what_waits() -> None:
    made = paused(PROMO)
    for customer in ("withdraws", "leaves"):
        made.consent("granted", 0, customer=customer)
        made.event("began", 1, customer=customer)
    made.consent("withdrawn", 2, customer="withdraws")
    made.event("left", 3, customer="leaves")
    assert told(made, "action_cancelled") == [("cancelled", "consent", 2), ("cancelled", "exited", 3)]
    made.resume("j", 4)
    assert [(action.customer, action.template, action.step) for action in made.actions] == [("leaves", "bye", "exit:1")]


def test_v6_a59_consent_and_suppression_are_asked_again_at_the_resume() -> None:
    made = paused(PROMO, sections=("suppress: [{id: s, on: csat, purposes: [promotion], for: 1d}]",))
    for customer in ("lapses", "rates"):
        made.consent("granted", 0, customer=customer, expiry=START + HOUR)
        made.event("began", 1, customer=customer)
    made.consent("granted", 2, customer="rates")
    made.event("csat", 3, customer="rates")
    made.resume("j", "2h")
    assert [_told_of(made, who)[-1] for who in ("lapses", "rates")] == [
        ("suppressed", "consent", 2 * HOUR), ("suppressed", "suppression", 2 * HOUR),
    ]  # fmt: skip
    assert made.actions == []


def test_v6_f1_an_erasure_cancels_what_waits() -> None:
    made = paused()
    made.event("began", 0)
    made.event("privacy.erasure_requested", 1)
    made.resume("j", 2)
    assert told(made) == [("held", "paused", 0), ("cancelled", "erased", 1)]
    assert made.customer().stored is None


def test_v6_m1_what_waits_leaves_for_the_id_that_goes_on() -> None:
    made = paused()
    made.event("began", 0, customer="b")
    made.event("began", 1, customer="a")
    made.event("profile.merged", 2, customer="a", **{"from": "a", "into": "b"})
    made.event("began", 3, customer="a")
    made.resume("j", 4)
    assert [(action.customer, action.created_at - START) for action in made.actions] == [("b", 4)] * 3
    assert [one.action_id for one in made.decisions("action_held")] == [action.action_id for action in made.actions]


def test_v6_x1_what_waits_claims_its_address() -> None:
    channels = "channels: {email: {topic: e, address: profile.email}}"
    made = paused(sections=("dedupe: {addresses: {channels: [email], window: 1h}}",), channels=channels)
    for customer in ("c1", "c2"):
        made.event("profile.updated", 0, customer=customer, email="a@example.com")
        made.event("began", 1, customer=customer)
    made.resume("j", "2h")
    assert _told_of(made, "c2") == [("suppressed", "duplicate_address", 1)]
    assert [action.customer for action in made.actions] == ["c1"]


# Calls.

STEPS = """
- {id: open, call: {action: open_case, timeout: 1m, retry: [{on: [timeout, busy], max_attempts: 2, interval: 10s}]}}
- {id: stop, end: {outcome: through}}
"""
CALL = journey_of(STEPS, entry=AGAIN, more="exit: [{on: left}]")
DESK = "channels: {desk: {topic: d, kind: action}}"


def calls(made: World) -> list[tuple[str, int, int, int]]:
    """Whose call, which attempt, when it left and until when it waits; s after the start."""
    return [(a.customer, a.attempt, (a.created_at - START) // SECOND, (a.expires_at - START) // SECOND) for a in made.actions]


def test_v6_a91_a_call_waits_without_end_and_its_time_runs_from_its_leaving() -> None:
    made = paused(CALL, channels=DESK)
    made.event("began", 0)
    assert made.decisions("action_held")[0].detail is None
    made.until("3d")
    assert (made.actions, made.state("j"), made.decisions("call_failed")) == ([], "s", [])
    made.resume("j", "4d")
    day = 4 * 24 * 3600
    assert calls(made) == [("c1", 1, day, day + 60)]
    made.until("5d")
    assert calls(made)[1:] == [("c1", 2, day + 70, day + 130)]
    assert told(made, "call_failed") == [("call_failed", "timeout", 4 * 24 * HOUR + 130 * SECOND)]


def test_v6_a2_the_answer_to_a_call_that_was_resumed_moves_its_instance() -> None:
    made = paused(CALL, channels=DESK)
    made.event("began", 0)
    made.resume("j", "1h")
    made.event("action.outcome", "1h+30s", action_id=made.actions[0].action_id, status="succeeded")
    made.until("1d")
    assert [(one.kind, one.outcome) for one in made.decisions("ended")] == [("ended", "through")]
    assert len(made.actions) == 1


def test_v6_a_retry_that_comes_due_in_the_pause_waits_too() -> None:
    made = world(CALL, channels=DESK)
    made.event("began", 0)
    made.pause("j", 30 * SECOND)
    made.resume("j", "1h")
    made.until("1d")
    assert calls(made) == [("c1", 1, 0, 60), ("c1", 2, 3600, 3660)]


def test_v6_x2_a_call_whose_place_comes_in_the_pause_has_its_whole_time_after_it() -> None:
    made = world(CALL, channels=RATE)
    for customer in ("c1", "c2", "c3"):
        made.event("began", 0, customer=customer)
    made.pause("j", 1)
    made.resume("j", "1h")
    made.until("1h+20s")
    assert calls(made) == [("c1", 1, 0, 60), ("c1", 2, 3600, 3660), ("c2", 1, 3610, 3670), ("c3", 1, 3620, 3680)]
    assert [instance.due for instance in made.document("c3").instances] == [START + 3680 * SECOND]


def test_v6_a38_an_instance_that_was_parked_while_its_call_waited_has_no_deadline_after_it() -> None:
    # attempt 1 times out 60s -- attempt 2 is held 70s -- a late answer to 1: failed for good, parked 80s -- resumed 1h
    made = world(CALL, channels=DESK)
    made.event("began", 0)
    made.pause("j", 61 * SECOND)
    made.until("70s")
    made.event("action.outcome", "80s", action_id=made.actions[0].action_id, status="failed", code="broken")
    made.resume("j", "1h")
    made.until("1d")
    assert calls(made) == [("c1", 1, 0, 60), ("c1", 2, 3600, 3660)]
    assert [incident.reason for incident in made.incidents] == ["action_failed"]
    assert [(one.parked, one.due) for one in made.document().instances] == [("action_failed", 0)]


def test_v6_a13_an_exit_cancels_a_call_that_waits() -> None:
    made = paused(CALL, channels=DESK)
    made.event("began", 0)
    made.event("left", 1)
    made.resume("j", 2)
    assert told(made) == [("held", "paused", 0), ("cancelled", "exited", 1)]


def test_v6_a4_what_is_redriven_in_a_pause_waits_for_the_resume() -> None:
    made = world(CALL, channels=DESK)
    made.event("began", 0)
    made.pause("j", "1h")
    made.handlings += made.simulation.redrive("c1", "open", START + 2 * HOUR)
    assert told(made)[-1] == ("held", "paused", 2 * HOUR)
    made.resume("j", "3h")
    assert calls(made)[-1] == ("c1", 3, 3 * 3600, 3 * 3600 + 60)


# Failures, and what is stored.


@pytest.mark.interpreted
def test_v6_a5_a_resume_that_fails_leaves_the_customer_as_before_and_can_be_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = paused()
    made.event("began", 0)
    before = made.customer().stored

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(pausing, "start_clock", fail)
        made.resume("j", 1)
    assert [incident.reason for incident in made.incidents] == ["handler_error"]
    assert made.customer().stored == before
    made.resume("j", 2)
    assert emitted(made) == [("j", 2)]
