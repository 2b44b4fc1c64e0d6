"""Withdrawal of consent against sends that are held or on their way (C3, A57)."""

from __future__ import annotations

import pytest

from tests.engine.sending import emitted, mail, policy, told
from tests.engine.world import START, World, offset_ms

QUIET = 'channels: {email: {topic: t, quiet_hours: {from: "21:00", to: "23:59"}}, sms: {topic: t}}'


def world(*journeys: str, channels: str = QUIET, more: str = "") -> World:
    w = World(*(journeys or (mail(purpose="promotion"),)), policy=policy(more, channels=channels))
    w.consent("granted", "0s")
    return w


def cancels(w: World) -> list[tuple[str, str, int]]:
    return [(a.action_id, a.channel, h.at - START) for h in w.handlings for a in h.actions if a.kind == "cancel"]


@pytest.mark.parametrize(("channel", "purpose"), [("email", "promotion"), ("*", "promotion"), ("email", "*"), ("*", "*")])
def test_c3_a_withdrawal_cancels_held_sends_at_once(channel: str, purpose: str) -> None:
    w = world(more="caps: [{id: c, limit: 1, per: 1d}]")
    w.consent("granted", "0s", channel=channel, purpose=purpose)
    w.event("began", "22h")
    w.consent("withdrawn", "23h")
    assert told(w)[-1] == ("cancelled", "consent", offset_ms("23h"))
    w.consent("granted", "24h")
    w.event("began", "33h")  # its slot is free again
    assert emitted(w) == [("j", offset_ms("33h"))]
    assert cancels(w) == []


@pytest.mark.parametrize(
    ("channel", "purpose", "more"),
    [("sms", "promotion", {}), ("email", "care", {}), ("email", "promotion", {"time": START - 1})],
    ids=["other channel", "other purpose", "older than the consent"],
)
def test_c3_a_withdrawal_of_something_else_cancels_nothing(channel: str, purpose: str, more: dict[str, int]) -> None:
    w = world(mail(purpose="promotion"), mail("day", on="day", purpose="promotion"))
    w.event("day", "1h")
    w.event("began", "22h")
    w.consent("withdrawn", "23h", channel=channel, purpose=purpose, **more)
    w.until("2d")
    assert emitted(w) == [("day", offset_ms("1h")), ("j", offset_ms("23h+59m"))]
    assert w.decisions("action_cancelled") == []


def test_c3_c1_a_late_withdrawal_takes_nothing_from_a_newer_consent() -> None:
    # granted 12h   sms sent, email held 22h ... 23h59   then the withdrawal of 6h arrives: by version time it is the older one
    w = World(mail(purpose="promotion"), mail("text", purpose="promotion", channel="sms"), policy=policy(channels=QUIET))
    w.consent("granted", "12h", channel="*")
    w.event("began", "22h")
    w.consent("withdrawn", "6h", channel="*")
    w.until("2d")
    assert emitted(w) == [("text", offset_ms("22h")), ("j", offset_ms("23h+59m"))]
    assert (cancels(w), w.decisions("action_cancelled")) == ([], [])


def test_c3_an_emitted_send_that_no_outcome_came_for_gets_a_cancel_command_in_the_same_handling() -> None:
    w = world()
    w.event("began", "1h", id="x")
    (sent,) = w.actions
    (handling,) = w.consent("withdrawn", "2h")
    (cancel,) = handling.actions
    assert (cancel.kind, cancel.action_id, cancel.channel, cancel.purpose) == ("cancel", sent.action_id, "email", "promotion")
    assert (cancel.journey, cancel.version, cancel.instance, cancel.step) == ("j", 1, sent.instance, "mail")
    assert (cancel.created_at, cancel.expires_at) == (START + offset_ms("2h"), sent.expires_at)
    (decision,) = w.decisions("action_cancelled")
    assert (decision.action_id, decision.step, decision.reason, decision.instance) == (
        sent.action_id, "mail", "consent", sent.instance,
    )  # fmt: skip


@pytest.mark.parametrize("more", ["", "caps: [{id: c, limit: 9, per: 1d}]"], ids=["forgotten then", "remembered for its slot"])
def test_c3_one_cancel_is_enough(more: str) -> None:
    w = world(more=more)
    w.event("began", "1h")
    w.consent("withdrawn", "2h")
    w.consent("withdrawn", "3h", channel="*", purpose="*")
    assert len(cancels(w)) == 1


@pytest.mark.parametrize("status", ["delivered", "failed", "bounced", "unknown"])
def test_a57_any_outcome_acknowledges(status: str) -> None:
    w = world()
    w.event("began", "1h")
    w.event("action.outcome", "90m", action_id=w.actions[0].action_id, status=status)
    w.consent("withdrawn", "2h")
    assert cancels(w) == []


@pytest.mark.parametrize(("at", "asked"), [("1h+24h-1ms", True), ("1h+24h", False)])
def test_c3_what_has_expired_need_not_be_cancelled(at: str, asked: bool) -> None:
    w = world()
    w.event("began", "1h")
    w.consent("withdrawn", at)
    assert bool(cancels(w)) is asked


def test_a57_the_slot_of_a_cancelled_send_comes_back_with_its_outcome_and_not_before() -> None:
    w = world(mail(purpose="promotion"), mail("care", on="care"), more="caps: [{id: c, limit: 1, per: 2d}]")
    w.event("began", "1h")
    w.consent("withdrawn", "2h")
    w.event("care", "3h")
    assert [template for template, _ in emitted(w)] == ["j"]
    w.event("action.outcome", "4h", action_id=w.actions[0].action_id, status="cancelled")
    w.event("care", "5h")
    assert [template for template, _ in emitted(w)] == ["j", "care"]


def test_c3_a_purpose_that_needs_no_consent_is_not_cancelled() -> None:
    w = world(mail("care"))
    w.event("began", "22h")
    w.consent("withdrawn", "23h", channel="*", purpose="*")
    w.until("2d")
    assert emitted(w) == [("care", offset_ms("23h+59m"))]


def test_c3_a_send_of_a_purpose_without_consent_is_not_cancelled_by_a_withdrawal() -> None:
    w = world(mail("care"))
    w.event("began", "10h")
    w.consent("withdrawn", "11h", channel="*", purpose="*")
    assert cancels(w) == []


def test_c3_what_is_remembered_to_be_cancelled_is_bounded() -> None:
    w = world()
    for minute in range(300):
        w.event("began", f"{minute}m", id="")
    assert len(w.document().contact.sent) == 256  # type: ignore[union-attr]
    w.consent("withdrawn", "6h")
    asked = [action_id for action_id, _, _ in cancels(w)]
    assert asked == [a.action_id for a in w.actions if a.kind == "send"][-256:]


def test_c3_t7_a_withdrawal_cancels_before_the_journeys_of_its_own_record_send() -> None:
    w = world(mail(purpose="promotion"), mail("bye", on="consent.changed", channel="sms"))
    w.event("began", "22h")
    w.consent("withdrawn", "23h")
    assert told(w)[-2:] == [("cancelled", "consent", offset_ms("23h")), ("emitted", "", offset_ms("23h"))]
